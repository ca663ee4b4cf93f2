"""What a command imports before it does anything: every start pays for it."""

import json
import subprocess
import sys

import pytest

import recsys

HEAVY = (
    "importlib.metadata",
    "numpy",
    "pyarrow",
    "duckdb",
    "granian",
    "httpx",
    "rich.console",
    "recsys._native",
)


def test_the_command_starts_without_what_only_some_of_it_needs() -> None:
    program = (
        f"import json, sys, recsys.cli.main; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == []


def test_the_package_has_its_version_and_no_other_attribute_by_chance() -> None:
    assert recsys.__version__ == recsys.__version__ != ""
    with pytest.raises(AttributeError, match="no attribute 'versio'"):
        recsys.versio  # type: ignore[attr-defined]  # noqa: B018
