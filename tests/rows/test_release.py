"""From rows to what is served: scores, half-lives by segment, and when a release is made."""

from __future__ import annotations

import math
import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recsys._native import Catalog, PopularityBuilder, Signal
from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Registry
from recsys.contracts.errors import BuildError
from recsys.control.lmdb_store import LmdbStore
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import settle_moves
from recsys.control.rows import find_row_release
from recsys.pipelines.build.catalog import write_items
from recsys.rows.body import load_body
from recsys.rows.build import DayRows, SurfaceRows, build_surface
from recsys.rows.release import find_due, make_releases

POPULARITY = b"""surface,segment,day,item_id,count
home,,2026-01-21,a,16
home,,2026-01-31,b,5
home,young,2026-01-31,c,3
home,young,2026-01-21,b,8
"""
COOC = b"""surface,day,item_id,neighbor_id,count
home,2026-01-31,a,b,2
home,2026-01-21,a,c,6
home,2026-01-31,a,unknown,9
home,2026-01-31,a,a,9
"""
CATALOG = b"item_id,title\na,A\nb,B\nc,C\n"


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(plane: ControlPlane, kind: str, body: bytes) -> None:
    load_body(plane, "shop", kind, [body], "text/csv", scratch=Path("s"), actor="t")  # type: ignore[arg-type]


def make(plane: ControlPlane, registry: Registry, **more: object) -> list[str | None]:
    made = make_releases(plane, registry, Path("s"), actor="t", **more)  # type: ignore[arg-type]
    return [one.error or one.version for one in made]


def lists(registry: Registry, kind: str) -> dict[str, list[tuple[str, float]]]:
    manifest = registry.find("shop", "home")
    files = ArtifactCache(Path("cache")).fetch(registry, manifest)
    catalog, signal = Catalog.open(str(files["catalog"])), Signal.open(str(files[kind]))
    keys = signal.keys(0, 100) or [catalog.item_at(o).item_id for o in range(catalog.n_items)]
    return {key: ranked for key in keys if (ranked := signal.ranked(catalog, key, 10))}


def test_a_tenant_and_rows_are_enough_for_a_release(plane: ControlPlane, registry: Registry) -> None:
    load(plane, "popularity", POPULARITY)
    (version,) = make(plane, registry)
    assert registry.find("shop", "home").version == version
    assert lists(registry, "popularity") == {
        "default": [("a", 16.0), ("b", 13.0), ("c", 3.0)],
        "young": [("b", 8.0), ("c", 3.0)],
    }
    assert make(plane, registry) == []
    assert plane.audit_entries("shop")[0].action == "release.publish"


def test_rows_of_items_that_the_catalog_does_not_know_are_told(
    plane: ControlPlane, registry: Registry
) -> None:
    load(plane, "popularity", POPULARITY)
    (made,) = make_releases(plane, registry, Path("s"), actor="t")
    assert made.left_out == []
    load(plane, "catalog", b"item_id\na\nb\n")
    load(plane, "cooc", COOC)
    (made,) = make_releases(plane, registry, Path("s"), actor="t")
    assert made.left_out == [
        "popularity: 1 of 4 rows are of items that the catalog does not know",
        "cooc: 2 of 4 rows are of items that the catalog does not know",
    ]


def test_what_a_killed_build_left_goes_once_it_is_a_day_old(plane: ControlPlane, registry: Registry) -> None:
    for name, age_h in (("rows-old", 25), ("body-old", 25), ("rows-new", 1), ("other-old", 25)):
        (Path("s") / name).mkdir(parents=True)
        (Path("s") / name / "catalog.rsa").write_bytes(b"x")
        at = time.time() - age_h * 3600
        os.utime(Path("s") / name, (at, at))
    load(plane, "popularity", POPULARITY)
    make(plane, registry)
    assert sorted(path.name for path in Path("s").iterdir()) == ["other-old", "rows-new"]


def test_half_lives_of_the_config_decay_days_by_segment(plane: ControlPlane, registry: Registry) -> None:
    load(plane, "catalog", CATALOG)
    load(plane, "popularity", POPULARITY)
    load(plane, "cooc", COOC)
    make(plane, registry)
    before = registry.find("shop", "home")
    assert before.artifacts["popularity"].window is not None
    assert before.artifacts["popularity"].window.end.date() == date(2026, 1, 31)
    assert lists(registry, "cooc") == {"a": [("c", 6.0), ("b", 2.0)]}
    config = (
        b'{"defaults":{"half_life_days":10},"surfaces":{"home":{"segments":{"young":{"half_life_days":5}}}}}'
    )
    plane.put("shop", "config", config, author="t")
    assert [one.surface for one in find_due(plane)] == ["home"]
    make(plane, registry)
    assert registry.find("shop", "home").parent == before.version
    assert lists(registry, "popularity") == {
        "default": [("b", 9.0), ("a", 8.0), ("c", 3.0)],
        "young": [("c", 3.0), ("b", 2.0)],
    }
    assert lists(registry, "cooc") == {"a": [("c", 3.0), ("b", 2.0)]}
    plane.put("shop", "config", config.replace(b'"defaults":{', b'"defaults":{"brand_cap":2,'), author="t")
    assert find_due(plane) == []


