"""``recsys eval aa``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import OK, JsonFlag
from recsys.cli.eval_inputs import NO_LOGS, LogOptions, Paths, Tenant
from recsys.cli.eval_report import Out, tell

HOLD = 2


def run_aa(
    *,
    given: LogOptions = NO_LOGS,
    metric: Annotated[Paths, Parameter(name="--metric")] = (),
    variant: str | None = None,
    splits: int = 1000,
    alpha: float = 0.05,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    tenant: Tenant = None,
    out: Out = None,
    json: JsonFlag = False,
) -> int:
    """Check the analysis by resampled A/A tests; exits 0 when it is sound, 2 when it is not.

    Parameters
    ----------
    metric
        Metrics to check, such as ctr or revenue_per_user; the usual three by default.
    variant
        Take the users of this arm alone; all users by default.
    splits
        How often the users are split in random halves.
    alpha
        The level of the test.
    seed
        What the splits are drawn with.
    """
    from recsys.evaluation.report.aa import aa_story
    from recsys.evaluation.run_aa import DEFAULT_METRICS
    from recsys.evaluation.run_aa import run_aa as run

    given.require(("exposures", "outcomes"))
    report, payload = run(
        given.logs(),
        metrics=metric or DEFAULT_METRICS,
        variant=variant,
        splits=splits,
        alpha=alpha,
        seed=seed,
        window=given.attribution_window(),
        memory=given.memory,
        tenant=tenant,
    )
    tell(report, lambda: aa_story(report, payload), out, as_json=json)
    return OK if all(found.check.is_sound for found in payload.metrics) else HOLD
