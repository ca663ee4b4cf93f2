"""Session nearest neighbours in plain Python, by definition: what the native search must equal, bit for bit.

VMIS-kNN (Kersbergen, Sprangers and Schelter, SIGMOD 2022); ``docs/ranking.md`` has the formulas.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sessions:
    """Past sessions, latest first, each of two items or more, and how they are searched."""

    sessions: Sequence[frozenset[str]]
    recent_sessions: int
    neighbors: int
    last_items: int

    def raws(self, anchors: Sequence[str]) -> dict[str, float]:
        """Return what the neighbours of the session of ``anchors`` (distinct, latest first) say of items."""
        current = anchors[: self.last_items]
        recent = [session for session in self.sessions if not session.isdisjoint(current)]
        recent = recent[: self.recent_sessions]
        # Whole numbers: similarities in parts of len(current), match weights in tenths.
        similarity = [
            sum(len(current) - position for position, item in enumerate(current) if item in session)
            for session in recent
        ]
        order = sorted(range(len(recent)), key=lambda number: -similarity[number])  # of equals, the latest
        votes: Counter[str] = Counter()
        for number in order[: self.neighbors]:
            session = recent[number]
            latest = next(position for position, item in enumerate(current, 1) if item in session)
            votes.update(dict.fromkeys(session - set(anchors), similarity[number] * (10 - latest)))
        return {item: count / (10 * len(current)) * self.idf(item) for item, count in votes.items()}

    def idf(self, item: str) -> float:
        """Return the logarithm of all sessions over those with the item."""
        return math.log(len(self.sessions) / sum(item in session for session in self.sessions))
