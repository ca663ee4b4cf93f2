"""Ranked lists with their judgements as matrices, the common input of the ranking metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.contracts.errors import EvaluationError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judged:
    """``n`` ranked lists of at most ``depth`` items.

    ``gains (n, depth)``: the grade of the item at each rank, 0 when not relevant or past the end of the list.
    ``lengths (n,)``: items listed. ``relevant (n,)``: relevant items of the request, listed or not.
    ``ideal (n, width)``: the grades of the relevant items, largest first, padded with 0.
    """

    gains: Floats
    lengths: Ints
    relevant: Ints
    ideal: Floats

    def hits(self, k: int) -> Ints:
        """Return the number of relevant items within the first ``k`` ranks, ``(n,)``."""
        return np.asarray((self.gains[:, :k] > 0).sum(axis=1), dtype=np.int64)


def judge(lists: Sequence[Sequence[str]], grades: Sequence[Mapping[str, float]]) -> Judged:
    """Return the matrices of ``lists`` (best first), judged by ``grades`` (item to grade > 0) of the
    same requests.

    An item listed again counts at its first place only. Raises EvaluationError when the sequences differ
    in length or a
    grade is not a finite number above 0.
    """
    if len(lists) != len(grades):
        raise EvaluationError(f"{len(lists)} lists cannot be judged by the grades of {len(grades)} requests")
    depth = max((len(listed) for listed in lists), default=0)
    width = max((len(graded) for graded in grades), default=0)
    gains = np.zeros((len(lists), depth))
    ideal = np.zeros((len(lists), width))
    for row, (listed, graded) in enumerate(zip(lists, grades, strict=True)):
        seen: set[str] = set()
        for rank, item in enumerate(listed):
            if item not in seen:
                gains[row, rank] = graded.get(item, 0.0)
                seen.add(item)
        ideal[row, : len(graded)] = sorted(graded.values(), reverse=True)
        if graded and not (np.isfinite(ideal[row]).all() and ideal[row, len(graded) - 1] > 0):
            raise EvaluationError("a grade is not a finite number above 0")
    return Judged(
        gains=gains,
        lengths=np.array([len(listed) for listed in lists], dtype=np.int64),
        relevant=np.array([len(graded) for graded in grades], dtype=np.int64),
        ideal=ideal,
    )


def judge_hits(
    lengths: Ints, hits: tuple[Ints, Ints, Floats], relevant: tuple[Ints, Floats], depth: int
) -> Judged:
    """Return the matrices of ``len(lengths)`` lists from columns, without a step per list.

    ``hits``: list number, place from 1 and grade of each relevant item that is listed, at its first place;
    ``relevant``: list number and grade of each relevant item, by list and from the largest grade down. The
    gains are ``depth`` wide, more where a hit stands deeper.
    """
    n = len(lengths)
    owner, place, grade = hits
    gains = np.zeros((n, max(depth, int(place.max(initial=0)))))
    gains[owner, place - 1] = grade
    of, grades = relevant
    counts = np.bincount(of, minlength=n).astype(np.int64)
    ideal = np.zeros((n, int(counts.max(initial=0))))
    starts = np.cumsum(counts) - counts
    ideal[of, np.arange(len(of)) - starts[of]] = grades
    return Judged(gains=gains, lengths=lengths, relevant=counts, ideal=ideal)


def ratio(numerator: npt.NDArray[np.number], denominator: npt.NDArray[np.number]) -> Floats:
    """Return ``numerator / denominator`` by element, 0 where the denominator is 0."""
    result = np.zeros(np.shape(numerator), dtype=np.float64)
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) != 0)
    return result
