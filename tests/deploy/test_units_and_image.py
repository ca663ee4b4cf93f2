"""systemd takes the units, the container file is sound, and Grafana's own model reads the whole dashboard."""

import json
import re
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "deploy" / "container" / "Containerfile"
UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
EXPOSURE = 20
"""Of 100: what ``systemd-analyze security`` may find at most; 40 is the end of "OK"."""


def printed(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        # The package is installed where the host has it, so any program stands in for it.
        text = unit.read_text().replace("/opt/recsys/bin/recsys", sys.executable)
        (tmp_path / unit.name).write_text(text)
    assert printed("systemd-analyze", "verify", "--man=no", *tmp_path.iterdir()) == ""


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_every_service_is_confined(unit: Path) -> None:
    printed("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", unit)


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_every_service_leaves_the_data_folder_to_its_group(unit: Path) -> None:
    # Whichever starts sets the mode of the folder that they share.
    assert {"StateDirectory=recsys", "StateDirectoryMode=0750", "UMask=0027"} <= set(
        unit.read_text().split("\n")
    )


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_every_service_runs_a_command_that_takes_these_options(unit: Path) -> None:
    found = re.search(r"recsys/bin/recsys ((?:[a-z]+ )+)(.+)", unit.read_text())
    assert found is not None
    help_text = printed(Path(sys.executable).with_name("recsys"), *found[1].split(), "--help")
    assert set(re.findall(r"--[a-z-]+", found[2])) <= set(re.findall(r"--[a-z-]+", help_text))


def test_the_nightly_pipeline_takes_more_options_from_its_variables() -> None:
    found = re.search(
        r"^ExecStart=/bin/sh -c '(.+)'$", (UNITS / "recsys-pipeline.service").read_text(), re.MULTILINE
    )
    assert found is not None
    command = found[1].replace("%%", "%").replace("exec /opt/recsys/bin/recsys", r"printf '%s\n'")
    variables = {
        "RECSYS_TENANT": "shop",
        "RECSYS_SURFACE": "home",
        "RECSYS_CATALOG": "/data/all items.csv",
        "RECSYS_INTERACTIONS": "s3://shop/rows/",
        "RECSYS_DAYS": "7",
        "RECSYS_OPTIONS": "--map item_id=sku --map session_id=visit",
    }
    arguments = printed(
        "/usr/bin/env", *(f"{name}={value}" for name, value in variables.items()), "sh", "-c", command
    )
    assert arguments.split("\n")[-6:-1] == [
        "--incremental",
        "--map",
        "item_id=sku",
        "--map",
        "session_id=visit",
    ]
    assert "/data/all items.csv" in arguments.split("\n")


@pytest.mark.parametrize(
    "path",
    [
        UNITS / "recsys-pipeline.service",
        ROOT / "deploy" / "helm" / "recsys" / "templates" / "pipelines.yaml",
    ],
    ids=lambda path: path.name,
)
def test_a_nightly_pipeline_ends_with_the_last_whole_day(path: Path) -> None:
    found = re.search(r'--to "\$\((.+?)\)"', path.read_text())
    assert found is not None
    before = datetime.now(UTC).date()
    last = date.fromisoformat(printed("/bin/sh", "-c", found[1].replace("%%", "%")).strip())
    assert last in {day - timedelta(days=1) for day in (before, datetime.now(UTC).date())}


def test_the_container_file_is_sound() -> None:
    # Versions of Debian's packages are those of the base image, which is the pin.
    assert printed(Path(sys.executable).with_name("hadolint"), "--ignore", "DL3008", CONTAINERFILE) == ""


def test_the_image_runs_as_nobody_and_has_the_extras_that_the_chart_needs() -> None:
    text = CONTAINERFILE.read_text()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    found = re.search(r"^ARG EXTRAS=([a-z,-]+)$", text, re.MULTILINE)
    assert found is not None
    installed = set(found[1].split(","))
    # A store in PostgreSQL, a registry in an object store, tokens, traces, reports, doctor and drills.
    assert {"postgres", "object-store", "auth", "otel", "eval", "pilot"} <= installed
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert installed <= set(project["optional-dependencies"])


@pytest.mark.parametrize("path", sorted((ROOT / "deploy" / "grafana").glob("*.json")), ids=lambda p: p.name)
def test_grafana_reads_the_dashboard_and_drops_nothing_of_it(path: Path) -> None:
    written = json.loads(path.read_text())
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(written)))
    for variable in written["templating"]["list"]:
        variable.pop("definition", None)  # how the editor shows a query; the query itself is kept
    assert not list(lost(written, read, ""))


def lost(written: object, read: object, where: str) -> list[str]:
    """Return the places whose value is gone or another."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [place for key in written for place in lost(written[key], read.get(key), f"{where}/{key}")]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        pairs = enumerate(zip(written, read, strict=True))
        return [place for i, (one, other) in pairs for place in lost(one, other, f"{where}[{i}]")]
    return [] if written == read else [where]
