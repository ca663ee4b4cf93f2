"""``recsys eval experiment``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from recsys.cli.console import OK, JsonFlag
from recsys.cli.eval_inputs import NO_LOGS, LogOptions, Paths, Tenant
from recsys.cli.eval_report import Out, tell
from recsys.contracts.errors import UsageError

if TYPE_CHECKING:
    from recsys.evaluation.plan import Plan


def run_experiment(
    *,
    given: LogOptions = NO_LOGS,
    plan: Path | None = None,
    control: str | None = None,
    candidate: str | None = None,
    experiment: str | None = None,
    metric: Annotated[Paths, Parameter(name="--metric")] = (),
    guardrail: Annotated[Paths, Parameter(name="--guardrail")] = (),
    start: str | None = None,
    tenant: Tenant = None,
    out: Out = None,
    json: JsonFlag = False,
) -> int:
    """Measure the arms of an experiment: effects with intervals, guardrails, and whether the data can say so.

    Parameters
    ----------
    plan
        TOML file that declares arms, split, metrics, guardrails and period; then none of the options below.
    control
        The arm to compare with.
    candidate
        The arm to judge.
    experiment
        The experiment to read, when the logs hold several.
    metric
        Metrics such as ctr, conversion_rate, revenue_per_user; p-values are corrected over them.
    guardrail
        Guardrails as NAME=MARGIN: p95_latency=0.1 (relative), error_rate=0.005, empty_list_rate=0.01.
    start
        First moment of the experiment (RFC 3339); what lies before it adjusts the effects (CUPED).
    """
    from recsys.evaluation.plan import plan_from, read_plan
    from recsys.evaluation.report.experiment import experiment_story
    from recsys.evaluation.run_experiment import run_experiment as run

    given.require(("exposures", "outcomes"))
    options = {
        "control_variant": control,
        "candidate_variant": candidate,
        "experiment_id": experiment,
        "metrics": list(metric),
        "guardrails": _margins(guardrail),
        "start": start,
    }
    chosen: Plan
    if plan is not None:
        extra = [name for name, value in options.items() if value]
        if extra:
            raise UsageError(f"--plan says what is measured; leave out {', '.join(extra)}, or write it there")
        chosen = read_plan(plan)
    else:
        if not control or not candidate:
            raise UsageError("give --plan, or --control and --candidate")
        chosen = plan_from({name: value for name, value in options.items() if value})
    report, payload = run(
        given.logs(),
        chosen,
        plan_file=plan,
        window=given.attribution_window(),
        memory=given.memory,
        tenant=tenant,
    )
    tell(report, lambda: experiment_story(report, payload), out, as_json=json)
    return OK


def _margins(given: tuple[str, ...]) -> dict[str, float]:
    margins: dict[str, float] = {}
    for text in given:
        name, _, margin = text.partition("=")
        try:
            margins[name] = float(margin)
        except ValueError as error:
            raise UsageError(f"--guardrail: {text!r} is not NAME=MARGIN, such as error_rate=0.005") from error
    return margins
