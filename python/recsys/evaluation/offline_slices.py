"""The metrics by slice: each dimension alone and named combinations, where enough cases are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from recsys.contracts.errors import EvaluationError
from recsys.contracts.reports import MetricValue, SliceMetrics
from recsys.evaluation.offline_cases import known_dimensions, slice_values
from recsys.evaluation.offline_metrics import MetricKey
from recsys.evaluation.ranking_metrics.judged import Floats, Ints

NOT_GIVEN = "(not given)"
MAX_VALUES = 50
"""A context key with more values is no dimension unless it is named."""


def slice_metrics(
    connection: duckdb.DuckDBPyConnection,
    by_list: Mapping[str, Mapping[MetricKey, Floats]],
    names: tuple[str, ...] | None,
    minimum: int,
) -> tuple[list[SliceMetrics], int]:
    """Return the means by slice of every system, largest slice first, and how many slices are too small.

    A name is a context key, or several joined by ``+``; None takes every key with 2 to ``MAX_VALUES`` values.
    Raises EvaluationError for a key that no case has.
    """
    known = known_dimensions(connection)
    wanted = [tuple(name.split("+")) for name in (known if names is None else names)]
    keys = list(dict.fromkeys(key for parts in wanted for key in parts))
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise EvaluationError(
            f"slice {unknown[0]!r}: no case has this context key; there are: {', '.join(known) or 'none'}"
        )
    if not keys:
        return [], 0
    values = slice_values(connection, keys)
    columns = {
        key: values.column(place).combine_chunks().fill_null(NOT_GIVEN).dictionary_encode()
        for place, key in enumerate(keys)
    }
    found: list[SliceMetrics] = []
    below = 0
    for parts in wanted:
        chosen = [columns[key] for key in parts]
        if names is None and not 2 <= len(chosen[0].dictionary) <= MAX_VALUES:
            continue
        codes = _combine(chosen)
        slices, first, counts = np.unique(codes, return_index=True, return_counts=True)
        position = np.searchsorted(slices, codes)
        below += int(np.count_nonzero(counts < minimum))
        labels = [
            {key: str(column[int(row)].as_py()) for key, column in zip(parts, chosen, strict=True)}
            for row in first
        ]
        means = {
            system: {key: np.bincount(position, weights=column) / counts for key, column in metrics.items()}
            for system, metrics in by_list.items()
        }
        order = sorted(range(len(slices)), key=lambda row: (-counts[row], tuple(labels[row].values())))
        for row in order:
            if counts[row] >= minimum:
                found += [_slice_of(system, labels[row], mean, row, counts) for system, mean in means.items()]
    return found, below


def _slice_of(
    system: str, labels: dict[str, str], means: dict[MetricKey, Floats], row: int, counts: Ints
) -> SliceMetrics:
    n = int(counts[row])
    return SliceMetrics(
        system, labels, [MetricValue(name, k, float(mean[row]), n) for (name, k), mean in means.items()]
    )


def _combine(columns: list[pa.DictionaryArray[Any, Any]]) -> Ints:
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        codes = codes * len(column.dictionary) + column.indices.to_numpy(zero_copy_only=False)
    return codes
