"""The experiments document of a tenant: which arms compete on which surface, for whom, and how it ends.

``{"experiments": [...], "kill_switch": false}``. A draft may be incomplete; an experiment may run only with a
primary metric, a guardrail and a rollback path, and beside others of its surface only when no user can be in
both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from recsys.contracts.config import Exploration, Mode, SignalWeights, check_exploration, check_weights
from recsys.contracts.documents import InvalidDocument, convert, parse_json
from recsys.contracts.http import Name
from recsys.contracts.patterns import SHA256
from recsys.contracts.records import Timestamp
from recsys.contracts.rules import SegmentName

ExperimentState = Literal["draft", "running", "stopped", "rolled_back"]
ExperimentKind = Literal["split", "interleaving"]
GuardrailMetric = Literal["error_rate", "empty_list_rate", "p95_latency"]
ArmName = Annotated[str, Meta(min_length=1, max_length=128)]
Version = Annotated[str, Meta(pattern=SHA256)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]

DEFINED_METRICS = (
    "ctr",
    "clicks_per_item",
    "conversion_rate",
    "converting_users",
    "revenue_per_request",
    "revenue_per_user",
    "requests_per_user",
)
"""The metrics that evaluation defines; a plan may define others."""

HOLDOUT = "holdout"
"""The variant of users who are held out: served as the surface is, and logged to compare with."""

INTERLEAVED = "interleaved"
"""The variant of requests whose list holds items of both arms."""

MAX_EXPERIMENTS = 200
MAX_ARMS = 20
MAX_FORCED = 1000


class Arm(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One arm: its share of users is its weight over the sum of weights, and it ranks as it says here.

    What it does not say is as the surface has it; an arm that says nothing is the control.
    """

    name: ArmName
    weight: Annotated[float, Meta(gt=0.0)] = 1.0
    mode: Mode | None = None
    weights: SignalWeights | None = None
    exploration: Exploration | None = None
    config_version: Version | None = None
    rules_version: Version | None = None
    manifest_version: Version | None = None

    @property
    def pins_versions(self) -> bool:
        """Whether the arm needs another snapshot than the current one."""
        return bool(self.config_version or self.rules_version or self.manifest_version)


class Layer(Struct, frozen=True, forbid_unknown_fields=True):
    """A range of users of a named layer. Ranges of a layer that do not overlap have no user in common."""

    name: Name
    low: Share = 0.0
    high: Share = 1.0


class PrimaryMetric(Struct, frozen=True, forbid_unknown_fields=True):
    """The metric that decides, and the smallest difference worth shipping for."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    minimum_effect: Annotated[float, Meta(ge=0.0)] = 0.0


class Guardrail(Struct, frozen=True, forbid_unknown_fields=True):
    """By how much an arm may be worse than the first one: absolute for rates, relative for latency."""

    metric: GuardrailMetric
    margin: Annotated[float, Meta(ge=0.0)]


class RollbackPath(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What is served after a rollback: what is current, or the versions named here, which become current."""

    to: Literal["current", "versions"]
    config_version: Version | None = None
    rules_version: Version | None = None
    manifest_version: Version | None = None


