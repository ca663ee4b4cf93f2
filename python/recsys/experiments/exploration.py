"""Lists drawn at random from a ranking, each item with the exact chance that it had at its place.

A propensity here is the probability of the item at its place, given the items above it; the product over a
list is the probability of the list. Places of the fixed prefix, and of pins, keep their items, at 1.

Plackett-Luce: Plackett (1975), "The analysis of permutations"; drawn by adding Gumbel noise to the logits and
sorting (Yellott 1977). Epsilon swaps: place by place, the item that stands there is exchanged, with
probability epsilon, with one drawn evenly from it and those below, so of m items it keeps its place with
probability ``1 - epsilon + epsilon / m`` and gives way to each other one with ``epsilon / m``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from msgspec import Struct

from recsys.contracts.config import Exploration
from recsys.experiments.randomness import draw_uniforms


class Drawn(Struct, frozen=True):
    """A list: places in the ranking of its items, and their propensities, both of length min(k, n)."""

    places: list[int]
    propensities: list[float]


def pool_size(exploration: Exploration, k: int) -> int:
    """Return how many items have to be ranked for a list of ``k``."""
    return max(k, exploration.pool or 0)


def draw_list(
    exploration: Exploration, scores: Sequence[float], k: int, seed: bytes, pinned: Collection[int] = ()
) -> Drawn:
    """Return a list of ``k`` drawn from a ranking, given by its ``scores``, best first.

    ``pinned`` are places in the ranking whose items stay there. The same arguments give the same list.
    """
    length = min(k, len(scores))
    free = _free_places(exploration, len(scores), length, pinned)
    n_free = sum(place < length for place in free)
    if exploration.method == "plackett_luce":
        drawn, chances = _draw_plackett_luce(exploration, scores, free, n_free, seed)
    else:
        drawn, chances = _draw_swaps(exploration.epsilon, free, n_free, seed)
    places, propensities = list(range(length)), [1.0] * length
    for target, source, chance in zip(free[:n_free], drawn, chances, strict=True):
        places[target], propensities[target] = source, chance
    return Drawn(places, propensities)


def list_propensities(
    exploration: Exploration,
    scores: Sequence[float],
    shown: Sequence[int | None],
    pinned: Collection[int] = (),
) -> list[float]:
    """Return the propensity of each item of a list that was shown, under this exploration of this ranking.

    ``shown`` gives the places of its items in the ranking, ``None`` for an item that is not in it. From the
    first item on that the policy would not have shown, all are 0.
    """
    free = _free_places(exploration, len(scores), min(len(shown), len(scores)), pinned)
    logits = _logits(exploration, scores, free)
    left, propensities = list(free), [0.0] * len(shown)
    for target, source in enumerate(shown):
        if target not in free:
            chance = 1.0 if source == target else 0.0
        elif source not in left:
            chance = 0.0
        elif exploration.method == "plackett_luce":
            top = max(logits[place] for place in left)
            weights = {place: math.exp(logits[place] - top) for place in left}
            chance = weights[source] / math.fsum(weights.values())
            left.remove(source)
        else:
            at = left.index(source)
            chance = _swap_chance(exploration.epsilon, at, len(left))
            left[at] = left[0]
            left.pop(0)
        if chance == 0.0:
            break
        propensities[target] = chance
    return propensities


def _free_places(exploration: Exploration, n: int, length: int, pinned: Collection[int]) -> list[int]:
    """Return the places whose items take part: below the prefix, not pinned; those past the list come in."""
    prefix = min(exploration.fixed_prefix, length)
    if not pinned:
        return list(range(prefix, n))
    fixed = set(pinned)
    return [place for place in range(prefix, n) if place not in fixed]


def _logits(exploration: Exploration, scores: Sequence[float], free: Sequence[int]) -> dict[int, float]:
    heat = exploration.temperature
    if exploration.by == "rank":
        return {place: -math.log(place + 1) / heat for place in free}
    return {place: scores[place] / heat for place in free}


def _draw_plackett_luce(
    exploration: Exploration, scores: Sequence[float], free: list[int], n_free: int, seed: bytes
) -> tuple[list[int], list[float]]:
    logits = _logits(exploration, scores, free)
    uniforms = draw_uniforms(seed, b"plackett_luce", len(free))
    noisy = {place: logits[place] - math.log(-math.log(u)) for place, u in zip(free, uniforms, strict=True)}
    order = sorted(free, key=lambda place: (-noisy[place], place))
    # From the last to the first, the log of the sum over what was left to choose from: no cancellation.
    chances, total = [0.0] * len(order), -math.inf
    for at in range(len(order) - 1, -1, -1):
        logit = logits[order[at]]
        high, low = (logit, total) if logit > total else (total, logit)
        total = high + math.log1p(math.exp(low - high))
        chances[at] = math.exp(logit - total)
    return order[:n_free], chances[:n_free]


def _draw_swaps(epsilon: float, free: list[int], n_free: int, seed: bytes) -> tuple[list[int], list[float]]:
    uniforms = draw_uniforms(seed, b"epsilon_swaps", 2 * n_free)
    order, chances = list(free), []
    for at in range(n_free):
        count = len(order) - at
        offset = int(uniforms[2 * at + 1] * count) if uniforms[2 * at] < epsilon else 0
        chances.append(_swap_chance(epsilon, offset, count))
        order[at], order[at + offset] = order[at + offset], order[at]
    return order[:n_free], chances


def _swap_chance(epsilon: float, offset: int, count: int) -> float:
    """Return the probability that the item ``offset`` below comes to a place with ``count`` items left."""
    even = epsilon / count
    return min(1.0, 1.0 - epsilon + even) if offset == 0 else even
