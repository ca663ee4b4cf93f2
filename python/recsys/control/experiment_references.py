"""What an experiment names must be there: its surface, and the versions of its arms and its rollback path."""

from __future__ import annotations

from collections.abc import Iterator

from recsys.artifacts.collect import ReleaseName
from recsys.artifacts.errors import ReleaseNotFoundError
from recsys.artifacts.registry import Registry
from recsys.contracts.config import parse_config
from recsys.contracts.documents import InvalidDocument
from recsys.contracts.experiments import Arm, Experiment, RollbackPath, parse_experiments
from recsys.control.plane import ControlPlane
from recsys.control.store import NotFoundError
from recsys.control.versions import DocumentKind

_KINDS: tuple[DocumentKind, ...] = ("config", "rules")


def check_references(
    plane: ControlPlane, tenant_id: str, experiment: Experiment, registry: Registry | None
) -> None:
    """Raise ``InvalidDocument`` naming the field that names nothing; without a registry documents alone."""
    if registry is not None:
        _check_surface(plane, tenant_id, experiment, registry)
    for at, one in _sides(experiment):
        check_versions(plane, tenant_id, experiment, one, at, registry)


def check_versions(
    plane: ControlPlane,
    tenant_id: str,
    experiment: Experiment,
    one: Arm | RollbackPath,
    at: str,
    registry: Registry | None,
) -> None:
    """Raise ``InvalidDocument`` for a version that history or registry do not have; ``at`` is its place."""
    for kind, version in zip(_KINDS, (one.config_version, one.rules_version), strict=True):
        if version is None:
            continue
        try:
            plane.document(tenant_id, kind, version)
        except NotFoundError as error:
            raise InvalidDocument(f"{experiment.id}.{at}.{kind}_version", str(error)) from error
    if registry is not None and one.manifest_version is not None:
        try:
            registry.check_complete(registry.find(tenant_id, experiment.surface, one.manifest_version))
        except ReleaseNotFoundError as error:
            raise InvalidDocument(f"{experiment.id}.{at}.manifest_version", str(error)) from error


def named_releases(plane: ControlPlane) -> set[ReleaseName]:
    """Return the releases that drafts and running experiments of all tenants name."""
    found: set[ReleaseName] = set()
    for tenant in plane.tenants():
        try:
            document = parse_experiments(plane.document(tenant.tenant_id, "experiments").data)
        except NotFoundError:
            continue
        for experiment in document.experiments:
            if experiment.state in ("draft", "running"):
                found |= {
                    (tenant.tenant_id, experiment.surface, one.manifest_version)
                    for _, one in _sides(experiment)
                    if one.manifest_version is not None
                }
    return found


def _sides(experiment: Experiment) -> Iterator[tuple[str, Arm | RollbackPath]]:
    for index, arm in enumerate(experiment.arms):
        yield f"arms[{index}]", arm
    if experiment.rollback is not None:
        yield "rollback", experiment.rollback


def _check_surface(plane: ControlPlane, tenant_id: str, experiment: Experiment, registry: Registry) -> None:
    try:
        configured = set(parse_config(plane.document(tenant_id, "config").data).surfaces)
    except NotFoundError:
        configured = set()
    released = {surface for tenant, surface in registry.surfaces() if tenant == tenant_id}
    known = sorted(configured | released)
    if experiment.surface not in known:
        there_is = ", ".join(known) or "none"
        raise InvalidDocument(
            f"{experiment.id}.surface",
            f"{experiment.surface!r} has no release in {registry.url} and is not in the config; "
            f"there is {there_is}",
        )
