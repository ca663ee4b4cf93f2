import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest

from recsys._native import Catalog, Signal
from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.registry import open_registry
from recsys.cli.main import run
from recsys.contracts.manifest import Manifest
from recsys.contracts.pipeline import SignalKind
from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane
from recsys.pipelines.build.request import BuildInput
from recsys.pipelines.ingest import Ingested, canonical_files, ingest
from recsys.pipelines.input.errors import InputError, TooManyBadRowsError
from recsys.pipelines.input.files import find_input_files
from recsys.pipelines.input.mapping import ColumnMapping
from recsys.pipelines.input.quarantine import BadRowLimit
from recsys.pipelines.kinds import KINDS
from recsys.pipelines.workspace import PipelineError, Workspace, file_digest

ITEMS = [f"item-{n}" for n in range(8)]
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)

Row = dict[str, object]


def shop_rows(
    days: range = range(10), *, per_day: int = 30, tenant: str = "shop", surface: str = "home"
) -> list[Row]:
    """Return the rows of some days: sessions of three items, item-0 most often."""
    rows: list[Row] = []
    for day in days:
        for n in range(per_day):
            moment = FIRST_DAY + timedelta(days=day, minutes=n)
            rows.append(
                {
                    "v": 1,
                    "ts": moment.isoformat(),
                    "tenant": tenant,
                    "surface": surface,
                    "session_id": f"{day}-{n // 3}",
                    "item_id": ITEMS[0] if n % 3 == 0 else ITEMS[1 + (n + day) % 7],
                    "user_id": f"user-{n % 5}",
                }
            )
    return rows


