"""The ranker in plain Python, slow and obvious: what the native one must equal, bit for bit.

It scores every candidate, sorts them all and walks the list: no index, no heap, no early end.
``docs/ranking.md`` states the same semantics in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from recsys.contracts.rules import MAX_BOOST
from recsys.ranking.reference_sessions import Sessions

MAX_SCORE = 1e100
Ranking = Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Item:
    """What a filter may ask of an item. Times are Unix milliseconds."""

    tags: frozenset[str] = frozenset()
    brand: str | None = None
    category: str | None = None
    available: bool = True
    valid_until_ms: int | None = None
    created_at_ms: int | None = None

    @property
    def features(self) -> set[tuple[str, str]]:
        """Tags, brand and category as one set, for similarity."""
        named = [("brand", self.brand), ("category", self.category)]
        return {("tag", tag) for tag in self.tags} | {
            (kind, name) for kind, name in named if name is not None
        }


@dataclass(frozen=True)
class Source:
    """One signal in a mode: ``lists`` by key, each best first, or past ``sessions``."""

    name: str
    lists: Mapping[str, Ranking]
    key_type: Literal["segment", "item", "user"]
    weight: float
    weight_group: Literal["pop", "cooc", "emb"]
    normalizer: Literal["saturating", "max", "none"] = "saturating"
    key: str | None = None
    sessions: Sessions | None = None


@dataclass(frozen=True)
class Plan:
    """As :class:`recsys._native.Plan` and its rules; the list of a rung is ``None`` for the newest items."""

    items: Mapping[str, Item]
    sources: Sequence[Source]
    ladder: Sequence[tuple[str, Ranking | None]] = ()
    blocked: Sequence[tuple[str, Sequence[str]]] = ()
    boosts: Sequence[tuple[str, Sequence[str], float]] = ()
    pins: Sequence[tuple[str, Sequence[str]]] = ()
    max_pins: int = 3
    anchor_decay: float = 1.0
    brand_cap: int | None = None
    category_cap: int | None = None
    mmr_lambda: float | None = None
    mmr_pool: int = 200


@dataclass(frozen=True)
class Request:
    """As the arguments of :meth:`recsys._native.Plan.rank`."""

    k: int
    now_ms: int
    anchors: Sequence[str] = ()
    user: str | None = None
    include: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    required_tags: Sequence[str] = ()
    forbidden_tags: Sequence[str] = ()
    max_per_tag: Mapping[str, int] = field(default_factory=dict)
    weights: tuple[float, float, float] | None = None
    offset: int = 0
    seen: Sequence[str] = ()
    damping: float | None = None


def rank(plan: Plan, request: Request) -> list[tuple[str, float, list[str]]]:
    """The page of the list that ``request`` asks for: (item id, score, reasons), best first."""
    ranker = _Ranker(plan, request)
    ranker.score()
    order = sorted(ranker.scores, key=lambda item: (-ranker.scores[item], item.encode()))
    ranker.pin()
    ranker.fill(order if plan.mmr_lambda is None else ranker.diversify(order, plan.mmr_lambda))
    ranker.refill()
    return ranker.places[request.offset :]


class _Ranker:
    def __init__(self, plan: Plan, request: Request) -> None:
        self.plan, self.request = plan, request
        self.anchors = list(dict.fromkeys(request.anchors))
        self.wanted = request.offset + request.k
        self.places: list[tuple[str, float, list[str]]] = []
        self.taken: Counter[tuple[str, str]] = Counter()
        self.scores: dict[str, float] = {}
        self.found_by: dict[str, list[str]] = {}

    def score(self) -> None:
        for source in self.plan.sources:
            groups = dict(zip(("pop", "cooc", "emb"), self.request.weights or (), strict=False))
            weight = groups.get(source.weight_group, source.weight)
            raws = self.raws(source) if weight > 0 else {}
            for item, raw in raws.items():
                weighted = weight * normalize(source.normalizer, raw, max(raws.values()))
                self.scores[item] = self.scores.get(item, 0.0) + weighted
                self.found_by.setdefault(item, []).append(source.name)
        self.scores = {item: self.damp(item, score * self.boost(item)) for item, score in self.scores.items()}

    def boost(self, item: str) -> float:
        boost = 1.0
        for _, items, multiplier in self.plan.boosts:
            if item in items:
                boost = min(boost * multiplier, MAX_BOOST)
        return boost

    def damp(self, item: str, score: float) -> float:
        """The score, less if the item was seen; a negative one stays."""
        damping = self.request.damping
        return score if damping is None or score <= 0 or item not in self.request.seen else score * damping

    def is_seen_and_dropped(self, item: str) -> bool:
        return self.request.damping is None and item in self.request.seen

    def raws(self, source: Source) -> dict[str, float]:
        if source.sessions is not None:
            return source.sessions.raws(self.anchors)
        if source.key_type != "item":
            key = source.key if source.key_type == "segment" else self.request.user
            return {} if key is None else dict(source.lists.get(key, ()))
        raws: dict[str, float] = {}
        factor = 1.0
        for anchor in self.anchors:
            for item, score in source.lists.get(anchor, ()):
                raws[item] = raws.get(item, 0.0) + factor * score
            factor *= self.plan.anchor_decay
        return raws

    def is_eligible(self, item_id: str) -> bool:
        item, request = self.plan.items[item_id], self.request
        return (
            item.available
            and (item.valid_until_ms is None or item.valid_until_ms > request.now_ms)
            and item_id not in {*request.exclude, *self.anchors}
            and (request.include is None or item_id in request.include)
            and not any(item_id in items for _, items in self.plan.blocked)
            and (not request.required_tags or not item.tags.isdisjoint(request.required_tags))
            and item.tags.isdisjoint(request.forbidden_tags)
            and all(place[0] != item_id for place in self.places)
        )

    def fits(self, item: Item, *, is_pin: bool = False) -> bool:
        """Whether the limits leave room for one more such item."""
        caps = {("tag", tag): cap for tag, cap in self.request.max_per_tag.items()}
        if self.plan.brand_cap is not None and not is_pin:
            caps["brand", str(item.brand)] = self.plan.brand_cap
        if self.plan.category_cap is not None and not is_pin:
            caps["category", str(item.category)] = self.plan.category_cap
        return all(self.taken[feature] < caps[feature] for feature in item.features & caps.keys())

    def take(self, item_id: str, score: float, reasons: Sequence[str] = ()) -> None:
        found_by = [] if reasons and reasons[0].startswith("fallback:") else self.found_by.get(item_id, [])
        boosts = [f"boost:{rule}" for rule, items, _ in self.plan.boosts if found_by and item_id in items]
        is_damped = self.request.damping is not None and item_id in self.request.seen and score >= 0
        last = ["seen"] if is_damped else []
        self.places.append((item_id, score + 0.0, [*found_by, *reasons, *boosts, *last]))
        self.taken.update(self.plan.items[item_id].features)

    def pin(self) -> None:
        for rule, items in self.plan.pins:
            for item in (item for item in items if item in self.plan.items):
                has_room = len(self.places) < min(self.plan.max_pins, self.wanted)
                if has_room and self.is_eligible(item) and self.fits(self.plan.items[item], is_pin=True):
                    self.take(item, self.scores.get(item, 0.0), [f"pin:{rule}"])

    def fill(self, items: Iterable[str], values: Mapping[str, float] | None = None, *reasons: str) -> None:
        for item in items:
            may_stand = self.is_eligible(item) and not self.is_seen_and_dropped(item)
            if len(self.places) < self.wanted and may_stand and self.fits(self.plan.items[item]):
                self.take(item, (values or self.scores)[item], reasons)

    def diversify(self, order: Sequence[str], weight: float) -> list[str]:
        """Takes the best candidates in the order of MMR; returns the others, in score order."""
        items = {item_id: item.features for item_id, item in self.plan.items.items()}
        eligible = [i for i in order if self.is_eligible(i) and not self.is_seen_and_dropped(i)]
        pool = eligible[: self.plan.mmr_pool]
        rest = [item for item in order if item not in pool]
        largest = max((self.scores[item] for item in pool), default=0.0)

        def value(item: str) -> float:
            relevance = self.scores[item] / largest if largest > 0 else 0.0
            nearest = max((jaccard(items[item], items[place[0]]) for place in self.places), default=0.0)
            return weight * relevance - (1.0 - weight) * nearest

        while pool and len(self.places) < self.wanted:
            pool.remove(best := max(pool, key=value))  # the first of equals
            self.fill([best])
        return rest

    def refill(self) -> None:
        # Items without a time come after all others.
        times = {i: item.created_at_ms for i, item in self.plan.items.items()}
        newest = sorted(times, key=lambda i: (times[i] is None, -(times[i] or 0), i.encode()))
        for name, ranking in self.plan.ladder:
            entries = dict.fromkeys(newest, 0.0) if ranking is None else dict(ranking)
            values = {item: normalize("saturating", raw, 0.0) for item, raw in entries.items()}
            if self.request.damping is not None:
                seen = set(self.request.seen)
                values = {item: self.damp(item, value) for item, value in values.items()}
                # Of items that are worth the same, those that were not seen come first.
                values = dict(sorted(values.items(), key=lambda entry: (-entry[1], entry[0] in seen)))
            self.fill(values, values, f"fallback:{name}")


def normalize(normalizer: str, raw: float, largest: float) -> float:
    """``raw`` on the scale of ``normalizer``, where ``largest`` is the source's largest raw value."""
    if normalizer == "saturating":
        return raw / (1.0 + abs(raw))
    if normalizer == "none":
        return raw
    return max(raw / largest, -MAX_SCORE) if largest > 0 else 0.0


def jaccard(a: set[tuple[str, str]], b: set[tuple[str, str]]) -> float:
    """Shared features over all features, 0 to 1; 0 if there are none."""
    return len(a & b) / len(a | b) if a | b else 0.0