class Experiment(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One experiment. ``segments`` empty means all; ``forced`` maps pseudonyms of testers to arms.

    ``traffic_share`` of the eligible users take part, and raising it only adds users; ``holdout`` of these
    are served as the surface is. The first arm is the control. ``start`` and ``end`` bound the clock of
    requests; ``started_at`` and ``ended_at`` are when it was started and stopped.
    """

    id: ArmName
    surface: Name
    arms: Annotated[list[Arm], Meta(min_length=1, max_length=MAX_ARMS)]
    kind: ExperimentKind = "split"
    state: ExperimentState = "draft"
    kill_switch: bool = False
    traffic_share: Share = 1.0
    holdout: Share = 0.0
    segments: list[SegmentName] = []
    start: Timestamp | None = None
    end: Timestamp | None = None
    layer: Layer | None = None
    forced: dict[Version, ArmName] = {}
    primary_metric: PrimaryMetric | None = None
    guardrails: list[Guardrail] = []
    rollback: RollbackPath | None = None
    description: str = ""
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None

    @property
    def is_serving(self) -> bool:
        """Whether its arms rank requests (within its window)."""
        return self.state == "running" and not self.kill_switch


class ExperimentsDocument(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """All experiments of a tenant. ``kill_switch`` stops the arms of every one."""

    experiments: Annotated[list[Experiment], Meta(max_length=MAX_EXPERIMENTS)] = []
    kill_switch: bool = False


def parse_experiments(data: bytes) -> ExperimentsDocument:
    """Return the experiments of a JSON document; raises :class:`InvalidDocument` naming the field."""
    return read_experiments(parse_json(data, "experiments"))


def read_experiments(value: object) -> ExperimentsDocument:
    """Return the document of plain values, checked as a whole.

    Raises :class:`InvalidDocument` whose pointer names the field (``experiments[2].arms[0].weight``).
    """
    document = convert(value, ExperimentsDocument, "")
    ids: dict[str, int] = {}
    for index, experiment in enumerate(document.experiments):
        at = f"experiments[{index}]"
        first = ids.setdefault(experiment.id, index)
        if first != index:
            raise InvalidDocument(f"{at}.id", f"already the id of experiments[{first}]")
        _check(experiment, at)
        if experiment.state == "running":
            check_can_start(experiment, at)
    _check_exclusion(document.experiments)
    return document


def check_can_start(experiment: Experiment, at: str) -> None:
    """Raise :class:`InvalidDocument` (pointers below ``at``) for what a running experiment must have."""
    if experiment.rollback is None:
        raise InvalidDocument(f"{at}.rollback", "needed to start: say what is served after a rollback")
    if experiment.primary_metric is None:
        raise InvalidDocument(f"{at}.primary_metric", "needed to start: declare the metric that decides")
    if not experiment.guardrails:
        raise InvalidDocument(f"{at}.guardrails", "needed to start: declare at least one")
    if len(experiment.arms) < 2:
        raise InvalidDocument(f"{at}.arms", "needed to start: at least two")


def _check(experiment: Experiment, at: str) -> None:
    _check_arms(experiment, at)
    if experiment.start and experiment.end and experiment.end <= experiment.start:
        raise InvalidDocument(f"{at}.end", "must be later than start")
    layer = experiment.layer
    if layer is not None and layer.high <= layer.low:
        raise InvalidDocument(f"{at}.layer.high", "must be above low")
    names = {arm.name for arm in experiment.arms}
    for pseudonym, arm in experiment.forced.items():
        if arm not in names:
            raise InvalidDocument(f"{at}.forced.{pseudonym}", f"no arm is called {arm!r}")
    if len(experiment.forced) > MAX_FORCED:
        raise InvalidDocument(
            f"{at}.forced", f"{len(experiment.forced)} users; at most {MAX_FORCED} are taken"
        )
    metrics = [guardrail.metric for guardrail in experiment.guardrails]
    for index, guardrail in enumerate(experiment.guardrails):
        if guardrail.metric in metrics[:index]:
            raise InvalidDocument(f"{at}.guardrails[{index}].metric", "stands here twice")
        _check_finite(guardrail.margin, f"{at}.guardrails[{index}].margin")
    if experiment.primary_metric is not None:
        _check_finite(experiment.primary_metric.minimum_effect, f"{at}.primary_metric.minimum_effect")
    if experiment.rollback is not None:
        _check_rollback(experiment.rollback, f"{at}.rollback")


def _check_arms(experiment: Experiment, at: str) -> None:
    names: set[str] = set()
    for index, arm in enumerate(experiment.arms):
        here = f"{at}.arms[{index}]"
        if arm.name in (HOLDOUT, INTERLEAVED):
            raise InvalidDocument(f"{here}.name", f"{arm.name!r} is reserved")
        if arm.name in names:
            raise InvalidDocument(f"{here}.name", "another arm has this name")
        names.add(arm.name)
        _check_finite(arm.weight, f"{here}.weight")
        if arm.weights is not None:
            check_weights(arm.weights, f"{here}.weights")
        if arm.exploration is not None:
            check_exploration(arm.exploration, f"{here}.exploration")
            if experiment.kind == "interleaving":
                raise InvalidDocument(
                    f"{here}.exploration", "not in an interleaving: the draft draws already"
                )
    if experiment.kind == "interleaving" and len(experiment.arms) != 2:
        raise InvalidDocument(f"{at}.arms", "an interleaving has exactly two")


def _check_rollback(path: RollbackPath, at: str) -> None:
    has_versions = bool(path.config_version or path.rules_version or path.manifest_version)
    if path.to == "versions" and not has_versions:
        raise InvalidDocument(f"{at}.to", "names no version: give one of config, rules or manifest")
    if path.to == "current" and has_versions:
        raise InvalidDocument(f"{at}.to", "`current` takes no versions; say `versions`")


def _check_exclusion(experiments: list[Experiment]) -> None:
    """Running experiments that share a layer, or a surface, have no user, segment or moment in common."""
    running = [(index, one) for index, one in enumerate(experiments) if one.state == "running"]
    for place, (index, later) in enumerate(running):
        for first, earlier in running[:place]:
            if not (_overlap_in_time(earlier, later) and _may_meet(earlier, later)):
                continue
            raise InvalidDocument(
                f"experiments[{index}].layer",
                f"users could be in experiments[{first}] too: give both a range of one layer, not the same",
            )


def _may_meet(one: Experiment, other: Experiment) -> bool:
    if one.layer is not None and other.layer is not None and one.layer.name == other.layer.name:
        return one.layer.low < other.layer.high and other.layer.low < one.layer.high
    has_segments = bool(one.segments and other.segments)
    return one.surface == other.surface and not (
        has_segments and set(one.segments).isdisjoint(other.segments)
    )


def _overlap_in_time(one: Experiment, other: Experiment) -> bool:
    pairs: Iterator[tuple[Experiment, Experiment]] = iter(((one, other), (other, one)))
    return all(a.end is None or b.start is None or b.start < a.end for a, b in pairs)


def _check_finite(value: float, at: str) -> None:
    if not math.isfinite(value):
        raise InvalidDocument(at, "must be a finite number")
