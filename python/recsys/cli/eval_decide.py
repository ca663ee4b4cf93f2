"""``recsys eval decide``."""

from __future__ import annotations

from pathlib import Path

from recsys.cli.console import JsonFlag, print_json, stdout
from recsys.cli.eval_inputs import NO_LOGS, LogOptions
from recsys.cli.eval_report import Out, tell
from recsys.contracts.errors import UsageError


def run_decide(
    *,
    plan: Path,
    given: LogOptions = NO_LOGS,
    rollback_version: str | None = None,
    registry: str | None = None,
    tenant: str | None = None,
    surface: str | None = None,
    out: Out = None,
    json: JsonFlag = False,
) -> int:
    """Ship (exit 0), hold (2) or fail (3): data quality first, then guardrails, metric and the way back.

    Parameters
    ----------
    plan
        TOML file with arms, primary metric, minimum effect and guardrails, written before anyone looked.
    rollback_version
        The version to return to if the candidate disappoints; --registry checks that it is there.
    registry
        Where releases lie; without a version to return to, it is the one before the current release of
        --tenant and --surface.
    tenant
        The tenant to measure (context.tenant_id), needed when the logs are of several, and of the release.
    surface
        Surface of the release.
    """
    from recsys.contracts.decisions import EXIT_CODES
    from recsys.evaluation.plan import read_plan
    from recsys.evaluation.report.decision import decision_story
    from recsys.evaluation.report.write import write_whole
    from recsys.evaluation.run_decide import run_decide as run

    given.require(("exposures", "outcomes"))
    declared = read_plan(plan)
    back = rollback_version or declared.rollback_version
    if registry is not None:
        if not tenant or not surface:
            raise UsageError("--registry needs --tenant and --surface")
        back = _way_back(registry, tenant, surface, back)
    decision, report, payload = run(
        given.logs(),
        declared,
        plan_file=plan,
        rollback_version=back,
        is_rollback_checked=registry is not None,
        window=given.attribution_window(),
        memory=given.memory,
        tenant=tenant,
    )
    if out is not None:
        import msgspec

        write_whole(out / "decision.json", msgspec.json.format(msgspec.json.encode(decision)) + b"\n")
    if json:
        if out is not None:
            from recsys.evaluation.report.write import write_report

            write_report(out, report, decision_story(report, payload))
        print_json(decision)
    else:
        stdout().print(decision.decision)
        tell(report, lambda: decision_story(report, payload), out, as_json=False)
    return EXIT_CODES[decision.decision]


def _way_back(url: str, tenant: str, surface: str, version: str | None) -> str | None:
    """Return the release that a rollback would point at: ``version``, or the one before the current; None
    when that is not there or not complete.

    Raises ReleaseNotFoundError when nothing is published there, for a mistyped registry is no evidence, or
    not ``version`` with all of its artifacts.
    """
    from recsys.artifacts.errors import ManifestError, ReleaseNotFoundError
    from recsys.artifacts.registry import open_registry

    releases = open_registry(url)
    current = releases.current(tenant, surface)
    if current is None:
        raise ReleaseNotFoundError(f"{url}: nothing is published for {tenant}/{surface}")
    if version is not None:
        named = releases.find(tenant, surface, version)
        releases.check_complete(named)
        return named.version
    if current.manifest.parent is None:
        return None
    try:
        target = releases.find(tenant, surface, current.manifest.parent)
        releases.check_complete(target)
    except (ReleaseNotFoundError, ManifestError):
        return None
    return target.version
