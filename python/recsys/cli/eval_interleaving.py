"""``recsys eval interleaving``."""

from __future__ import annotations

from typing import Literal

from recsys.cli.console import OK, JsonFlag
from recsys.cli.eval_inputs import NO_LOGS, LogOptions, Tenant
from recsys.cli.eval_report import Out, tell


def run_interleaving(
    *,
    given: LogOptions = NO_LOGS,
    credit: Literal["click", "conversion"] = "click",
    level: float = 0.95,
    tenant: Tenant = None,
    out: Out = None,
    json: JsonFlag = False,
) -> int:
    """Say which of two rankers people prefer, from lists that both filled (items[].team is a or b).

    Parameters
    ----------
    credit
        What earns credit for the team that placed the item.
    level
        Confidence of the interval, and one minus the level of the test.
    """
    from recsys.evaluation.report.interleaving import interleaving_story
    from recsys.evaluation.run_interleaving import run_interleaving as run

    given.require(("exposures", "outcomes"))
    report, payload = run(
        given.logs(),
        credit=credit,
        level=level,
        window=given.attribution_window(),
        memory=given.memory,
        tenant=tenant,
    )
    tell(report, lambda: interleaving_story(report, payload), out, as_json=json)
    return OK
