"""The plan of an experiment, written before anyone looks: arms, metrics, guardrails, and what would ship.

One TOML file serves ``recsys eval experiment`` and ``recsys eval decide``. A metric is a ratio of two sums
over requests; its terms are names of ``TERMS``, or numeric columns of the table at hand.
"""

from __future__ import annotations

import math
import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from recsys.contracts.errors import EvaluationError

Method = Literal["delta", "bootstrap", "welch", "proportion"]
Name = Annotated[str, Meta(min_length=1)]

TERMS: dict[str, str] = {
    "requests": "1",
    "clicks": "clicks",
    "conversions": "conversions",
    "value": "value",
    "items": "n_items",
    "clicked": "CASE WHEN clicks > 0 THEN 1 ELSE 0 END",
    "converted": "CASE WHEN conversions > 0 THEN 1 ELSE 0 END",
    "errors": "CASE WHEN error THEN 1 ELSE 0 END",
    "empty_lists": "CASE WHEN n_items = 0 THEN 1 ELSE 0 END",
}
"""What a request contributes to a sum, by name: SQL over the columns of the joined requests."""

USERS = "users"
"""The denominator that makes a metric a mean per user."""

LATENCY = re.compile(r"^p(?P<percent>[1-9][0-9]?)_latency$")
RATES = {"error_rate": "errors", "empty_list_rate": "empty_lists"}


class Metric(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """sum(numerator) / sum(denominator); with the denominator ``users``, the mean per user.

    ``method`` is by default ``delta``, and ``welch`` per user; ``bootstrap`` draws users, ``proportion``
    takes the share of users with a positive numerator. ``winsorise`` is the quantile that users' numerators
    are pulled in to. ``lower_is_better`` turns what counts as harm.
    """

    name: Name
    numerator: Name
    denominator: Name = "requests"
    method: Method | None = None
    winsorise: float | None = None
    lower_is_better: bool = False

    @property
    def test(self) -> Method:
        """Return the method in effect."""
        return self.method or ("welch" if self.denominator == USERS else "delta")


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="ctr", numerator="clicked"),
        Metric(name="clicks_per_item", numerator="clicks", denominator="items"),
        Metric(name="conversion_rate", numerator="converted"),
        Metric(name="converting_users", numerator="converted", denominator=USERS, method="proportion"),
        Metric(name="revenue_per_request", numerator="value"),
        Metric(name="revenue_per_user", numerator="value", denominator=USERS),
        Metric(name="requests_per_user", numerator="requests", denominator=USERS),
    )
}
"""The metrics that need no definition; the two rates are shares of requests with at least one outcome."""


