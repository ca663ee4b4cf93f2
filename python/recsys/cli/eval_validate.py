"""``recsys eval validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from recsys.cli.console import FAILED, OK, JsonFlag, print_json, print_table, stdout
from recsys.cli.eval_inputs import NO_LOGS, LogOptions, Paths
from recsys.cli.eval_report import Out
from recsys.contracts.errors import UsageError

if TYPE_CHECKING:
    from recsys.contracts.reports import Setting
    from recsys.evaluation.validate import Validation

HOLD = 2
DIGESTS = ("config_version", "manifest_version")
"""Slices whose values are digests, too wide for a terminal; the JSON output has them."""


def run_validate(
    *,
    given: LogOptions = NO_LOGS,
    ranklists: Annotated[Paths, Parameter(help="Ranked lists.")] = (),
    min_join_rate: float = 0.95,
    shown: int = 10,
    mapping: Path | None = None,
    prometheus: Path | None = None,
    tenant: Annotated[
        str | None, Parameter(help="Check this tenant alone; else all, with rates by tenant.")
    ] = None,
    out: Out = None,
    json: JsonFlag = False,
) -> int:
    """Check logs; exits 0 when sane, 2 on hold, 1 when failed.

    Parameters
    ----------
    min_join_rate
        The share (0 to 1) of outcomes that have to match an exposure.
    shown
        How many defects of a kind to show; all are counted.
    mapping
        TOML file that says where the fields are, for logs in another shape.
    prometheus
        Write the join rates there too, for a node exporter's textfile collector.
    """
    from recsys.evaluation.join_rate_file import write_join_rates
    from recsys.evaluation.validate import validate_logs

    logs = given.logs(ranklists=ranklists)
    if not logs:
        raise UsageError("give at least one of --exposures, --outcomes, --assignments, --ranklists")
    result = validate_logs(
        logs,
        min_join_rate=min_join_rate,
        shown=shown,
        window=given.attribution_window(),
        memory=given.memory,
        mapping=mapping,
        tenant=tenant,
    )
    if prometheus is not None:
        write_join_rates(prometheus, result)
    files = None
    if out is not None:
        from recsys.evaluation.report.validation import validation_report, validation_story
        from recsys.evaluation.report.write import write_report

        settings: dict[str, Setting] = {
            "min_join_rate": min_join_rate,
            "window": given.window,
            "shown": shown,
            "tenant": tenant,
        }
        files = write_report(out, validation_report(result, settings), validation_story(result))
    if json:
        print_json(result)
    else:
        print_validation(result)
        if files is not None:
            stdout().print(f"report: {files.html}", soft_wrap=True)
    return {"sane": OK, "hold": HOLD, "failed": FAILED}[result.verdict]


def print_validation(result: Validation) -> None:
    """Print the verdict, then what there is of findings, rates by slice and likely causes."""
    lines = ", ".join(f"{count:,} {log}" for log, count in result.lines.items())
    stdout().print(f"{result.verdict}: {lines}")
    if result.join_rate is not None:
        stdout().print(
            f"join rate {result.join_rate:.2%}: outcomes that match an exposure by request and item"
        )
    if result.engagement_rate is not None:
        stdout().print(
            f"engagement rate {result.engagement_rate:.2%}: requests with an outcome in the window"
        )
    for log, count in result.left_out.items():
        stdout().print(f"{count:,} defective {log} were left out of the join")
    shown = [(finding, example) for finding in result.findings for example in finding.examples]
    if shown:
        columns = ["severity", "log", "kind", "count", "where", "field", "reason"]
        print_table(
            columns,
            [
                (
                    finding.severity,
                    finding.log,
                    finding.kind,
                    finding.count,
                    f"{example.file}:{example.line}" if example.line else "",
                    example.field,
                    example.reason,
                )
                for finding, example in shown
            ],
        )
    if result.slices:
        print_table(
            ["slice", "value", "exposures", "outcomes", "join rate", "engagement rate"],
            [
                (row.dimension, row.value, row.exposures, row.outcomes, row.join_rate, row.engagement_rate)
                for row in result.slices
                if row.dimension not in DIGESTS
            ],
        )
    for cause in result.likely_causes:
        stdout().print(f"likely cause: {cause}")
