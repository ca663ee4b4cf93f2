"""No file, whatever its bytes, gets past the reader or takes the process down."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from recsys import _native
from recsys.contracts.errors import ArtifactError

GOLDEN = Path(__file__).parents[2] / "rust" / "core" / "tests" / "golden"
SOUND = ("catalog", "neighbours", "popularity", "sessions")


def _load_attacks() -> ModuleType:
    # Test folders are no packages, so a module beside a test is loaded by its path.
    spec = importlib.util.spec_from_file_location("hostile_attacks", Path(__file__).parent / "attacks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


attacks = _load_attacks()


def _golden(name: str) -> Path:
    return GOLDEN / f"{name}.v1.bin"


def _use(path: Path, name: str) -> None:
    """Ask for everything in a file; the first error ends it."""
    if name == "catalog":
        catalog = _native.Catalog.open(str(path))
        for ordinal in range(catalog.n_items):
            item = catalog.item_at(ordinal)
            catalog.ordinal(item.item_id)
        catalog.item("no such item")
        catalog.tag_counts()
        return
    catalog = _native.Catalog.open(str(_golden("catalog")))
    if name == "sessions":
        index = _native.SessionIndex.open(str(path))
        for item in ("apple", "brötchen", "pear", "zucchini", "no such item"):
            index.ranked(catalog, item, 100)
        index.list_lengths()
        index.session_lengths()
        searched = _native.Source.of_sessions(
            "sound or not",
            index,
            recent_sessions=9,
            neighbors=9,
            last_items=9,
            weight=1.0,
            weight_group="cooc",
        )
        plan = _native.Plan(catalog, [searched], brand_cap=1)
        for anchors in (["apple"], ["pear", "brötchen"], ["zucchini", "no such item", "apple"]):
            plan.rank(10, 0, anchors=anchors)
        return
    signal = _native.Signal.open(str(path))
    keys = ["apple", "brötchen", "pear", "zucchini"] if signal.key_type == "item" else signal.keys(0, 100)
    for key in [*keys, "no such key"]:
        signal.ranked(catalog, key, 100)
    signal.list_lengths()
    key = "default" if signal.key_type == "segment" else None
    source = _native.Source("sound or not", signal, key=key, weight=1.0, weight_group="cooc")
    _native.Plan(catalog, [source], brand_cap=1).rank(
        10, 0, anchors=["apple", "pear"], user="default", required_tags=["fresh", "fruit"]
    )


def _errors(path: Path, name: str) -> Iterator[str]:
    for attempt in (lambda: _native.verify(str(path)), lambda: _use(path, name)):
        try:
            attempt()
        except ArtifactError as error:
            yield str(error)
        else:
            yield ""


@pytest.mark.parametrize("name", SOUND)
def test_every_attack_is_refused_by_name_or_does_no_harm(name: str, tmp_path: Path) -> None:
    sound = _golden(name).read_bytes()
    count = 0
    for count, attack in enumerate(attacks.attacks(sound), start=1):
        # A new name for each file: what is mapped must not change.
        path = tmp_path / str(count)
        path.write_bytes(attack.data)
        verified, used = _errors(path, name)
        for message in filter(None, (verified, used)):
            file, section, *_ = message.removeprefix(str(path)).split(": ")
            assert message.startswith(str(path)), f"{attack.name}: {message}"
            assert not file, f"{attack.name}: {message}"
            assert section, f"{attack.name}: {message}"
        assert verified or used or not attack.is_refused, f"{attack.name} was not refused"
        # How many items there are is known only beside the catalog.
        is_sound = not used or "its catalog has" in used
        assert verified or is_sound, f"{attack.name} was verified, and yet: {used}"
        path.unlink()
    assert count > 300


@pytest.mark.parametrize("name", SOUND)
def test_the_sound_file_itself_is_accepted(name: str) -> None:
    assert list(_errors(_golden(name), name)) == ["", ""]
    data = _golden(name).read_bytes()
    assert attacks.reseal(data) == data


def test_signal_of_another_catalog_is_refused(tmp_path: Path) -> None:
    _native.build_catalog(str(tmp_path / "other"), ["apple", "pear"])
    other = _native.Catalog.open(str(tmp_path / "other"))
    for name in ("neighbours", "popularity"):
        signal = _native.Signal.open(str(_golden(name)))
        with pytest.raises(ArtifactError, match=r"v1\.bin: meta: built for the catalog with ids"):
            signal.ranked(other, "apple", 10)
    index = _native.SessionIndex.open(str(_golden("sessions")))
    with pytest.raises(ArtifactError, match=r"v1\.bin: meta: built for the catalog with ids"):
        index.ranked(other, "apple", 10)


def test_things_that_are_no_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for name in (".", "absent", "empty", "pipe"):
        with pytest.raises(ArtifactError, match=str(tmp_path)):
            _native.Catalog.open(str(tmp_path / name))