class PrimaryMetric(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The metric that decides, and the smallest absolute difference worth shipping for.

    ``interval`` says which of the intervals decides: the ``fixed`` one, for a single look at the planned end;
    ``always_valid``, for looking whenever one likes; ``cuped``, the fixed one adjusted by the pre-period.
    """

    name: Name
    minimum_effect: float = 0.0
    interval: Literal["fixed", "always_valid", "cuped"] = "fixed"


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is compared and by what. ``metrics`` is the family over which p-values are corrected.

    ``shares`` is the declared split over arms, equal when left out. Requests before ``start`` are the
    pre-period of CUPED; those from ``end`` on are left out. ``guardrails`` maps a name to its margin:
    ``p95_latency`` (any percent) relative, ``error_rate``, ``empty_list_rate`` and metrics absolute.
    """

    control_variant: Name
    candidate_variant: Name
    experiment_id: str | None = None
    start: Annotated[datetime, Meta(tz=True)] | None = None
    end: Annotated[datetime, Meta(tz=True)] | None = None
    shares: dict[str, float] = {}
    metrics: Sequence[str | Metric] = ("ctr", "conversion_rate", "revenue_per_user")
    primary_metric: PrimaryMetric | None = None
    guardrails: dict[str, float] = {}
    minimum_join_rate: float = 0.95
    level: float = 0.95
    slices: Sequence[str] = ("surface", "segment")
    minimum_users_per_slice: int = 100
    replicates: int = 2000
    seed: int = 0
    rollback_version: str | None = None

    @property
    def split(self) -> dict[str, float]:
        """Return the declared shares."""
        return self.shares or {self.control_variant: 1.0, self.candidate_variant: 1.0}

    @property
    def family(self) -> list[Metric]:
        """Return the metrics, names replaced by their definitions."""
        return [METRICS[metric] if isinstance(metric, str) else metric for metric in self.metrics]


def read_plan(path: Path) -> Plan:
    """Return the plan of a TOML file; ``EvaluationError`` names the file and the field that is wrong."""
    try:
        plan = msgspec.toml.decode(path.read_bytes().removeprefix(BOM_UTF8), type=Plan)
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EvaluationError(f"{path}: {error}") from error
    try:
        check_plan(plan)
    except EvaluationError as error:
        raise EvaluationError(f"{path}: {error}") from error
    return plan


def plan_from(fields: Mapping[str, object]) -> Plan:
    """Return the plan that plain values make; ``EvaluationError`` names the field that is wrong."""
    try:
        plan = msgspec.convert(dict(fields), Plan)
    except msgspec.ValidationError as error:
        raise EvaluationError(f"plan: {error}") from error
    check_plan(plan)
    return plan


def check_plan(plan: Plan) -> None:
    """Raise ``EvaluationError`` naming the field of a plan that contradicts itself."""
    if plan.control_variant == plan.candidate_variant:
        raise EvaluationError(f"control_variant and candidate_variant are both {plan.control_variant!r}")
    for arm in (plan.control_variant, plan.candidate_variant):
        if arm not in plan.split:
            raise EvaluationError(f"shares: arm {arm!r} has no declared share")
    for arm, share in plan.shares.items():
        if not (math.isfinite(share) and share > 0.0):
            raise EvaluationError(f"shares: arm {arm!r} must have a positive share, not {share}")
    for field, value in (("minimum_join_rate", plan.minimum_join_rate), ("level", plan.level)):
        if not 0.0 <= value <= 1.0 or (field == "level" and value in (0.0, 1.0)):
            raise EvaluationError(f"{field} {value} is not between 0 and 1")
    if plan.start and plan.end and plan.start >= plan.end:
        raise EvaluationError("start must lie before end")
    if plan.replicates < 100 or plan.minimum_users_per_slice < 2:
        raise EvaluationError("replicates must be at least 100, minimum_users_per_slice at least 2")
    _check_metrics(plan)
    _check_guardrails(plan)


def _check_metrics(plan: Plan) -> None:
    if not plan.metrics:
        raise EvaluationError("metrics: an experiment needs at least one metric")
    for metric in plan.metrics:
        if isinstance(metric, str) and metric not in METRICS:
            raise EvaluationError(f"metrics: {metric!r} is not one of {', '.join(METRICS)}; define it")
    names = [metric.name for metric in plan.family]
    for name in names:
        if names.count(name) > 1:
            raise EvaluationError(f"metrics: {name!r} is given twice")
    for metric in plan.family:
        _check_test(metric)
    _check_primary(plan, names)


def _check_test(metric: Metric) -> None:
    if metric.test in ("welch", "proportion") and metric.denominator != USERS:
        raise EvaluationError(
            f"metrics: {metric.name!r} is tested by {metric.test}, which needs the denominator {USERS!r}"
        )
    if metric.winsorise is not None and not 0.5 < metric.winsorise < 1.0:
        raise EvaluationError(f"metrics: winsorise of {metric.name!r} must lie between 0.5 and 1")
    if metric.winsorise is not None and metric.test == "proportion":
        raise EvaluationError(f"metrics: {metric.name!r} counts users; there is nothing to winsorise")


def _check_primary(plan: Plan, names: list[str]) -> None:
    primary = plan.primary_metric
    if primary is None:
        return
    if primary.name not in names:
        raise EvaluationError(f"primary_metric {primary.name!r} is not among metrics: {', '.join(names)}")
    if not (primary.minimum_effect >= 0.0 and math.isfinite(primary.minimum_effect)):
        raise EvaluationError("primary_metric.minimum_effect must be at least 0")
    if primary.interval == "cuped" and plan.start is None:
        raise EvaluationError("primary_metric.interval = 'cuped' needs start: what lies before it adjusts")


def _check_guardrails(plan: Plan) -> None:
    known = {metric.name for metric in plan.family} | set(RATES)
    for name, margin in plan.guardrails.items():
        if name not in known and not LATENCY.match(name):
            raise EvaluationError(
                f"guardrails: {name!r} is none of p95_latency (any percent), {', '.join(sorted(known))}"
            )
        if not (margin > 0.0 and math.isfinite(margin)):
            raise EvaluationError(f"guardrails: the margin of {name!r} must be positive, not {margin}")
