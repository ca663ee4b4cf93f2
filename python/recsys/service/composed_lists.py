"""Lists that are not one ranking as it is: explored, or of two teams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from recsys._native import Ranked
from recsys.contracts.config import Exploration
from recsys.contracts.http import RankedItem
from recsys.contracts.records import ExposedItem
from recsys.experiments.exploration import draw_list, list_propensities
from recsys.experiments.team_draft import Team

_ENCODER = msgspec.json.Encoder()
_PIN = "pin:"
T = TypeVar("T")


class ServedList(Protocol):
    """What a response and an exposure need of a list; :class:`Ranked` is one."""

    def __len__(self) -> int: ...
    @property
    def item_ids(self) -> list[str]:
        """The items, best first."""

    @property
    def scores(self) -> list[float]:
        """Their scores, each of its own ranking."""

    @property
    def reasons(self) -> list[list[str]]:
        """Per item, why it is in its ranking."""

    @property
    def contributions(self) -> list[list[tuple[str, float, float, float]]]:
        """Per item, what each signal gave."""

    @property
    def boosts(self) -> list[list[tuple[str, float]]]:
        """Per item, what boosted it."""

    @property
    def dampings(self) -> list[float | None]:
        """Per item, what its score was multiplied by because it was seen."""

    @property
    def mmr_steps(self) -> list[tuple[int, float, float, float, float] | None]:
        """Per item, how MMR took it."""

    def encode_items(self, before: bytes, after: bytes, *, first_rank: int = 1) -> bytes:
        """Return the items of the response, as JSON between two pieces."""

    def encode_exposed(self, before: bytes, after: bytes, *, first_rank: int = 1) -> bytes:
        """Return the items of the exposure, as JSON between two pieces."""


class _DraftedItem(ExposedItem, frozen=True, omit_defaults=True):
    team: Team | None = None


class ComposedList:
    """Items of one ranking or two, each given by its ranking and its place there."""

    def __init__(
        self,
        sources: Sequence[tuple[Ranked, int]],
        *,
        propensities: Sequence[float] | None = None,
        target_propensities: Sequence[float] | None = None,
        teams: Sequence[Team] | None = None,
    ) -> None:
        self._sources = sources
        self._targets = target_propensities
        self._propensities = propensities
        self._teams = teams
        self.item_ids = self._gather(lambda ranked: ranked.item_ids)
        self.scores = self._gather(lambda ranked: ranked.scores)

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def reasons(self) -> list[list[str]]:
        """Per item, why it is in its ranking."""
        return self._gather(lambda ranked: ranked.reasons)

    @property
    def contributions(self) -> list[list[tuple[str, float, float, float]]]:
        """Per item, what each signal gave."""
        return self._gather(lambda ranked: ranked.contributions)

    @property
    def boosts(self) -> list[list[tuple[str, float]]]:
        """Per item, what boosted it."""
        return self._gather(lambda ranked: ranked.boosts)

    @property
    def dampings(self) -> list[float | None]:
        """Per item, what its score was multiplied by because it was seen."""
        return self._gather(lambda ranked: ranked.dampings)

    @property
    def mmr_steps(self) -> list[tuple[int, float, float, float, float] | None]:
        """Per item, how MMR took it."""
        return self._gather(lambda ranked: ranked.mmr_steps)

    def encode_items(self, before: bytes, after: bytes, *, first_rank: int = 1) -> bytes:
        """Return the items of the response, as JSON between two pieces."""
        ranks = range(first_rank, first_rank + len(self))
        return before + _ENCODER.encode(list(map(RankedItem, self.item_ids, ranks, self.scores))) + after

    def encode_exposed(self, before: bytes, after: bytes, *, first_rank: int = 1) -> bytes:
        """Return the items of the exposure, with their propensities or teams."""
        ranks = range(first_rank, first_rank + len(self))
        if self._propensities is not None:
            targets: Sequence[float | None] = self._targets or [None] * len(self)
            items = [
                ExposedItem(item_id, rank, propensity, target_propensity=target)
                for item_id, rank, propensity, target in zip(
                    self.item_ids, ranks, self._propensities, targets, strict=True
                )
            ]
            return before + _ENCODER.encode(items) + after
        if self._teams is None:
            return before + _ENCODER.encode(list(map(ExposedItem, self.item_ids, ranks))) + after
        drafted = [
            _DraftedItem(item_id, rank, team=team)
            for item_id, rank, team in zip(self.item_ids, ranks, self._teams, strict=True)
        ]
        return before + _ENCODER.encode(drafted) + after

    def _gather(self, of: Callable[[Ranked], list[T]]) -> list[T]:
        """Return one value per item; each ranking is asked once."""
        known: dict[int, list[T]] = {}
        for ranked, _ in self._sources:
            if id(ranked) not in known:
                known[id(ranked)] = of(ranked)
        return [known[id(ranked)][place] for ranked, place in self._sources]


def pinned_places(ranked: Ranked) -> list[int]:
    """Return the places of the pinned items of a ranking."""
    return [
        place
        for place, reasons in enumerate(ranked.reasons)
        if any(reason.startswith(_PIN) for reason in reasons)
    ]


def explore(
    ranked: Ranked,
    exploration: Exploration,
    k: int,
    seed: bytes,
    *,
    has_pins: bool,
    target: Ranked | None = None,
) -> ComposedList:
    """Return a list of ``k`` drawn from a ranking; pinned items stay in their places.

    Its items know the chances that they would have had in a list drawn alike from ``target``.
    """
    drawn = draw_list(exploration, ranked.scores, k, seed, pinned_places(ranked) if has_pins else ())
    sources = [(ranked, place) for place in drawn.places]
    if target is None:
        return ComposedList(sources, propensities=drawn.propensities)
    item_ids = ranked.item_ids
    at = {item_id: place for place, item_id in enumerate(target.item_ids)}
    shown = [at.get(item_ids[place]) for place in drawn.places]
    chances = list_propensities(exploration, target.scores, shown, pinned_places(target) if has_pins else ())
    return ComposedList(sources, propensities=drawn.propensities, target_propensities=chances)
