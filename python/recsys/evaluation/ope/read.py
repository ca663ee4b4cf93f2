"""From the joined logs to what the estimators take: rows of single decisions, or lists as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import numpy as np
import pyarrow as pa

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.log import BanditLog, ListLog, bandit_log
from recsys.evaluation.stats.estimate import FloatArray, IntArray

Reward = Literal["click", "conversion", "value"]
Unit = Literal["item", "list"]

_REWARDS = {
    "click": "CASE WHEN clicks > 0 THEN 1.0 ELSE 0.0 END",
    "conversion": "CASE WHEN conversions > 0 THEN 1.0 ELSE 0.0 END",
    "value": "value",
}
_MOST_LEVELS = 50


@dataclass(frozen=True, slots=True)
class Decisions:
    """Exposed items as columns, by request and rank; ``place`` is the request's position, from 0.

    ``items`` names the codes of ``action``; ``contexts`` is ``(n, n_features)``, one-hot of the features
    asked for; ``rank`` counts from 0 within its request, whatever numbers the log has.
    """

    table: pa.Table
    place: IntArray
    rank: IntArray
    action: IntArray
    items: list[str]
    contexts: FloatArray


def read_decisions(
    connection: duckdb.DuckDBPyConnection, *, reward: Reward, features: Sequence[str] = ()
) -> Decisions:
    """Return the exposed items of a connection of ``open_join``, with ``user_id`` (a code), ``reward``,
    ``logging`` and ``target``.

    The logging propensity is ``logging_propensity``, else ``propensity``. ``EvaluationError`` when no item
    was exposed, one lacks its target propensity, or a feature is in no context.
    """
    named = "".join(f", c.pairs[{_text(name)}] AS f{number}" for number, name in enumerate(features))
    # Ranks are counted anew: a list with gaps in its ranks has as many decisions as items.
    table = connection.sql(
        f"SELECT dense_rank() OVER (ORDER BY i.user_id) AS user_id, {_REWARDS[reward]} AS reward, i.item_id, "  # noqa: S608
        "coalesce(i.logging_propensity, i.propensity) AS logging, i.target_propensity AS target, "
        "dense_rank() OVER (ORDER BY i.ts, i.request_id) - 1 AS place, "
        "row_number() OVER (PARTITION BY i.ts, i.request_id ORDER BY i.rank, i.item_id) - 1 AS rank"
        f"{named} FROM items i JOIN exposures e USING (request_id) LEFT JOIN contexts c USING (ctx) "
        "ORDER BY place, rank"
    ).to_arrow_table()
    if table.num_rows == 0:
        raise EvaluationError("no item was exposed: there is nothing to evaluate")
    missing = table["target"].null_count
    if missing:
        raise EvaluationError(
            f"{missing:,} of {table.num_rows:,} exposed items have no target_propensity: log with what "
            "probability the policy to evaluate would have shown each item"
        )
    encoded = table["item_id"].combine_chunks().dictionary_encode()
    names = [str(name) for name in encoded.dictionary.to_pylist()]
    order = sorted(range(len(names)), key=names.__getitem__)
    code = np.empty(len(names), dtype=np.int64)
    code[order] = np.arange(len(names))
    return Decisions(
        table=table,
        place=table["place"].to_numpy().astype(np.int64),
        rank=table["rank"].to_numpy().astype(np.int64),
        action=code[encoded.indices.to_numpy(zero_copy_only=False)],
        items=[names[index] for index in order],
        contexts=_one_hot(table, features),
    )


def item_log(decisions: Decisions) -> tuple[BanditLog, IntArray]:
    """Return the log of single decisions, and which of the decisions it holds: those with a propensity."""
    log = bandit_log(decisions.table, reward="reward", logging="logging", target="target")
    logging = _floats(decisions.table, "logging")
    return log, np.flatnonzero(logging > 0.0)


@dataclass(frozen=True, slots=True)
class Lists:
    """The log of lists, the code of each item shown (-1 beyond the end of a list), and lists set aside."""

    log: ListLog
    actions: IntArray
    contexts: FloatArray
    lists_set_aside: int


def list_log(decisions: Decisions) -> Lists:
    """Return lists of up to the longest length; ranks beyond a list's end have weight 1 and no reward.

    A list with an item whose logging propensity is missing or 0 is set aside as a whole.
    """
    n_lists, n_ranks = int(decisions.place[-1]) + 1, int(decisions.rank.max()) + 1
    at = (decisions.place, decisions.rank)
    logging, target = np.ones((n_lists, n_ranks)), np.ones((n_lists, n_ranks))
    reward, actions = np.zeros((n_lists, n_ranks)), np.full((n_lists, n_ranks), -1, dtype=np.int64)
    logging[at], target[at] = _floats(decisions.table, "logging"), _floats(decisions.table, "target")
    reward[at], actions[at] = _floats(decisions.table, "reward"), decisions.action
    users, contexts = np.empty(n_lists, dtype=np.int64), np.zeros((n_lists, decisions.contexts.shape[1]))
    users[decisions.place] = decisions.table["user_id"].to_numpy()
    contexts[decisions.place] = decisions.contexts
    usable = (logging > 0.0).all(axis=1)
    if not usable.any():
        raise EvaluationError("no list has a logging propensity above 0 for each of its items")
    return Lists(
        log=ListLog(
            reward=reward[usable], logging=logging[usable], target=target[usable], users=users[usable]
        ),
        actions=actions[usable],
        contexts=contexts[usable],
        lists_set_aside=int(np.count_nonzero(~usable)),
    )


def _one_hot(table: pa.Table, features: Sequence[str]) -> FloatArray:
    columns: list[FloatArray] = []
    for number, name in enumerate(features):
        encoded = table[f"f{number}"].combine_chunks().dictionary_encode()
        levels = encoded.dictionary.to_pylist()
        if not levels:
            raise EvaluationError(f"feature {name!r} is in the context of no exposure")
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        counts = np.bincount(codes[codes >= 0], minlength=len(levels))
        frequent = sorted(range(len(levels)), key=lambda code: (-counts[code], str(levels[code])))
        columns += [(codes == code).astype(np.float64) for code in frequent[:_MOST_LEVELS]]
    return np.column_stack(columns) if columns else np.zeros((table.num_rows, 0))


def _floats(table: pa.Table, name: str) -> FloatArray:
    column = table[name].combine_chunks().cast(pa.float64())
    return np.nan_to_num(np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64), nan=0.0)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
