"""The commands of the control plane, run as a user does."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.service.conftest import write_tenant

from recsys.cli.main import run
from recsys.contracts.documents import canonical_json, version_of
from recsys.control.plane import ControlPlane


def test_a_tenants_config_goes_through_put_diff_history_and_rollback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data-dir", str(tmp_path)]
    tenant = ["--tenant", "demo", *data]
    file = tmp_path / "config.json"

    def call(*arguments: str, code: int = 0) -> str:
        assert run(arguments) == code
        return capsys.readouterr().out.strip()

    assert call("tenant", "create", "demo", *data) == "demo"
    versions = []
    for cap in (1, 2):
        file.write_text(json.dumps({"defaults": {"brand_cap": cap}}))
        versions.append(call("config", "put", str(file), *tenant, "--comment", f"cap {cap}"))
    assert '-    "brand_cap": 1' in call("config", "diff", versions[0][:8], *tenant)
    assert call("config", "diff", *tenant) == call("config", "diff", *versions, *tenant)
    assert call("config", "rollback", *tenant) == versions[0]
    assert json.loads(call("config", "show", *tenant)) == {"defaults": {"brand_cap": 1}}
    listed = json.loads(call("config", "history", *tenant, "--json"))
    assert [revision["version"] for revision in listed["revisions"]] == versions[::-1]
    assert listed["current"] == 1
    call("config", "rollback", *tenant, "--to", versions[1], "--expected", versions[1], code=1)
    assert call("audit", "verify", *data).startswith("ok: 4 audit entries")
    assert len(json.loads(call("audit", "list", *tenant, "--json"))) == 4
    assert versions[0][:12] in call("config", "list", *data)
    assert json.loads(call("rules", "list", *data, "--json")) == [{"tenant_id": "demo", "revision": None}]
    assert call("config", "rollback", *tenant, "--to", versions[1][:8]) == versions[1]
    assert call("config", "diff", versions[0][:3], *tenant, code=1) == ""


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data-dir", str(tmp_path)]
    tenant = ["--tenant", "demo", *data]
    run(["tenant", "create", "demo", *data])
    capsys.readouterr()
    assert run(["key", "issue", *tenant, "--role", "viewer", "--role", "service"]) == 0
    text = capsys.readouterr().out.strip()
    key_id = text.split("_")[1]
    assert run(["key", "revoke", key_id, *data]) == 0
    capsys.readouterr()
    assert run(["key", "list", *tenant, "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["key_id"] == key_id
    assert listed["revoked_at"] is not None
    assert text.split("_")[2] not in json.dumps(listed)


def test_a_broken_rule_is_named_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rules.json"
    file.write_text('[{"rule_id": "r", "action": "BOOST", "target_type": "TAG", "target_key": "t"}]')
    assert run(["rules", "verify", str(file)]) == 1
    assert "rules[0].boost" in capsys.readouterr().err


def test_rules_with_a_target_that_no_catalog_has_are_put_and_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tenant(tmp_path)
    rules = [
        {"rule_id": "a", "action": "BLOCK", "target_type": "ITEM", "target_key": "i00"},
        {"rule_id": "b", "action": "BLOCK", "target_type": "ITEM", "target_key": "gone"},
    ]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(rules))
    put = ["rules", "put", str(file), "--tenant", "demo", "--data-dir", str(tmp_path)]
    assert run(put) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{version_of(canonical_json(rules))}\n"
    told = "rules[1].target_key: the catalog of home has no item 'gone' (rule 'b')"
    assert shown.err == f"warning: RULE_TARGET_UNKNOWN: {told}\n"

    # Catalogs that cannot be read are no reason to refuse rules.
    for pointer in (tmp_path / "registry" / "current").rglob("manifest.json"):
        pointer.write_text("{}")
    assert run(put) == 0
    assert "the rules are current; their targets were not compared" in capsys.readouterr().err

    # Where no registry is, there is nothing to compare with, and none is made.
    bare = tmp_path / "bare"
    ControlPlane.open(bare / "control").create_tenant("demo", actor="test")
    assert run([*put[:-1], str(bare)]) == 0
    assert capsys.readouterr().err == ""
    assert [one.name for one in bare.iterdir()] == ["control"]


def test_a_document_may_come_from_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ["--data-dir", str(tmp_path)]
    run(["tenant", "create", "demo", *data])
    for command in (["put", "-", "--tenant", "demo", *data], ["verify", "-"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"defaults": {"brand_cap": 1}}')))
        assert run(["config", *command]) == 0
    capsys.readouterr()
    assert run(["config", "show", "--tenant", "demo", *data]) == 0
    assert json.loads(capsys.readouterr().out) == {"defaults": {"brand_cap": 1}}


def test_a_document_without_end_is_refused_before_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rules", "verify", "/dev/zero"]) == 1
    said = "error: /dev/zero: over 1048576 bytes, the most that a document may have\n"
    assert capsys.readouterr().err == said


def test_the_first_characters_of_several_versions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = ["--tenant", "demo", "--data-dir", str(tmp_path)]
    plane = ControlPlane.open(tmp_path / "control")
    plane.create_tenant("demo", actor="test")
    seen: dict[str, bytes] = {}
    for cap in range(1, 2000):
        data = b'{"limits":{"tenant_requests_per_s":%d}}' % cap
        if (other := seen.setdefault(version_of(data)[:4], data)) is not data:
            for one in (other, data):
                plane.put("demo", "config", one, author="test")
            break
    plane.close()
    assert run(["config", "show", version_of(data)[:4], *tenant]) == 1
    assert "is the beginning of several" in capsys.readouterr().err
    assert run(["config", "show", version_of(data)[:16], *tenant]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(data)


@pytest.mark.parametrize(
    "command",
    [
        ["tenant", "list"],
        ["audit", "verify"],
        ["pilot", "status"],
        ["rules", "show", "--tenant", "demo"],
        ["backup", "copy"],
        ["doctor", "--url", "http://127.0.0.1:9"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_mistyped_data_folder_is_named_and_nothing_is_made_there(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*command, "--data-dir", "typo"]) == 1
    shown = "".join(capsys.readouterr())
    assert "typo/control" in shown.replace("\n", "").replace(" ", "")
    assert not list(tmp_path.iterdir())
