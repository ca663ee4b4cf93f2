"""The version is stated once, in Cargo.toml; what cannot read it there agrees with it."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
VERSION = CARGO["workspace"]["package"]["version"]


def test_the_installed_package_has_the_version_of_the_workspace() -> None:
    assert version("recsys") == VERSION


def test_the_chart_installs_this_version() -> None:
    chart = (ROOT / "deploy" / "helm" / "recsys" / "Chart.yaml").read_text(encoding="utf-8")
    assert re.findall(r"^(?:appV|v)ersion: \"?([^\"\n]+)", chart, re.MULTILINE) == [VERSION, VERSION]


def test_the_changelog_begins_with_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == VERSION
