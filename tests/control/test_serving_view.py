"""What serving reads: the view of one generation, in memory and in a file; and when keys were used."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys.control.key_uses import KeyUses
from recsys.control.keys import last_use, load_secret
from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane
from recsys.control.serving_view import load_serving_view, save_serving_view
from recsys.control.store import ControlError


def test_the_view_authenticates_as_the_store_does(plane: ControlPlane, location: StoreLocation) -> None:
    secret, now = load_secret(location.secret_folder), datetime.now(UTC)
    plane.create_tenant("away", actor="t")
    texts = [plane.issue_key(tenant, ("operator",), actor="t")[1] for tenant in ("demo", "demo", "away")]
    texts += ["", "rsk_", texts[0] + "0", texts[0][:-1] + "é"]
    plane.issue_key("demo", ("viewer",), actor="t", expires_at=now + timedelta(days=1))
    plane.revoke_key(texts[1].split("_")[1], actor="t")
    plane.set_tenant_state("away", "suspended", actor="t")
    view = plane.serving_view()
    principals = [view.authenticate(secret, text, now) for text in texts]
    assert principals == [plane.authenticate(text) for text in texts]
    assert [principal is not None for principal in principals] == [True, False, True] + [False] * 4
    assert principals[2] is not None
    assert principals[2].is_suspended
    later = now + timedelta(days=2)
    assert view.authenticate(secret, texts[0], later) is not None


def test_the_view_holds_current_documents_of_one_generation(plane: ControlPlane) -> None:
    plane.put("demo", "config", b"{}", author="t")
    revision = plane.put("demo", "config", b'{"flags":{}}', author="t")
    view = plane.serving_view()
    assert view.generation == plane.generation()
    assert view.tenants["demo"].documents["config"].revision == revision
    assert "rules" not in view.tenants["demo"].documents
    assert view.tenants["demo"].tenant.salt == plane.tenant("demo").salt


def test_a_view_comes_back_from_its_file(plane: ControlPlane, tmp_path: Path) -> None:
    plane.put("demo", "rules", b"[]", author="t")
    plane.issue_key("demo", ("viewer",), actor="t")
    view = plane.serving_view()
    path = tmp_path / "cache" / "view.json"
    assert load_serving_view(path) is None
    save_serving_view(view, path)
    assert load_serving_view(path) == view
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ControlError, match=r"view\.json"):
        load_serving_view(path)


def test_uses_are_written_together_when_due_and_no_change(plane: ControlPlane) -> None:
    keys = [plane.issue_key("demo", ("viewer",), actor="t")[0] for _ in range(2)]
    before = plane.generation()
    uses = KeyUses(interval_s=3600)
    for key in (*keys, keys[0]):
        uses.note(key.key_id)
    assert uses.write(plane) == 0
    assert uses.write(plane, is_due=True) == 2
    assert uses.write(plane, is_due=True) == 0
    with plane.read() as reader:
        assert all(last_use(reader, key.key_id) is not None for key in keys)
    assert plane.generation() == before
