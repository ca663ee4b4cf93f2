"""The join rate as a file that a node exporter's textfile collector reads."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.validate import Validation

ALL = "(all)"
"""The surface of the rate over everything, which outcomes without any exposure lower too."""


def write_join_rates(path: Path, result: Validation) -> None:
    """Write ``recsys_join_rate{tenant,surface}``, 0 to 1, in one step; a surface without outcomes has none.

    Raises :class:`EvaluationError` when nothing could be joined or the file cannot be written.
    """
    if result.join_rate is None:
        raise EvaluationError("no join rate: give exposures, and outcomes that are not empty")
    registry = CollectorRegistry()
    labels = ("tenant", "surface")
    rate = Gauge("recsys_join_rate", "Share of outcomes that match an exposure.", labels, registry=registry)
    for row in result.surfaces:
        if row.outcomes:
            rate.labels(row.tenant, row.surface).set(row.outcomes_matched / row.outcomes)
    rate.labels("", ALL).set(result.join_rate)
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be written: {error.strerror or error}") from error