def test_scores_are_those_of_the_popularity_builder(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    ids = [f"i{n}" for n in range(50)]
    out = tmp_path / "c.rsa"
    write_items(pa.table({"item_id": ids}), out, rows=50)
    catalog = Catalog.open(str(out))
    last = date(2026, 3, 1)
    days, builder = [], PopularityBuilder(
        catalog,
        now_ms=int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000),
        half_life_ms=7 * 86_400_000.0,
        memory_bytes=1 << 24,
        scratch_dir=str(tmp_path),
    )  # fmt: skip
    for age in range(20):
        for segment in ("default", "x", "y"):
            items = chance.choice(50, size=10, replace=False)
            counts = chance.integers(1, 100, 10).astype("<f8")
            table = pa.table({"item_id": [ids[i] for i in items], "count": counts})
            days.append(DayRows(last - timedelta(days=age), table, segment))
            ordinals = np.array([catalog.ordinal(ids[i]) for i in items], dtype="<u4")
            moment = datetime(2026, 3, 1, tzinfo=UTC) - timedelta(days=age)
            ts = np.full(10, int(moment.timestamp() * 1000), dtype="<i8")
            builder.push([segment], np.zeros(10, "<u4").data, ordinals.data, ts.data, counts.data)
    builder.finish(str(tmp_path / "p.rsa"))
    expected = Signal.open(str(tmp_path / "p.rsa"))
    half_lives = dict.fromkeys(("default", "x", "y"), 7.0)
    rows = SurfaceRows(pa.table({"item_id": ids}), days, half_lives=half_lives)
    files = build_surface(rows, tmp_path)
    found = Signal.open(str(files["popularity"]))
    assert found.keys(0, 10) == expected.keys(0, 10)
    for key in found.keys(0, 10):
        ours, theirs = (dict(s.ranked(catalog, key, 50) or []) for s in (found, expected))
        assert ours.keys() == theirs.keys()
        assert all(math.isclose(ours[i], theirs[i], rel_tol=1e-5) for i in ours)


def test_the_same_rows_in_another_order_give_the_same_release(
    plane: ControlPlane, registry: Registry
) -> None:
    load(plane, "popularity", POPULARITY)
    make(plane, registry)
    head, *lines = POPULARITY.splitlines(keepends=True)
    load(plane, "popularity", head + b"".join(reversed(lines)))
    assert find_due(plane) == []


def test_a_burst_of_loads_is_waited_for(tmp_path: Path, registry: Registry) -> None:
    now = [datetime(2026, 2, 1, tzinfo=UTC)]
    plane = ControlPlane(LmdbStore(tmp_path / "c"), b"s" * 32, clock=lambda: now[0])
    plane.create_tenant("shop", actor="t")
    for second in range(40):
        load(plane, "popularity", POPULARITY.replace(b"16", b"%d" % (100 + second)))
        made = make(plane, registry, only_quiet=True)
        assert bool(made) == (second == 30), second  # not longer than thirty seconds
        now[0] += timedelta(seconds=1)
    assert make(plane, registry, only_quiet=True) == []
    now[0] += timedelta(seconds=1)
    assert len(make(plane, registry, only_quiet=True)) == 1
    plane.close()


def test_one_process_at_a_time_makes_releases(plane: ControlPlane, registry: Registry) -> None:
    load(plane, "popularity", POPULARITY)
    with plane.try_lock("row-releases") as held:
        assert held
        assert make(plane, registry) == []
    assert len(make(plane, registry)) == 1


def test_a_release_of_a_pipeline_stays_until_it_is_taken_over(
    plane: ControlPlane, registry: Registry
) -> None:
    write_items(pa.table({"item_id": ["z"]}), Path("z.rsa"), rows=1)
    theirs = publish_release(registry, "shop", "home", {"catalog": Path("z.rsa")})
    load(plane, "popularity", POPULARITY)
    (error,) = make(plane, registry)
    assert error is not None
    assert "was not made from rows" in error
    assert registry.find("shop", "home") == theirs
    assert make(plane, registry, only_quiet=True) == []
    assert make(plane, registry, take_over=True) != [theirs.version]
    assert registry.find("shop", "home").parent == theirs.version


def test_what_cannot_be_built_is_told_once_and_leaves_the_release(
    plane: ControlPlane, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(plane, "popularity", POPULARITY)
    (version,) = make(plane, registry)

    def fail(*_: object) -> None:
        raise BuildError("no such luck")

    load(plane, "catalog", CATALOG)
    with monkeypatch.context() as patched:
        patched.setattr("recsys.rows.release.build_surface", fail)
        assert make(plane, registry) == ["no such luck"]
        assert make(plane, registry, only_quiet=True) == []
    assert registry.find("shop", "home").version == version
    with plane.read() as reader:
        release = find_row_release(reader, "shop", "home")
    assert release is not None
    assert (release.error, release.versions) == ("no such luck", (version,))
    (after,) = make(plane, registry)
    assert after not in (version, "no such luck")


def test_signals_of_which_no_item_is_in_the_catalog_are_left_out(
    plane: ControlPlane, registry: Registry
) -> None:
    load(plane, "popularity", POPULARITY)
    load(plane, "cooc", COOC)
    load(plane, "catalog", b"item_id,surface\nq,home\n")
    make(plane, registry)
    assert set(registry.find("shop", "home").current) == {"catalog"}


def test_whoever_is_killed_once_the_pointer_has_moved_goes_on_the_next_time(
    plane: ControlPlane, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(plane, "popularity", POPULARITY)
    point = registry.point

    def point_and_die(*arguments: object) -> None:
        point(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(registry, "point", point_and_die)
        with pytest.raises(KeyboardInterrupt):
            make(plane, registry)
    current = registry.find("shop", "home").version
    assert make(plane, registry) == [current]  # it knows the release as its own
    settle_moves(plane, registry, "shop", "home")
    load(plane, "popularity", POPULARITY.replace(b"16", b"17"))
    (after,) = make(plane, registry)
    entries = [one for one in reversed(plane.audit_entries("shop")) if one.action == "release.publish"]
    assert [(one.before, one.after) for one in entries] == [(None, current), (current, after)]
