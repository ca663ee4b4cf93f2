"""The semantics of one sound record: clock, pseudonym, ranks and propensities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from recsys.contracts.events import MAX_CLOCK_AHEAD_S, MAX_VALUE
from recsys.contracts.records import Assignment, Exposure, Outcome, RankList
from recsys.evaluation.findings import Severity

_TAKEN_AHEAD = timedelta(seconds=MAX_CLOCK_AHEAD_S)

Record = Exposure | Outcome | Assignment | RankList


def is_pseudonym(user_id: str) -> bool:
    """Return whether ``user_id`` is 64 lower-case hexadecimal characters."""
    # Several times as quick as a regular expression; fromhex skips spaces, hence both lengths.
    try:
        return len(user_id) == 64 and len(bytes.fromhex(user_id)) == 32 and user_id == user_id.lower()
    except ValueError:
        return False


def find_defects(
    record: Record, oldest: datetime, newest: datetime
) -> Iterator[tuple[str, Severity, str, str]]:
    """Yield kind, severity, field and reason of each defect of ``record``.

    Times outside ``oldest`` to ``newest`` are clock skew: a warning for what a client may have sent and the
    service takes, since one wrong clock of a customer must not fail the logs of all. A gap in the ranks is a
    warning: a client that renders only some items of a list logs one truthfully.
    """
    if not is_pseudonym(record.user_id):
        yield "not_a_pseudonym", "error", "user_id", "not 64 lower-case hexadecimal characters"
    if newest < record.ts <= newest + _TAKEN_AHEAD and isinstance(record, Exposure | Outcome):
        yield "clock_ahead", "warning", "ts", f"{record.ts.isoformat()} lies ahead of now, by up to a day"
    elif record.ts > newest:
        yield "clock_in_future", "error", "ts", f"{record.ts.isoformat()} lies in the future"
    elif record.ts < oldest:
        yield "clock_too_old", "error", "ts", f"{record.ts.isoformat()} lies too far back"
    if isinstance(record, Exposure):
        yield from _find_list_defects(record)
    elif isinstance(record, Outcome):
        if record.value is not None and not abs(record.value) <= MAX_VALUE:
            reason = (
                f"{record.value:g} is beyond {MAX_VALUE:g}, and no sum of values means anything beside it"
            )
            yield "value_out_of_range", "error", "value", reason
    elif isinstance(record, RankList) and len(set(record.items)) < len(record.items):
        yield "duplicate_item", "error", "items", "an item occurs twice in the list"


def _find_list_defects(exposure: Exposure) -> Iterator[tuple[str, Severity, str, str]]:
    ranks = [item.rank for item in exposure.items]
    if len(set(ranks)) < len(ranks):
        yield "duplicate_rank", "error", "items[].rank", "a rank occurs twice in the list"
    elif ranks and max(ranks) != len(ranks):
        yield "rank_gap", "warning", "items[].rank", f"{len(ranks)} items with ranks up to {max(ranks)}"
    if len({item.item_id for item in exposure.items}) < len(ranks):
        yield "duplicate_item", "error", "items[].item_id", "an item occurs twice in the list"
    for name in ("propensity", "logging_propensity"):
        if any(getattr(item, name) == 0.0 for item in exposure.items):
            reason = f"an item that was shown cannot have {name} 0"
            yield "zero_propensity", "error", f"items[].{name}", reason


def find_not_finite(value: object, path: str = "") -> str | None:
    """Return the path of the first NaN or infinity within decoded ``value``, None when there is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return path
    pairs: Iterator[tuple[str, object]] = iter(())
    if isinstance(value, dict):
        pairs = ((f"{path}.{key}" if path else str(key), inner) for key, inner in value.items())
    elif isinstance(value, list):
        pairs = ((f"{path}[{index}]", inner) for index, inner in enumerate(value))
    for name, inner in pairs:
        found = find_not_finite(inner, name)
        if found is not None:
            return found
    return None
