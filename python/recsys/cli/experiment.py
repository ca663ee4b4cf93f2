"""``recsys experiment``: create, start, ramp, stop and roll back experiments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import JsonFlag, print_json, print_table, print_warning
from recsys.cli.documents import Comment, Document, read_document
from recsys.cli.releases import IN_DATA_FOLDER, RegistryOptions
from recsys.cli.store_options import WHERE, Tenant, Where, actor, control_plane

if TYPE_CHECKING:
    from recsys.contracts.experiments import Experiment
    from recsys.control.versions import Revision

Id = Annotated[str, Parameter(help="The experiment.")]
OptionalId = Annotated[str | None, Parameter(help="The experiment; without it all of the tenant.")]

app = cyclopts.App(name="experiment", help="Create, start, ramp, stop and roll back experiments.")
app.command("recsys.cli.experiment_guard:guard", name="guard")


@app.command
def create(
    file: Document,
    /,
    *,
    tenant: Tenant,
    replace: Annotated[
        bool, Parameter(negative="", help="Take the place of a draft of the same id.")
    ] = False,
    comment: Comment = "",
    where: Where = WHERE,
    json: JsonFlag = False,
) -> None:
    """Check an experiment (a JSON object) and keep it as a draft."""
    from recsys.contracts.documents import parse_json
    from recsys.control.experiments import create_experiment

    value = parse_json(read_document(file), "experiment")
    with control_plane(where) as plane:
        revision = create_experiment(
            plane, tenant, value, author=actor(), comment=comment, replaces_draft=replace
        )
    _print(revision, json)


@app.command
def start(
    experiment: Id,
    /,
    *,
    tenant: Tenant,
    comment: Comment = "",
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Let the arms rank; refused without a primary metric, guardrails and a rollback path."""
    from recsys.contracts.experiments import DEFINED_METRICS
    from recsys.control.experiments import current_experiments, find_experiment, start_experiment

    with control_plane(at.where) as plane:
        revision = start_experiment(
            plane,
            tenant,
            experiment,
            registry=at.open(),
            now=datetime.now(UTC),
            author=actor(),
            comment=comment,
        )
        metric = find_experiment(current_experiments(plane, tenant)[0], experiment).primary_metric
    if metric is not None and metric.name not in DEFINED_METRICS:
        print_warning(
            f"{experiment}.primary_metric.name: {metric.name!r} is none of {', '.join(DEFINED_METRICS)}; "
            "the plan of the evaluation has to define it"
        )
    _print(revision, json)


@app.command
def stop(
    experiment: Id,
    /,
    *,
    tenant: Tenant,
    comment: Comment = "",
    where: Where = WHERE,
    json: JsonFlag = False,
) -> None:
    """End an experiment: the surface ranks for everybody as it does without one."""
    from recsys.control.experiments import stop_experiment

    with control_plane(where) as plane:
        revision = stop_experiment(
            plane, tenant, experiment, now=datetime.now(UTC), author=actor(), comment=comment
        )
    _print(revision, json)


@app.command
def kill(
    experiment: OptionalId = None,
    /,
    *,
    tenant: Tenant,
    comment: Comment = "",
    where: Where = WHERE,
    json: JsonFlag = False,
) -> None:
    """Halt the arms at once; users keep theirs for when they are resumed."""
    _switch(experiment, tenant, comment, where, json, on=True)


@app.command
def resume(
    experiment: OptionalId = None,
    /,
    *,
    tenant: Tenant,
    comment: Comment = "",
    where: Where = WHERE,
    json: JsonFlag = False,
) -> None:
    """Take the kill switch back."""
    _switch(experiment, tenant, comment, where, json, on=False)


@app.command
def ramp(
    experiment: Id,
    share: Annotated[float, Parameter(help="Of the eligible users, 0 to 1.")],
    /,
    *,
    tenant: Tenant,
    comment: Comment = "",
    where: Where = WHERE,
    json: JsonFlag = False,
) -> None:
    """Change the share of users who take part; raising it only adds users."""
    from recsys.control.experiments import set_traffic_share

    with control_plane(where) as plane:
        _print(set_traffic_share(plane, tenant, experiment, share, author=actor(), comment=comment), json)


@app.command
def force(
    experiment: Id,
    /,
    *,
    user: Annotated[str, Parameter(help="The tester's id as requests give it; only its pseudonym is kept.")],
    arm: Annotated[
        str | None, Parameter(help="The arm; without it the tester's arm is left to chance.")
    ] = None,
    tenant: Tenant,
    where: Where = WHERE,
    json: JsonFlag = False,
) -> None:
    """Give a tester an arm. What testers are served does not count in the experiment."""
    from recsys.contracts.pseudonym import pseudonym
    from recsys.control.experiments import force_arm

    with control_plane(where) as plane:
        name = pseudonym(plane.tenant(tenant).salt, user)
        _print(force_arm(plane, tenant, experiment, name, arm, author=actor()), json)


@app.command
def status(
    experiment: OptionalId = None, /, *, tenant: Tenant, where: Where = WHERE, json: JsonFlag = False
) -> None:
    """Show the experiments of a tenant, or one in full."""
    from recsys.control.experiments import current_experiments, find_experiment

    with control_plane(where) as plane:
        document, version = current_experiments(plane, tenant)
    if experiment is not None:
        print_json(find_experiment(document, experiment))
        return
    if json:
        print_json({"version": version, "document": document})
        return
    print_table(
        ["id", "surface", "kind", "state", "traffic", "arms", "started", "ended"],
        [_row(one, is_killed=one.kill_switch or document.kill_switch) for one in document.experiments],
    )


@app.command
def rollback(
    experiment: Id,
    /,
    *,
    tenant: Tenant,
    comment: Comment = "",
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Stop the arms and make the versions of the rollback path current."""
    from recsys.control.experiments import roll_back_experiment

    with control_plane(at.where) as plane:
        done = roll_back_experiment(
            plane,
            tenant,
            experiment,
            registry=at.open(),
            now=datetime.now(UTC),
            author=actor(),
            comment=comment,
        )
    print_json(done) if json else print(f"rolled back to {done.to}")


def _switch(experiment: str | None, tenant: str, comment: str, where: Where, json: bool, *, on: bool) -> None:
    from recsys.control.experiments import set_kill_switch

    with control_plane(where) as plane:
        _print(set_kill_switch(plane, tenant, experiment, on=on, author=actor(), comment=comment), json)


def _print(revision: Revision, json: bool) -> None:
    print_json(revision) if json else print(revision.version)


def _row(one: Experiment, *, is_killed: bool) -> tuple[object, ...]:
    total = sum(arm.weight for arm in one.arms)
    arms = ", ".join(f"{arm.name} {arm.weight / total:.0%}" for arm in one.arms)
    state = f"{one.state} (killed)" if is_killed and one.state == "running" else one.state
    window = [
        None if moment is None else f"{moment:%Y-%m-%d %H:%M}" for moment in (one.started_at, one.ended_at)
    ]
    return (one.id, one.surface, one.kind, state, f"{one.traffic_share:.0%}", arms, *window)
