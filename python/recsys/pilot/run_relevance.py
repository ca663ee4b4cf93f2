"""Phase 2 of the pilot run: a blend is built, published, compared with the baseline offline, and shipped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.artifacts.cache import ArtifactCache
from recsys.contracts.config import parse_config
from recsys.contracts.records import Outcome, RankList
from recsys.demo.retail import SURFACE, TENANT
from recsys.pilot.baskets import Basket, baskets_of
from recsys.pilot.journal import StepRecord
from recsys.pilot.replay_baskets import ReplayResult
from recsys.pilot.run_baseline import catalog_ids
from recsys.pilot.world import BASELINE_WEEK, PilotError, World
from recsys.ranking.snapshot import Snapshot

K = 20
BLEND = {"mode": "blend", "weights": {"pop": 0.2, "cooc": 1.0, "emb": 0.0}, "anchor_decay": 0.95}


class _Metric(msgspec.Struct):
    metric: str
    k: int | None
    value: float


class _System(msgspec.Struct):
    system: str
    metrics: list[_Metric]


class _Offline(msgspec.Struct):
    systems: list[_System]


class _OfflineReport(msgspec.Struct):
    offline: _Offline


def publish_blend(world: World, record: StepRecord) -> None:
    """The pipeline takes 48 weeks through its gates to popularity and co-visitation, and publishes them."""
    times = pc.min_max(pq.read_table(world.files.interactions, columns=["ts"])["ts"])
    first, last = (times[name].as_py().date() for name in ("min", "max"))
    world.command(
        record,
        *("pipeline", "run", *world.surface(), "--from", str(first), "--to", str(last)),
        *("--interactions", str(world.files.interactions), "--catalog", str(world.files.items)),
    )
    manifest = world.registry().find(TENANT, SURFACE)
    record.measured |= {
        "release": manifest.version[:12],
        "kinds": ", ".join(sorted(manifest.current)),
        "window": f"{first} to {last}",
    }


def put_rules(world: World, record: StepRecord) -> None:
    """A merchandiser previews a rule, and puts it: one brand is boosted, one item is not shown."""
    none = world.write("no-rules.json", [])
    world.command(record, "rules", "put", str(none), *world.tenant(), "--comment", "to go back to")
    rules = [
        {
            "rule_id": "own-brand",
            "action": "BOOST",
            "target_type": "TAG",
            "target_key": "private",
            "boost": 0.05,
        },
        {"rule_id": "recalled", "action": "BLOCK", "target_type": "ITEM", "target_key": "1082185"},
    ]
    sample = {"surface": SURFACE, "segment": "default", "k": 5, "user": {"user_id": "u"}}
    preview = world.service.post(
        f"/v1/admin/tenants/{TENANT}/rules/preview", {"rules": rules, "request": sample}, x_org_id=TENANT
    )
    if preview.status != 200:
        raise PilotError(
            f"the preview was answered {preview.status}: {preview.body.decode(errors='replace')}"
        )
    path = world.write("rules.json", rules)
    world.command(record, "rules", "put", str(path), *world.tenant(), "--comment", "recall and own brand")
    record.measured["rules"] = f"{len(rules)}, previewed before they were put"


def compare_offline(world: World, record: StepRecord, baseline: ReplayResult) -> None:
    """The blend ranks the requests of the baseline's week; both are scored on what was bought."""
    baskets = baskets_of(world.data, range(BASELINE_WEEK, BASELINE_WEEK + 1), catalog_ids(world), world.scale)
    folder = world.evidence / "offline-input"
    folder.mkdir(parents=True, exist_ok=True)
    at = datetime.now(UTC)
    with world.pseudonyms() as pseudonym_of:
        served = [
            (basket, request_id, pseudonym_of(basket.household))
            for basket, request_id in zip(baskets, baseline.request_ids, strict=True)
            if request_id is not None
        ]
    ranked = _rank_all(world, [basket for basket, _, _ in served], BLEND)
    popular = _rank_all(world, [basket for basket, _, _ in served], {"mode": "popularity"})
    for name, lists in (("blend", ranked), ("popularity", popular)):
        rows = [
            RankList(request_id=request_id, user_id=user, ts=at, items=items, context={"surface": SURFACE})
            for (_, request_id, user), items in zip(served, lists, strict=True)
        ]
        _write_lines(folder / f"{name}.jsonl", rows)
    bought = [
        Outcome(request_id=request_id, user_id=user, item_id=item, event_type="conversion", ts=at)
        for basket, request_id, user in served
        for item in basket.rest
    ]
    _write_lines(folder / "bought.jsonl", bought)
    out = world.evidence / "offline"
    world.command(
        record,
        *("eval", "offline", "--exposures", str(world.data_dir / "logs" / "exposures")),
        *("--outcomes", str(folder / "bought.jsonl"), "--out", str(out)),
        *(
            "--baseline",
            f"file:{folder / 'popularity.jsonl'}",
            "--candidate",
            f"file:{folder / 'blend.jsonl'}",
        ),
        *("--k", str(K), "--replicates", "300"),
    )
    record.files += [
        (out / name).relative_to(world.folder).as_posix() for name in ("report.html", "report.json")
    ]
    report = msgspec.json.decode((out / "report.json").read_bytes(), type=_OfflineReport)
    for system in report.offline.systems:
        for one in system.metrics:
            if one.metric in ("hit_rate", "ndcg", "recall") and one.k == K:
                name = Path(system.system.removeprefix("file:")).stem
                record.measured[f"{one.metric.replace('_', ' ')} at {K}, {name}"] = f"{one.value:.4f}"


def check_ship_list(world: World, record: StepRecord) -> None:
    """The ship checklist finds its evidence: trusted logs, a better candidate, a way back."""
    page = world.evidence / "ship-checklist.html"
    world.command(record, "rules", "rollback", *world.tenant(), "--comment", "rehearsal")
    world.command(record, "rules", "put", str(world.write_path("rules.json")), *world.tenant())
    world.command(
        record,
        *("pilot", "checklist", *world.surface(), "--evidence", str(world.evidence), "--html", str(page)),
    )
    record.files.append(page.relative_to(world.folder).as_posix())


def ship(world: World, record: StepRecord) -> None:
    """The config makes the blend what everybody gets."""
    config = {"defaults": BLEND, "surfaces": {SURFACE: {"schedule_hours": 24}}}
    printed = world.command(
        record,
        *("config", "put", str(world.write("blend.json", config)), *world.tenant()),
        *("--comment", "ship the blend"),
    )
    version = printed.strip()
    world.wait_for_version("config_version", version)
    record.measured["config version"] = version[:12]


def _rank_all(world: World, baskets: Sequence[Basket], defaults: dict[str, object]) -> list[list[str]]:
    """Rank what each basket asks for by the current release, as the service would with these defaults."""
    registry = world.registry()
    manifest = registry.find(TENANT, SURFACE)
    files = ArtifactCache(world.data_dir / "cache" / "artifacts").fetch(registry, manifest)
    config = parse_config(msgspec.json.encode({"defaults": defaults}))
    snapshot = Snapshot(TENANT, SURFACE, files, manifest_version=manifest.version, config=config)
    now = datetime.now(UTC)
    plan = snapshot.plan("default", now).plan
    now_ms = int(now.timestamp() * 1000)
    return [plan.rank(K, now_ms, anchors=list(basket.known)).item_ids for basket in baskets]


def _write_lines(path: Path, records: Sequence[msgspec.Struct]) -> None:
    path.write_bytes(msgspec.json.Encoder().encode_lines(list(records)))
