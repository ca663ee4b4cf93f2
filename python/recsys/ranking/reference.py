"""The ranker in plain Python, slow and obvious: what the native one must equal, bit for bit.

It scores every candidate, sorts them all and walks the list: no index, no heap, no early end. ``docs/ranking.md``
states the same semantics in words. "Ordinal order" is the byte order of ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

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
    def features(self) -> set[tuple[str, str | None]]:
        """Tags, brand and category as one set, for similarity."""
        named = {("brand", self.brand), ("category", self.category)}
        return {("tag", tag) for tag in self.tags} | {f for f in named if f[1] is not None}


@dataclass(frozen=True)
class Source:
    """One signal in a mode: ``lists`` by key, each best first."""

    name: str
    lists: Mapping[str, Ranking]
    key_type: Literal["segment", "item", "user"]
    weight: float
    weight_group: Literal["pop", "cooc", "emb"]
    normalizer: Literal["saturating", "max", "none"] = "saturating"
    key: str | None = None


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


class Ranker:
    """One request in the making; ``places`` holds (item id, score, reasons), best first."""

    def __init__(self, plan: Plan, request: Request) -> None:
        self.plan, self.request = plan, request
        self.anchors = list(dict.fromkeys(request.anchors))
        self.wanted = request.offset + request.k
        self.places: list[tuple[str, float, list[str]]] = []
        self.taken: Counter[tuple[str, str | None]] = Counter()
        self.scores: dict[str, float] = {}
        self.found_by: dict[str, list[str]] = {}

    def rank(self) -> list[tuple[str, float, list[str]]]:
        """The page of the list that the request asks for."""
        self.score()
        order = sorted(self.scores, key=lambda item: (-self.scores[item], item.encode()))
        self.pin()
        self.fill(order if self.plan.mmr_lambda is None else self.diversify(order, self.plan.mmr_lambda))
        self.refill()
        return self.places[self.request.offset :]

    def score(self) -> None:
        for source in self.plan.sources:
            groups = dict(zip(("pop", "cooc", "emb"), self.request.weights or (), strict=False))
            weight = groups.get(source.weight_group, source.weight)
            raws = self.raws(source) if weight > 0 else {}
            for item, raw in raws.items():
                weighted = weight * normalize(source.normalizer, raw, max(raws.values()))
                self.scores[item] = self.scores.get(item, 0.0) + weighted
                self.found_by.setdefault(item, []).append(source.name)
        for _, items, multiplier in self.plan.boosts:
            for item in set(items) & self.scores.keys():
                self.scores[item] *= multiplier

    def raws(self, source: Source) -> dict[str, float]:
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
        limits: list[tuple[tuple[str, str | None], int | None]] = [
            (("tag", tag), limit) for tag, limit in self.request.max_per_tag.items()
        ]
        if not is_pin:
            limits += [(("brand", item.brand), self.plan.brand_cap)]
            limits += [(("category", item.category), self.plan.category_cap)]
        return all(cap is None or f not in item.features or self.taken[f] < cap for f, cap in limits)

    def take(self, item_id: str, score: float, reasons: Sequence[str] = ()) -> None:
        is_fallback = any(reason.startswith("fallback:") for reason in reasons)
        found_by = [] if is_fallback else self.found_by.get(item_id, [])
        boosts = [f"boost:{rule}" for rule, items, _ in self.plan.boosts if found_by and item_id in items]
        self.places.append((item_id, score + 0.0, [*found_by, *reasons, *boosts]))
        self.taken.update(self.plan.items[item_id].features)

    def pin(self) -> None:
        for rule, items in self.plan.pins:
            for item in (item for item in items if item in self.plan.items):
                has_room = len(self.places) < min(self.plan.max_pins, self.wanted)
                if has_room and self.is_eligible(item) and self.fits(self.plan.items[item], is_pin=True):
                    self.take(item, self.scores.get(item, 0.0), [f"pin:{rule}"])

    def fill(self, items: Iterable[str], values: Mapping[str, float] | None = None, *reasons: str) -> None:
        for item in items:
            if len(self.places) < self.wanted and self.is_eligible(item) and self.fits(self.plan.items[item]):
                self.take(item, (values or self.scores)[item], reasons)

    def diversify(self, order: Sequence[str], weight: float) -> list[str]:
        """Takes the best candidates in the order of MMR; returns the others, in score order."""
        pool = [item for item in order if self.is_eligible(item)][: self.plan.mmr_pool]
        rest = [item for item in order if item not in pool]
        largest = max((self.scores[item] for item in pool), default=0.0)

        def value(item: str) -> float:
            relevance = self.scores[item] / largest if largest > 0 else 0.0
            nearest = max((self.similarity(item, place[0]) for place in self.places), default=0.0)
            return weight * relevance - (1.0 - weight) * nearest

        while pool and len(self.places) < self.wanted:
            pool.remove(best := max(pool, key=value))  # the first of equals
            self.fill([best])
        return rest

    def similarity(self, one: str, other: str) -> float:
        a, b = self.plan.items[one].features, self.plan.items[other].features
        return len(a & b) / len(a | b) if a | b else 0.0

    def refill(self) -> None:
        # Items without a time come after all others.
        times = {i: item.created_at_ms for i, item in self.plan.items.items()}
        newest = sorted(times, key=lambda i: (times[i] is None, -(times[i] or 0), i.encode()))
        for name, ranking in self.plan.ladder:
            entries = {item: 0.0 for item in newest} if ranking is None else dict(ranking)
            values = {item: normalize("saturating", raw, 0.0) for item, raw in entries.items()}
            self.fill(values, values, f"fallback:{name}")


def normalize(normalizer: str, raw: float, largest: float) -> float:
    """``raw`` on the scale of ``normalizer``, where ``largest`` is the source's largest raw value."""
    if normalizer == "saturating":
        return raw / (1.0 + abs(raw))
    if normalizer == "max":
        return raw / largest if largest > 0 else 0.0
    return raw
