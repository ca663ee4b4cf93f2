"""The native ranker gives what the plain-Python reference gives: same items, order, scores and reasons."""

import math
import random
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys import _native
from recsys.ranking import reference
from recsys.ranking.reference_sessions import Sessions

NOW_MS = 1_000
TAGS = ["t0", "t1", "t2", "t3", "t4"]
LABELS = ["a", "b", None]
# Few distinct values, so that ties are common; all exact in single precision.
SCORES = [0.0, 0.25, 0.5, 0.5, 1.0, 1.0, 2.0, 3.5, 7.0, 100.0, -0.5]
SEGMENTS = ["default", "mobile"]
USERS = ["u1", "u2"]


class World:
    """A random catalog and signals over it, on disk for the native ranker and in memory for the reference."""

    scores: Sequence[float] = SCORES
    weights: Sequence[float] = (0.0, 0.3, 1.0, 2.5)
    multipliers: Sequence[float] = (0.0, 0.3, 1.1, 3.0)
    most_boosts = 3

    def __init__(self, rng: random.Random, folder: Path, n_items: int) -> None:
        self.rng, self.folder = rng, folder
        self.ids = [f"i{n}" for n in range(n_items)]
        self.items = {item_id: self.item() for item_id in self.ids}
        rows = self.items.values()
        path = str(folder / "catalog")
        _native.build_catalog(
            path,
            self.ids,
            tags=[sorted(row.tags) for row in rows],
            brands=[row.brand for row in rows],
            categories=[row.category for row in rows],
            created_at_ms=[row.created_at_ms for row in rows],
            valid_until_ms=[row.valid_until_ms for row in rows],
            available=[row.available for row in rows],
        )
        self.catalog = _native.Catalog.open(path)
        self.lists = {
            "popularity": {key: self.ranking(n_items) for key in SEGMENTS[: rng.randint(1, 2)]},
            "cooc": {key: self.ranking(8) for key in rng.sample(self.ids, n_items // 2)},
            "content_sim": {key: self.ranking(8) for key in rng.sample(self.ids, n_items // 2)},
            "implicit": {key: self.ranking(12) for key in USERS[: rng.randint(1, 2)]},
        }
        self.signals = {
            "popularity": self.signal("popularity", "segment"),
            "cooc": self.signal("cooc", "item"),
            "content_sim": self.signal("content_sim", "item"),
            "implicit": self.signal("implicit", "user"),
        }
        self.sessions = self.some_sessions() if n_items > 1 else []
        self.index = self.session_index()

    def item(self) -> reference.Item:
        rng = self.rng
        return reference.Item(
            tags=frozenset(rng.sample(TAGS, rng.randint(0, 3))),
            brand=rng.choice(LABELS),
            category=rng.choice(LABELS),
            available=rng.random() > 0.1,
            valid_until_ms=rng.choice([None, None, NOW_MS, NOW_MS + 1]),
            created_at_ms=rng.choice([None, -5, 0, 3, 3, 9]),
        )

    def ranking(self, longest: int) -> reference.Ranking:
        items = self.rng.sample(self.ids, self.rng.randint(0, min(longest, len(self.ids))))
        return sorted(
            ((i, self.rng.choice(self.scores)) for i in items),
            key=lambda entry: (-entry[1], entry[0].encode()),
        )

    def signal(self, kind: str, key_type: str) -> _native.Signal:
        packer = _native.SignalPacker(self.catalog, kind=kind, key_type=key_type)
        for key, ranking in self.lists[kind].items():
            packer.push(key, [item for item, _ in ranking], [score for _, score in ranking])
        packer.finish(str(self.folder / kind))
        return _native.Signal.open(str(self.folder / kind))

    def some_sessions(self) -> list[frozenset[str]]:
        """Past sessions, latest first."""
        rng = self.rng
        longest = min(6, len(self.ids))
        return [frozenset(rng.sample(self.ids, rng.randint(2, longest))) for _ in range(rng.randint(0, 40))]

    def session_index(self) -> _native.SessionIndex:
        builder = _native.SessionKnnBuilder(
            self.catalog,
            sessions_per_item=self.rng.choice([1, 3, 50]),
            memory_bytes=1 << 20,
            scratch_dir=str(self.folder),
        )
        rows = [(n, item) for n, session in enumerate(self.sessions) for item in session]
        self.rng.shuffle(rows)
        builder.push(
            array("Q", [n for n, _ in rows]),
            array("I", [self.catalog.ordinal(item) or 0 for _, item in rows]),
            array("q", [-n for n, _ in rows]),
            array("f", [1.0 for _ in rows]),
        )
        builder.finish(str(self.folder / "session_knn"))
        return _native.SessionIndex.open(str(self.folder / "session_knn"))

    def session_source(self) -> tuple[_native.Source, reference.Source]:
        rng = self.rng
        search = {
            "recent_sessions": rng.choice([1, 4, 10, 100]),
            "neighbors": rng.choice([1, 3, 10, 100]),
            "last_items": rng.choice([1, 2, 3, 9]),
        }
        weight, normalizer = rng.choice([0.0, 0.3, 2.5]), rng.choice(["saturating", "max", "none"])
        native = _native.Source.of_sessions(
            "session_knn", self.index, **search, weight=weight, weight_group="cooc", normalizer=normalizer
        )
        most = min(search["recent_sessions"], self.index.sessions_per_item)
        sessions = Sessions(self.sessions, most, search["neighbors"], search["last_items"])
        source = reference.Source("session_knn", {}, "item", weight, "cooc", normalizer, sessions=sessions)
        return native, source

    def some(self, ids: Sequence[str], most: int) -> list[str]:
        return [self.rng.choice([*ids, "unknown"]) for _ in range(self.rng.randint(0, most))]

    def plans(self) -> tuple[_native.Plan, reference.Plan]:
        rng = self.rng
        kinds = [("popularity", "segment", "pop"), ("cooc", "item", "cooc"), ("implicit", "user", "emb")]
        kinds.append(("content_sim", "item", "emb"))
        sources = [
            reference.Source(
                name=kind,
                lists=self.lists[kind],
                key_type=key_type,
                weight=rng.choice(self.weights),
                weight_group=group,
                normalizer=rng.choice(["saturating", "max", "none"]),
                key=rng.choice([*SEGMENTS, "missing"]) if key_type == "segment" else None,
            )
            for kind, key_type, group in rng.sample(kinds, rng.randint(0, 4))
        ]
        keys = rng.sample([*SEGMENTS, "missing"], rng.randint(0, 3))
        ladder = [(f"segment {key}", self.lists["popularity"].get(key, ())) for key in keys]
        rungs = [_native.Rung.of_signal(f"segment {key}", self.signals["popularity"], key) for key in keys]
        if rng.random() < 0.5:
            ladder.append(("newest", None))
            rungs.append(_native.Rung.newest("newest"))
        rules = {
            "blocked": [(f"b{n}", self.some(self.ids, 4)) for n in range(rng.randint(0, 2))],
            "boosts": [
                (f"x{n}", self.some(self.ids, 6), rng.choice(self.multipliers))
                for n in range(rng.randint(0, self.most_boosts))
            ],
            "pins": [(f"p{n}", self.some(self.ids, 3)) for n in range(rng.randint(0, 2))],
            "max_pins": rng.randint(0, 4),
        }
        options = {
            "anchor_decay": rng.choice([0.0, 0.5, 0.9, 1.0]),
            "brand_cap": rng.choice([None, None, 0, 1, 3]),
            "category_cap": rng.choice([None, None, 1, 4]),
            "mmr_lambda": rng.choice([None, None, 0.0, 0.3, 0.7, 1.0]),
            "mmr_pool": rng.choice([1, 5, 200]),
        }
        searched = self.session_source()
        at = rng.randint(0, len(sources)) if rng.random() < 0.7 else None
        natives = [
            _native.Source(
                source.name,
                self.signals[source.name],
                key=source.key,
                weight=source.weight,
                weight_group=source.weight_group,
                normalizer=source.normalizer,
            )
            for source in sources
        ]
        if at is not None:
            natives.insert(at, searched[0])
            sources.insert(at, searched[1])
        native = _native.Plan(
            self.catalog,
            natives,
            ladder=rungs,
            rules=_native.RuleSet(self.catalog, **rules),
            **options,
        )
        return native, reference.Plan(self.items, sources, ladder, **rules, **options)

    def request(self) -> reference.Request:
        rng = self.rng
        return reference.Request(
            k=rng.choice([1, 3, 10, 50]),
            now_ms=NOW_MS,
            anchors=self.some(self.ids, 6),
            user=rng.choice([None, *USERS, "unknown"]),
            include=rng.choice([None, None, None, self.some(self.ids, 12)]),
            exclude=self.some(self.ids, 5),
            required_tags=rng.choice([[], [], self.some(TAGS, 2)]),
            forbidden_tags=rng.choice([[], [], self.some(TAGS, 2)]),
            max_per_tag={tag: rng.randint(0, 3) for tag in rng.choice([[], self.some(TAGS, 3)])},
            weights=rng.choice([None, None, (1.0, 0.5, 0.0), (0.0, 0.0, 0.0)]),
            offset=rng.choice([0, 0, 0, 2, 7]),
            seen=rng.choice([[], self.some(self.ids, 12)]),
            damping=rng.choice([None, 0.0, 0.25, 0.5, 1.0]),
        )


def rank_natively(plan: _native.Plan, request: reference.Request, *, explain: bool = False) -> _native.Ranked:
    return plan.rank(
        **{name: getattr(request, name) for name in request.__dataclass_fields__}, explain=explain
    )


def assert_same(native: _native.Plan, plan: reference.Plan, request: reference.Request) -> None:
    ranked = rank_natively(native, request)
    expected = reference.rank(plan, request)
    assert list(zip(ranked.item_ids, ranked.scores, ranked.reasons, strict=True)) == expected, (plan, request)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), n_items=st.integers(1, 40))
def test_small_worlds_rank_as_in_the_reference(seed: int, n_items: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(random.Random(seed), Path(folder), n_items)
        for _ in range(4):
            native, plan = world.plans()
            for _ in range(4):
                assert_same(native, plan, world.request())


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_long_lists_that_are_streamed_rank_as_in_the_reference(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(random.Random(seed), Path(folder), 900)
        for _ in range(4):
            native, plan = world.plans()
            for _ in range(3):
                assert_same(native, plan, world.request())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_pages_are_the_parts_of_one_list(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(random.Random(seed), Path(folder), 40)
        native, _ = world.plans()
        fields = {**vars(world.request()), "offset": 0, "k": 30}
        whole = native.rank(**fields).item_ids
        pages = [native.rank(**{**fields, "offset": start, "k": 10}).item_ids for start in (0, 10, 20)]
        assert [item for page in pages for item in page] == whole


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_contributions_times_boosts_add_up_to_the_score(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(random.Random(seed), Path(folder), 40)
        native, _ = world.plans()
        ranked = rank_natively(native, world.request(), explain=True)
        rows = zip(
            ranked.scores,
            ranked.reasons,
            ranked.contributions,
            ranked.boosts,
            ranked.dampings,
            strict=True,
        )
        for score, reasons, contributions, boosts, damping in rows:
            if any(reason.startswith("fallback:") for reason in reasons):
                assert len(contributions) == 1
                assert boosts == []
            assert ("seen" in reasons) == (damping is not None)
            total = 0.0  # step by step, as sum() compensates for rounding
            for *_, weighted in contributions:
                total += weighted
            total *= math.prod((multiplier for _, multiplier in boosts), start=1.0)
            assert score == (total if damping is None else total * damping)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), weight=st.floats(0, 1))
def test_steps_of_mmr_say_how_each_item_was_taken(seed: int, weight: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(random.Random(seed), Path(folder), 40)
        source = _native.Source(
            "popularity", world.signals["popularity"], key="default", weight=1.0, weight_group="pop"
        )
        plan = _native.Plan(world.catalog, [source], mmr_lambda=weight, mmr_pool=30)
        by_score = _native.Plan(world.catalog, [source]).rank(30, NOW_MS).item_ids
        ranked = plan.rank(10, NOW_MS, explain=True)
        taken: list[str] = []
        for item, step in zip(ranked.item_ids, ranked.mmr_steps, strict=True):
            assert step is not None
            place, weight_used, relevance, similarity, value = step
            assert weight_used == weight
            features = world.items[item].features
            others = [reference.jaccard(features, world.items[other].features) for other in taken]
            assert by_score[place] == item
            assert similarity == max(others, default=0.0)
            assert value == weight * relevance - (1 - weight) * similarity
            taken.append(item)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_items_left_out_are_named_with_the_filter_and_the_rule(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(random.Random(seed), Path(folder), 40)
        native, plan = world.plans()
        ranked = rank_natively(native, world.request(), explain=True)
        named = ranked.filtered_items
        assert len({item for item, *_ in named}) == len(named)
        assert {reason for _, reason, _ in named} <= ranked.filtered.keys()
        assert len(named) <= sum(ranked.filtered.values())
        for item, reason, rule in named:
            rules = [rule_id for rule_id, items in plan.blocked if item in items]
            assert rule == (rules[0] if reason == "blocked" else None)
