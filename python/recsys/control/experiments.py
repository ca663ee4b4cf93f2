"""Changes of one experiment within the tenant's experiments document, each a new version of the whole.

A change reads the current document, edits one experiment and puts the result in one transaction, so two
changes at once never undo each other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec.structs import replace

from recsys.artifacts.registry import Registry
from recsys.contracts.documents import InvalidDocument, canonical_json
from recsys.contracts.errors import RecsysError
from recsys.contracts.experiments import (
    ArmName,
    Experiment,
    ExperimentsDocument,
    RollbackPath,
    check_can_start,
    read_experiments,
)
from recsys.control.experiment_references import check_references, check_versions
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import entering
from recsys.control.store import ControlError, NotFoundError
from recsys.control.versions import DocumentKind, Revision

_KIND: DocumentKind = "experiments"

Change = Callable[[ExperimentsDocument], ExperimentsDocument]


def current_experiments(plane: ControlPlane, tenant_id: str) -> tuple[ExperimentsDocument, str | None]:
    """Return the document and its version; an empty one and ``None`` when none was put."""
    plane.tenant(tenant_id)
    try:
        stored = plane.document(tenant_id, _KIND)
    except NotFoundError:
        return ExperimentsDocument(), None
    return _decode(stored.data), stored.revision.version


def find_experiment(document: ExperimentsDocument, experiment_id: str) -> Experiment:
    """Return one experiment; raises :class:`NotFoundError`."""
    for experiment in document.experiments:
        if experiment.id == experiment_id:
            return experiment
    raise NotFoundError(f"experiment {experiment_id!r} does not exist")


def create_experiment(
    plane: ControlPlane,
    tenant_id: str,
    value: object,
    *,
    author: str,
    comment: str = "",
    replaces_draft: bool = False,
) -> Revision:
    """Add an experiment given as plain values; ``replaces_draft`` puts it in the place of a draft of its id.

    Raises :class:`ControlError` when its id is taken or its state is not ``draft``, ``InvalidDocument`` for a
    field that is wrong.
    """
    # Checked alone first, so that pointers do not depend on what else the document holds.
    (experiment,) = read_experiments({"experiments": [value]}).experiments
    if experiment.state != "draft":
        raise ControlError(
            f"experiment {experiment.id!r}: state is {experiment.state!r}; create a draft, then start it"
        )

    def add(document: ExperimentsDocument) -> ExperimentsDocument:
        known = [other.state for other in document.experiments if other.id == experiment.id]
        if known and not (replaces_draft and known == ["draft"]):
            hint = (
                "a draft: say that it is to be replaced (--replace)"
                if known == ["draft"]
                else f"{known[0]}: only a draft can be replaced, take another id"
            )
            raise ControlError(f"experiment {experiment.id!r} exists already, and is {hint}")
        if known:
            kept = [experiment if one.id == experiment.id else one for one in document.experiments]
            return replace(document, experiments=kept)
        return replace(document, experiments=[*document.experiments, experiment])

    return _apply(plane, tenant_id, add, author, f"create {experiment.id}", comment)


def start_experiment(
    plane: ControlPlane,
    tenant_id: str,
    experiment_id: str,
    *,
    registry: Registry | None = None,
    now: datetime,
    author: str,
    comment: str = "",
) -> Revision:
    """Let the arms rank from now on.

    Raises ``InvalidDocument`` without a primary metric, guardrails or a rollback path, for a version that
    history or registry do not have, for a surface without release and config, and when users could be in
    another running experiment as well. Without a registry, surface and releases are not looked up.
    """

    def start(experiment: Experiment) -> Experiment:
        if experiment.state != "draft":
            raise ControlError(
                f"experiment {experiment_id!r} is {experiment.state}; only a draft can be started"
            )
        check_can_start(experiment, experiment_id)
        return replace(experiment, state="running", started_at=now)

    document, _ = current_experiments(plane, tenant_id)
    check_references(plane, tenant_id, find_experiment(document, experiment_id), registry)
    return _edit(plane, tenant_id, experiment_id, start, author, "start", comment)


def stop_experiment(
    plane: ControlPlane, tenant_id: str, experiment_id: str, *, now: datetime, author: str, comment: str = ""
) -> Revision:
    """End an experiment: its surface ranks for everybody as it does without one."""

    def stop(experiment: Experiment) -> Experiment:
        if experiment.state != "running":
            raise ControlError(f"experiment {experiment_id!r} is {experiment.state}, not running")
        return replace(experiment, state="stopped", ended_at=now)

    return _edit(plane, tenant_id, experiment_id, stop, author, "stop", comment)


def set_kill_switch(
    plane: ControlPlane,
    tenant_id: str,
    experiment_id: str | None,
    *,
    on: bool,
    author: str,
    comment: str = "",
) -> Revision:
    """Halt or resume the arms of an experiment, or of all for ``None``; users keep their arms.

    Raises :class:`ControlError` for an experiment that has ended.
    """
    action = "kill" if on else "resume"
    if experiment_id is None:
        return _apply(
            plane,
            tenant_id,
            lambda document: replace(document, kill_switch=on),
            author,
            f"{action} all",
            comment,
        )
    return _edit(
        plane,
        tenant_id,
        experiment_id,
        lambda experiment: replace(_not_ended(experiment), kill_switch=on),
        author,
        action,
        comment,
    )


def set_traffic_share(
    plane: ControlPlane, tenant_id: str, experiment_id: str, share: float, *, author: str, comment: str = ""
) -> Revision:
    """Let ``share`` (0..1) of the eligible users take part; raising it only adds users.

    Raises :class:`ControlError` for an experiment that has ended.
    """
    return _edit(
        plane,
        tenant_id,
        experiment_id,
        lambda experiment: replace(_not_ended(experiment), traffic_share=share),
        author,
        f"ramp to {share:g}",
        comment,
    )


def force_arm(
    plane: ControlPlane,
    tenant_id: str,
    experiment_id: str,
    pseudonym: str,
    arm: ArmName | None,
    *,
    author: str,
) -> Revision:
    """Give a tester an arm, or back to chance for ``None``."""

    def force(experiment: Experiment) -> Experiment:
        others = {user: name for user, name in experiment.forced.items() if user != pseudonym}
        return replace(_not_ended(experiment), forced=others if arm is None else others | {pseudonym: arm})

    return _edit(plane, tenant_id, experiment_id, force, author, "force", "")


def roll_back_experiment(
    plane: ControlPlane,
    tenant_id: str,
    experiment_id: str,
    *,
    registry: Registry,
    now: datetime,
    author: str,
    comment: str = "",
) -> RollbackPath:
    """Stop the arms, then make the versions of the rollback path current, and return the path.

    The arms end whatever happens to the versions. Raises :class:`ControlError` that says so, and which
    versions are current already, when one cannot be made current; may then be repeated.
    """

    def roll_back(experiment: Experiment) -> Experiment:
        if experiment.state == "draft":
            raise ControlError(f"experiment {experiment_id!r} was never started")
        return replace(experiment, state="rolled_back", ended_at=experiment.ended_at or now)

    _edit(plane, tenant_id, experiment_id, roll_back, author, "rollback", comment)
    document, _ = current_experiments(plane, tenant_id)
    experiment = find_experiment(document, experiment_id)
    path = experiment.rollback
    if path is None:
        raise ControlError(f"experiment {experiment_id!r} has no rollback path")
    why = comment or f"rollback of experiment {experiment_id}"
    done: list[str] = []
    try:
        check_versions(plane, tenant_id, experiment, path, "rollback", registry)
        _follow(plane, tenant_id, experiment.surface, path, registry, author=author, why=why, done=done)
    except RecsysError as error:
        current = (
            f"{' and '.join(done)} of the rollback path made current" if done else "nothing else was changed"
        )
        raise ControlError(
            f"the arms of experiment {experiment_id!r} are stopped, {current}, but then: {error}; "
            "mend that and roll back again, or leave it so"
        ) from error
    return path


def _follow(
    plane: ControlPlane,
    tenant_id: str,
    surface: str,
    path: RollbackPath,
    registry: Registry,
    *,
    author: str,
    why: str,
    done: list[str],
) -> None:
    """Make the versions of a rollback path current; ``done`` gains each as it is."""
    if path.config_version is not None:
        plane.roll_back(tenant_id, "config", author=author, comment=why, to=path.config_version)
        done.append("config")
    if path.rules_version is not None:
        plane.roll_back(tenant_id, "rules", author=author, comment=why, to=path.rules_version)
        done.append("rules")
    if path.manifest_version is not None:
        moving = entering(plane, tenant_id, surface, actor=author, action="release.rollback", comment=why)
        registry.roll_back(tenant_id, surface, path.manifest_version, moving=moving)
        done.append("release")


def _not_ended(experiment: Experiment) -> Experiment:
    if experiment.state not in ("draft", "running"):
        raise ControlError(
            f"experiment {experiment.id!r} is {experiment.state}; only drafts and running ones can be changed"
        )
    return experiment


def _edit(
    plane: ControlPlane,
    tenant_id: str,
    experiment_id: str,
    edit: Callable[[Experiment], Experiment],
    author: str,
    action: str,
    comment: str,
) -> Revision:
    def change(document: ExperimentsDocument) -> ExperimentsDocument:
        found = find_experiment(document, experiment_id)
        edited = edit(found)
        return replace(
            document, experiments=[edited if one.id == experiment_id else one for one in document.experiments]
        )

    return _apply(plane, tenant_id, change, author, f"{action} {experiment_id}", comment)


def _apply(
    plane: ControlPlane, tenant_id: str, change: Change, author: str, action: str, comment: str
) -> Revision:
    document = ExperimentsDocument()

    def edit(data: bytes | None) -> bytes:
        nonlocal document
        document = ExperimentsDocument() if data is None else _decode(data)
        return canonical_json(change(document))

    try:
        return plane.edit(
            tenant_id, _KIND, edit, author=author, comment=f"{action}: {comment}" if comment else action
        )
    except InvalidDocument as error:
        raise _named(error, document) from error


def _decode(data: bytes) -> ExperimentsDocument:
    return msgspec.json.decode(data, type=ExperimentsDocument)


def _named(error: InvalidDocument, document: ExperimentsDocument) -> InvalidDocument:
    """Return the error with the ids of experiments in place of their numbers."""
    pointer, problem = error.pointer, error.problem
    for index, experiment in enumerate(document.experiments):
        pointer = pointer.replace(f"experiments[{index}]", experiment.id)
        problem = problem.replace(f"experiments[{index}]", f"experiment {experiment.id!r}")
    return InvalidDocument(pointer, problem)
