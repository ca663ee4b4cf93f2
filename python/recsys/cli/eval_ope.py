"""``recsys eval ope``."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import OK, JsonFlag
from recsys.cli.eval_inputs import NO_LOGS, LogOptions, Paths, Tenant
from recsys.cli.eval_report import Out, tell


def run_ope(
    *,
    given: LogOptions = NO_LOGS,
    reward: Literal["click", "conversion", "value"] = "click",
    unit: Literal["item", "list"] | None = None,
    feature: Annotated[Paths, Parameter(name="--feature")] = (),
    max_weight: float | None = None,
    switch_threshold: float = 10.0,
    shrinkage: float = 100.0,
    folds: int = 5,
    level: float = 0.95,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    tenant: Tenant = None,
    out: Out = None,
    json: JsonFlag = False,
) -> int:
    """Estimate what another policy would have earned, from logs with both policies' propensities.

    Parameters
    ----------
    reward
        What counts: a click or conversion of the item (0 or 1), or the value of its outcomes.
    unit
        Value per exposed item, or per list; by default per list when lists have several items.
    feature
        Context keys that the reward model may use.
    max_weight
        Cut importance weights here; the report says what that costs.
    switch_threshold
        The weight above which Switch-DR trusts the model alone.
    shrinkage
        The lambda of doubly robust with optimistic shrinkage.
    folds
        Parts of the users that the reward model is cross-fitted over.
    level
        Confidence of the intervals.
    seed
        What the folds are drawn with.
    """
    from recsys.evaluation.ope.estimate_all import Settings
    from recsys.evaluation.report.ope import ope_story
    from recsys.evaluation.run_ope import run_ope as run

    given.require(("exposures", "outcomes"))
    report, payload = run(
        given.logs(),
        reward=reward,
        unit=unit,
        features=feature,
        settings=Settings(
            level=level, switch_threshold=switch_threshold, shrinkage=shrinkage, folds=folds, seed=seed
        ),
        max_weight=max_weight,
        window=given.attribution_window(),
        memory=given.memory,
        tenant=tenant,
    )
    tell(report, lambda: ope_story(report, payload), out, as_json=json)
    return OK