def write_rows(path: Path, rows: list[Row]) -> Path:
    """Write rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with interactions and items; it is the current one."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "interactions.jsonl", shop_rows())
    write_rows(tmp_path / "items.jsonl", [{"item_id": item, "tags": ["all"]} for item in ITEMS])
    return tmp_path


FIRST, LAST = date(2026, 1, 1), date(2026, 1, 10)


@pytest.fixture
def workspace(shop: Path) -> Workspace:
    return Workspace(shop / "data", "shop", "home")


def given(*paths: Path | str, mapping: ColumnMapping | None = None) -> BuildInput:
    return BuildInput(find_input_files(list(paths)), mapping)


def contents(workspace: Workspace) -> dict[str, tuple[int, str]]:
    return {
        path.name: (path.stat().st_mtime_ns, file_digest(path))
        for path in sorted((workspace.folder / "canonical").iterdir())
    }


def test_a_day_has_its_rows_once_and_in_order(workspace: Workspace, shop: Path) -> None:
    rows = shop_rows(range(2)) * 2
    random.Random(4).shuffle(rows)
    others = shop_rows(range(2), tenant="other") + shop_rows(range(2), surface="cart")
    write_rows(shop / "mixed.jsonl", rows + others)
    report = ingest(workspace, given("mixed.jsonl"), FIRST, date(2026, 1, 2))
    assert (report.rows, report.duplicates, report.other, report.days_changed) == (120, 60, 120, 2)
    table = pq.read_table(workspace.day_file(FIRST))
    assert table.num_rows == 30
    assert table["ts"].to_pylist() == sorted(table["ts"].to_pylist())
    assert table["ts"][0].as_py() == FIRST_DAY
    assert [path.name for path in canonical_files(workspace, FIRST, LAST)] == [
        "day=2026-01-01.parquet",
        "day=2026-01-02.parquet",
    ]


def test_the_order_and_format_of_the_input_do_not_matter(workspace: Workspace, shop: Path) -> None:
    ingest(workspace, given("interactions.jsonl"), FIRST, LAST)
    before = {name: digest for name, (_, digest) in contents(workspace).items()}
    rows = shop_rows()
    random.Random(4).shuffle(rows)
    write_rows(shop / "parts" / "a.jsonl", rows[:100])
    write_rows(shop / "parts" / "b.jsonl", rows[100:])
    other = Workspace(shop / "elsewhere", "shop", "home")
    ingest(other, given("parts"), FIRST, LAST)
    assert {name: digest for name, (_, digest) in contents(other).items()} == before


def test_a_rerun_changes_nothing_unless_its_input_did(workspace: Workspace, shop: Path) -> None:
    ingest(workspace, given("interactions.jsonl"), FIRST, LAST)
    before = contents(workspace)
    again = ingest(workspace, given("interactions.jsonl"), FIRST, LAST)
    assert (again.days_kept, again.days_changed) == (10, 0)
    assert contents(workspace) == before
    write_rows(shop / "interactions.jsonl", [*shop_rows(), shop_rows(range(3, 4))[0] | {"item_id": "item-7"}])
    changed = ingest(workspace, given("interactions.jsonl"), FIRST, LAST)
    assert (changed.days_kept, changed.days_changed) == (0, 1)
    after = contents(workspace)
    assert {name for name in before if before[name] != after[name]} == {"day=2026-01-04.parquet"}


def test_a_lost_day_is_made_again(workspace: Workspace) -> None:
    ingest(workspace, given("interactions.jsonl"), FIRST, LAST)
    workspace.day_file(LAST).unlink()
    assert ingest(workspace, given("interactions.jsonl"), FIRST, LAST).days_kept == 9
    assert workspace.day_file(LAST).is_file()


def test_incremental_reads_for_new_days_only(workspace: Workspace, shop: Path) -> None:
    write_rows(shop / "interactions.jsonl", shop_rows(range(4)))
    ingest(workspace, given("interactions.jsonl"), FIRST, date(2026, 1, 4))
    before = contents(workspace)
    write_rows(shop / "interactions.jsonl", shop_rows(range(5), per_day=12))
    report = ingest(workspace, given("interactions.jsonl"), FIRST, date(2026, 1, 5), incremental=True)
    assert (report.rows, report.days_kept, report.days_changed) == (12, 4, 1)
    assert {name: value for name, value in contents(workspace).items() if name in before} == before


def test_incremental_reads_a_day_again_that_was_not_over(workspace: Workspace, shop: Path) -> None:
    during, after = datetime(2026, 1, 4, 3, 10, tzinfo=UTC), datetime(2026, 1, 5, 0, 0, tzinfo=UTC)

    def ingest_at(now: datetime, per_day: int) -> Ingested:
        write_rows(shop / "interactions.jsonl", shop_rows(range(4), per_day=per_day))
        last = date(2026, 1, 4)
        return ingest(workspace, given("interactions.jsonl"), FIRST, last, incremental=True, now=now)

    assert ingest_at(during, 3).rows == 12
    again = ingest_at(during + timedelta(hours=20), 6)
    assert (again.rows, again.days_kept, again.days_changed) == (6, 3, 1)
    assert ingest_at(after, 9).rows == 9
    assert workspace.checkpoints().days["2026-01-04"].rows == 9
    assert ingest_at(after, 12).days_kept == 4


def test_days_with_rows_are_not_emptied_unless_told_to(
    shop: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest(workspace, given("interactions.jsonl"), FIRST, LAST)
    before, known = contents(workspace), workspace.checkpoints()
    write_rows(shop / "interactions.jsonl", shop_rows(range(9, 10), per_day=12))
    command = ["pipeline", "ingest", *OF, *DAYS, "--interactions", "interactions.jsonl"]
    assert run(command) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "for 9 days (2026-01-01, 2026-01-02, " in told
    assert "2026-01-09) that had some; nothing was changed" in told
    assert "--allow-empty-days" in told
    assert (contents(workspace), workspace.checkpoints()) == (before, known)
    assert run([*command, "--allow-empty-days"]) == 0
    assert list(contents(workspace)) == ["day=2026-01-10.parquet"]


def test_no_row_for_the_days_to_be_read_names_the_range_and_what_is_kept(
    workspace: Workspace, shop: Path
) -> None:
    ingest(workspace, given("interactions.jsonl"), FIRST, LAST)
    with pytest.raises(PipelineError) as told:
        ingest(workspace, given("interactions.jsonl"), FIRST, date(2026, 1, 12), incremental=True)
    assert (
        "between 2026-01-01 and 2026-01-12 on the 2 days (2026-01-11, 2026-01-12) to be read, "
        "beside the 10 kept as they are: 300 rows read" in str(told.value)
    )


def test_an_input_without_rows_of_the_range_is_an_error_and_changes_nothing(
    workspace: Workspace, shop: Path
) -> None:
    ingest(workspace, given("interactions.jsonl"), FIRST, LAST)
    before = contents(workspace)
    write_rows(shop / "other.jsonl", shop_rows(tenant="other"))
    with pytest.raises(PipelineError, match="no interaction of shop/home between 2026-01-01 and 2026-01-10"):
        ingest(workspace, given("other.jsonl"), FIRST, LAST)
    with pytest.raises(InputError, match="no such file"):
        ingest(workspace, given("absent.jsonl"), FIRST, LAST)
    assert contents(workspace) == before
    assert ingest(workspace, given("interactions.jsonl"), FIRST, LAST).days_kept == 10
    with pytest.raises(PipelineError, match="is after"):
        ingest(workspace, given("interactions.jsonl"), LAST, FIRST)


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (range(3, 9), "those of shop/home are of 2026-01-04 to 2026-01-09"),
        (range(3, 4), "those of shop/home are of 2026-01-04"),
        (range(0), "no row is of shop/home"),
    ],
    ids=["days", "day", "none"],
)
def test_a_range_without_rows_is_told_which_days_there_are(
    workspace: Workspace, shop: Path, days: range, told: str
) -> None:
    write_rows(shop / "interactions.jsonl", shop_rows(range(20, 40), tenant="other") + shop_rows(days))
    with pytest.raises(PipelineError) as error:
        ingest(workspace, given("interactions.jsonl"), date(2025, 1, 1), date(2025, 1, 31))
    assert str(error.value).endswith(f"of others or other days; {told}")


def test_too_many_bad_rows_change_nothing(workspace: Workspace, shop: Path) -> None:
    write_rows(shop / "bad.jsonl", [*shop_rows(), {"v": 1, "ts": "yesterday"}])
    with pytest.raises(TooManyBadRowsError):
        ingest(workspace, BuildInput(find_input_files(["bad.jsonl"]), limit=BadRowLimit(0.0)), FIRST, LAST)
    assert not (workspace.folder / "canonical").exists()
    assert workspace.checkpoints().days == {}


def test_a_run_that_was_killed_between_day_and_checkpoint_is_run_again(
    workspace: Workspace, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = (shop / "interactions.jsonl").read_bytes()
    ingest(workspace, given("interactions.jsonl"), FIRST, LAST)
    before = {name: digest for name, (_, digest) in contents(workspace).items()}
    write_rows(shop / "other.jsonl", shop_rows(per_day=9))
    remember, calls = workspace.remember, 0

    def die_on_the_second(checkpoints: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        remember(checkpoints)

    monkeypatch.setattr(workspace, "remember", die_on_the_second)
    with pytest.raises(KeyboardInterrupt):
        ingest(workspace, given("other.jsonl"), FIRST, LAST)
    monkeypatch.undo()
    assert (shop / "interactions.jsonl").read_bytes() == original
    ingest(workspace, given(shop / "interactions.jsonl"), FIRST, LAST)
    assert {name: digest for name, (_, digest) in contents(workspace).items()} == before


def test_a_segment_is_kept_or_given(workspace: Workspace, shop: Path) -> None:
    mapping = ColumnMapping(columns={"segment": "group"})
    rows = [row | {"group": "young" if n % 2 else "old"} for n, row in enumerate(shop_rows())]
    write_rows(shop / "grouped.jsonl", rows)
    report = ingest(workspace, given("grouped.jsonl", mapping=mapping), FIRST, LAST, segment="young")
    assert (report.rows, report.other) == (150, 150)
    given_all = ingest(workspace, given("interactions.jsonl"), FIRST, LAST, segment="young")
    assert given_all.rows == 300
    assert set(pq.read_table(workspace.day_file(FIRST))["segment"].to_pylist()) == {"young"}


OF = ["--tenant", "shop", "--surface", "home"]
DAYS = ["--from", "2026-01-01", "--to", "2026-01-10"]
RUN = ["pipeline", "run", *OF, *DAYS, "--interactions", "interactions.jsonl", "--catalog", "items.jsonl"]


def settings(**gates: object) -> list[str]:
    document = {"cooc": {"min_support": 1}, "gates": gates}
    Path("settings.json").write_text(json.dumps(document))
    return ["--settings", "settings.json"]


def current() -> Manifest | None:
    found = open_registry("data/registry").current("shop", "home")
    return None if found is None else found.manifest


def audit() -> list[tuple[str, str]]:
    plane = ControlPlane.open(StoreLocation(Path("data/control")))
    entries = [(entry.action, entry.comment) for entry in plane.audit_entries("shop")]
    plane.close()
    return entries


def test_a_run_ends_in_a_release_and_a_rerun_changes_nothing(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*RUN, *settings(), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    manifest = current()
    assert manifest is not None
    assert report["published"]["manifest"]["version"] == manifest.version
    assert set(manifest.current) == {"catalog", "popularity", "cooc"}
    popularity = manifest.artifacts["popularity"]
    assert popularity.window is not None
    assert popularity.window.end == datetime(2026, 1, 10, 0, 29, tzinfo=UTC)
    paths = ArtifactCache(shop / "cache").fetch(open_registry("data/registry"), manifest)
    catalog = Catalog.open(str(paths["catalog"]))
    ranked = Signal.open(str(paths["popularity"])).ranked(catalog, "default", 8)
    assert ranked is not None
    assert ranked[0][0] == "item-0"
    assert run([*RUN, *settings(), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert not again["published"]["is_new"]
    assert [built["is_new"] for built in again["built"]] == [False, False, False]
    assert audit() == [("release.publish", "")]


def test_stages_do_what_a_run_does(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = settings()
    assert run(["pipeline", "publish", *OF, *common]) == 1
    assert "catalog is not built yet" in capsys.readouterr().err
    assert run(["pipeline", "build", "cooc", *OF, *DAYS, *common, "--catalog", "items.jsonl"]) == 1
    assert "nothing is ingested" in capsys.readouterr().err
    assert run(["pipeline", "ingest", *OF, *DAYS, "--interactions", "interactions.jsonl"]) == 0
    assert run(["pipeline", "validate", *OF, *DAYS, *common]) == 0
    for kind in ("popularity", "cooc"):
        assert run(["pipeline", "build", kind, *OF, *DAYS, *common]) == 0
    assert run(["pipeline", "build", "nope", *OF, *DAYS, *common]) == 2
    assert run(["pipeline", "publish", *OF, *common]) == 0
    staged = current()
    assert run([*RUN, *common]) == 0
    assert current() == staged


def test_a_kind_that_there_is_not_is_told_before_anything_else_is_missing(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pipeline", "build", "coc", *OF, *DAYS]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: coc: there is no such kind")
    assert all(kind in error for kind in ("catalog", *KINDS))
    assert not (shop / "data").exists()


@pytest.mark.parametrize(
    ("gates", "complaint"),
    [
        ({"min_rows": 301}, "min_rows: 300, limit 301"),
        ({"min_rows_per_day": 31}, "min_rows_per_day (2026-01-01): 30, limit 31"),
        ({"max_null_users": 0.0}, "max_null_users: 0.1, limit 0"),
        ({"min_catalog_coverage": 1.0}, "min_catalog_coverage: 0.888889, limit 1"),
        ({"max_unknown_items": 0.09}, "max_unknown_items: 0.1, limit 0.09"),
        ({"heavy_session_items": 2}, "max_heavy_sessions: 1, limit 0.01"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_gate_that_fails_stops_the_release_and_says_by_how_much(
    shop: Path, gates: dict[str, object], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = shop_rows()
    for row in rows[::10]:
        row["user_id"] = None
        row["item_id"] = "item-unknown"
    write_rows(shop / "interactions.jsonl", rows)
    write_rows(shop / "items.jsonl", [{"item_id": item} for item in [*ITEMS, "never-sold"]])
    assert run([*RUN, *settings(**{"max_unknown_items": 0.2, **gates})]) == 1
    assert complaint in capsys.readouterr().err
    assert current() is None


def test_days_are_compared_with_those_before(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = shop_rows(range(9)) + shop_rows(range(9, 10), per_day=3)
    write_rows(shop / "interactions.jsonl", rows)
    assert run([*RUN, *settings(max_drop=0.85)]) == 1
    assert "max_drop (2026-01-10): 0.9, limit 0.85" in capsys.readouterr().err
    write_rows(shop / "interactions.jsonl", shop_rows(range(9)) + shop_rows(range(9, 10), per_day=90))
    assert run([*RUN, *settings(max_growth=2.5)]) == 1
    assert "max_growth (2026-01-10): 3, limit 2.5" in capsys.readouterr().err
    write_rows(shop / "interactions.jsonl", shop_rows() * 2)
    assert run([*RUN, *settings(max_duplicates=0.4)]) == 1
    assert "max_duplicates: 0.5, limit 0.4" in capsys.readouterr().err


def test_a_day_without_rows_is_never_published_unnoticed(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(
        shop / "interactions.jsonl", [row for row in shop_rows() if "2026-01-05" not in str(row["ts"])]
    )
    assert run([*RUN, *settings()]) == 1
    assert "min_rows_per_day (2026-01-05): 0, limit 1" in capsys.readouterr().err


def test_an_artifact_that_shrinks_is_stopped_and_force_is_audited(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*RUN, *settings()]) == 0
    first = current()
    write_rows(shop / "interactions.jsonl", [row | {"item_id": "item-0"} for row in shop_rows(per_day=3)])
    tight = settings(max_artifact_shrink=0.01)
    assert run([*RUN, *tight]) == 1
    assert "max_artifact_shrink" in capsys.readouterr().err
    assert current() == first
    assert run([*RUN, *tight, "--force", "--backfill", "--comment", "sale is over"]) == 0
    assert current() != first
    action, comment = audit()[0]
    assert action == "release.force_publish"
    assert comment.startswith("sale is over. forced past 1 failed gates: max_artifact_shrink")


def test_an_older_range_needs_backfill(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*RUN, *settings()]) == 0
    older = [part if part != "2026-01-10" else "2026-01-08" for part in RUN]
    assert run([*older, *settings()]) == 1
    assert "--backfill" in capsys.readouterr().err
    assert run([*older, *settings(), "--backfill"]) == 0


def test_settings_come_from_the_tenants_config(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plane = ControlPlane.open(StoreLocation(Path("data/control")))
    plane.create_tenant("shop", actor="test")
    config = {"pipeline": {"kinds": ["popularity"], "gates": {"min_rows": 301}}}
    plane.put("shop", "config", json.dumps(config).encode(), author="test")
    plane.close()
    assert run(RUN) == 1
    assert "min_rows: 300, limit 301" in capsys.readouterr().err
    for mark in ("", "\ufeff"):  # some editors save a byte order mark
        Path("wrong.toml").write_text(f"{mark}[gates]\nmin_rowz = 3\n", encoding="utf-8")
        assert run([*RUN, "--settings", "wrong.toml"]) == 1
        assert "pipeline.gates" in capsys.readouterr().err


def test_event_weights_and_position_bias_change_what_is_popular(shop: Path) -> None:
    rows = [
        row | {"item_id": item, "event_type": kind, "rank": rank}
        for row, (item, kind, rank) in zip(
            shop_rows(range(1), per_day=4),
            [
                ("item-1", "click", 1),
                ("item-1", "click", 1),
                ("item-2", "conversion", 1),
                ("item-3", "click", 9),
            ],
            strict=True,
        )
    ]
    write_rows(shop / "interactions.jsonl", rows)
    one_day = [part if part != "2026-01-10" else "2026-01-01" for part in RUN]

    def best(**document: object) -> str:
        Path("settings.json").write_text(
            json.dumps({"kinds": ["popularity"], "gates": {"max_artifact_shrink": None}, **document})
        )
        assert run([*one_day, "--settings", "settings.json"]) == 0
        manifest = current()
        assert manifest is not None
        paths = ArtifactCache(shop / "cache").fetch(open_registry("data/registry"), manifest)
        ranked = Signal.open(str(paths["popularity"])).ranked(
            Catalog.open(str(paths["catalog"])), "default", 1
        )
        assert ranked
        return ranked[0][0]

    assert best() == "item-1"
    assert best(event_weights={"conversion": 5}) == "item-2"
    assert best(popularity={"position_eta": 1.0}) == "item-3"
    assert best(popularity={"position_eta": 1.0, "max_position_weight": 1.5}) == "item-1"


def test_columns_of_item_files_are_mapped_by_an_option_of_their_own(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "items.csv").write_text("sku,name\n" + "".join(f"{item},{item} 1l\n" for item in ITEMS))
    command = ["items.csv" if part == "items.jsonl" else part for part in RUN]
    assert run(command) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "no column 'item_id'; the columns are sku, name" in told
    assert "with --catalog-map OURS=THEIRS" in told
    assert "--map OURS" not in told.replace("--catalog-map", "")
    named = ["--catalog-map", "item_id=sku", "--catalog-map", "title=name"]
    assert run([*command, *named, *settings()]) == 0
    found = Catalog.open("data/pipeline/shop/home/build/catalog.rsa").item("item-3")
    assert found is not None
    assert found.title == "item-3 1l"
    assert run([*command, *named[:2], *settings()]) == 0
    found = Catalog.open("data/pipeline/shop/home/build/catalog.rsa").item("item-3")
    assert found is not None
    assert found.title is None
    capsys.readouterr()
    assert run([*command, "--catalog-map", "item_id"]) == 2
    assert "--catalog-map item_id: give it as NAME=VALUE" in capsys.readouterr().err
    assert run(["pipeline", "validate", *OF, *DAYS, *named]) == 2
    assert "--catalog-map goes with item files" in capsys.readouterr().err


def test_a_tenant_that_the_store_does_not_have_is_refused_before_any_work(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*RUN, *settings()]) == 0  # no store, so no tenants to be mistaken about
    assert run([*RUN, *settings()]) == 0  # the store that the audit trail made has none either
    for tenant in ("shop", "shopp"):
        assert run(["tenant", "create", tenant + "y"]) == 0
    capsys.readouterr()
    assert run([*RUN, *settings()]) == 2
    assert "tenant 'shop' does not exist; make it with: recsys tenant create shop" in capsys.readouterr().err
    assert run(["pipeline", "ingest", *OF, *DAYS, "--interactions", "absent.jsonl"]) == 2
    assert run(["tenant", "create", "shop"]) == 0
    assert run([*RUN, *settings()]) == 0


def test_the_kinds_of_the_settings_are_those_that_can_be_built(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(get_args(SignalKind)) == set(KINDS)
    Path("config.json").write_text(json.dumps({"pipeline": {"kinds": ["popularity", "coocc"]}}))
    assert run(["config", "verify", "config.json"]) == 1
    assert "pipeline.kinds[1]" in capsys.readouterr().err


def test_what_is_wrong_with_the_settings_names_their_file(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("a.json", '{"gates": {"max_drop": 2}}'), ("a.toml", "[gates]\nmax_drop = 2.0\n")):
        Path(name).write_text(text)
        assert run([*RUN, "--settings", name]) == 1
        assert f"{name}: pipeline.gates.max_drop: " in capsys.readouterr().err


def test_a_failed_gate_says_what_to_do(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*RUN, *settings(min_rows=301)]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "1 of 9 gates failed: min_rows: 300, limit 301." in told
    assert "(gates.min_rows), or publish all the same with --force" in told


def test_neighbors_and_popular_look_into_the_current_release(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of = ["--tenant", "shop", "--surface", "home"]
    assert run(["artifact", "popular", *of]) == 2
    assert "nothing is published for shop/home" in " ".join(capsys.readouterr().err.split())
    assert run([*RUN, *settings()]) == 0
    capsys.readouterr()
    assert run(["artifact", "popular", *of, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["item_id"] == "item-0"
    assert run(["artifact", "neighbors", "item-1", *of, "--json"]) == 0
    assert "item-0" in {found["item_id"] for found in json.loads(capsys.readouterr().out)}
    Path("settings.json").write_text(json.dumps({"kinds": ["popularity"]}))
    assert run([*RUN, "--settings", "settings.json", "--force"]) == 0
    assert run(["artifact", "neighbors", "item-1", *of]) == 2
    assert "the current release of shop/home has no cooc" in " ".join(capsys.readouterr().err.split())
    assert run(["artifact", "popular", "--tenant", "../shop", "--surface", "home"]) != 0


def test_a_day_of_the_range_that_is_none_is_told_its_format(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pipeline", "ingest", *OF, "--from", "2026-01-1", "--to", "2026-01-10"]) == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "--from" in told
    assert "'2026-01-1' is not a day, such as 2026-01-31" in told


def test_a_file_of_another_shape_is_told_which_columns_it_needs(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("clicks.csv").write_text("time,session_id,sku\n2026-01-01T00:00:00Z,s,item-1\n")
    command = ["pipeline", "ingest", *OF, *DAYS, "--interactions", "clicks.csv"]
    assert run(command) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "no column 'ts', 'item_id'; the columns are time, session_id, sku; " in told
    assert "need ts, session_id (or who it was) and item_id" in told
    assert run([*command, "--map", "ts=time", "--map", "item_id=sku"]) == 0
    Path("clicks.csv").write_text("ts,session_id,item_id\n2026-01-01T00:00:00Z,s,item-1\n")
    assert run(command) == 1
    assert "no column 'v', 'tenant', 'surface'" in " ".join(capsys.readouterr().err.split())
    assert run([*command, "--map", "item_id=item_id"]) == 0
