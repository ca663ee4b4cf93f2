"""``recsys eval validate``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from recsys.cli.console import FAILED, OK, JsonFlag, print_json, print_table

HOLD = 2

Paths = Annotated[list[str], Parameter(consume_multiple=True, negative="")]


def run_validate(
    *,
    exposures: Paths | None = None,
    outcomes: Paths | None = None,
    assignments: Paths | None = None,
    ranklists: Paths | None = None,
    min_join_rate: float = 0.95,
    shown: int = 10,
    memory: str = "1GB",
    json: JsonFlag = False,
) -> int:
    """Check logs; exits 0 when sane, 2 on hold, 1 when failed."""
    from recsys.contracts.errors import EvaluationError
    from recsys.evaluation.validate import validate_logs
    from recsys.evaluation.validate_lines import Role

    given: dict[Role, list[str] | None] = {
        "exposures": exposures,
        "outcomes": outcomes,
        "assignments": assignments,
        "ranklists": ranklists,
    }
    logs = {role: paths for role, paths in given.items() if paths}
    if not logs:
        raise EvaluationError("give at least one of --exposures, --outcomes, --assignments, --ranklists")
    result = validate_logs(dict(logs), min_join_rate=min_join_rate, shown=shown, memory=memory)
    if json:
        print_json(result)
    else:
        rows = [
            (
                finding.log,
                finding.kind,
                finding.count,
                example.file,
                example.line,
                example.field,
                example.reason,
            )
            for finding in result.findings
            for example in finding.examples
        ]
        title = f"{result.verdict}: {sum(result.lines.values()):,} lines"
        print_table(["log", "kind", "count", "file", "line", "field", "reason"], rows, title=title)
        print_table(["likely cause"], [(cause,) for cause in result.likely_causes])
    return {"sane": OK, "hold": HOLD, "failed": FAILED}[result.verdict]
