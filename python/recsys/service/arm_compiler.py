"""Compiles the arms of running experiments: those that name versions get snapshots of their own.

What is blocked now is blocked in an arm with older rules too: nothing brings it back. Its lists name both
versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

import structlog
from msgspec import Struct
from msgspec.structs import replace

from recsys.contracts.config import parse_config
from recsys.contracts.errors import RecsysError
from recsys.contracts.experiments import Arm, Experiment, ExperimentsDocument, parse_experiments
from recsys.contracts.rules import parse_rules, with_blocks
from recsys.control.plane import ControlPlane
from recsys.control.versions import DocumentKind, StoredDocument
from recsys.experiments.assignment import SurfaceExperiments
from recsys.ranking.snapshot import Snapshot
from recsys.service.arms import Pins, SurfaceArms, pins_of
from recsys.service.compiler import FindsFresh, Release
from recsys.service.tenants import ServedTenant, TenantDocuments


class FetchesReleases(Protocol):
    """Where releases come from."""

    def fetch(self, tenant: str, surface: str, version: str) -> Release:
        """Return a release that need not be the current one; raises ``RecsysError``."""


class PastVersions:
    """Finds documents and releases that are not current."""

    def __init__(self, plane: ControlPlane, releases: FetchesReleases) -> None:
        self._plane = plane
        self._releases = releases

    def document(self, tenant_id: str, kind: DocumentKind, version: str) -> bytes:
        """Return a document of the history; raises ``ControlError``."""
        return self._plane.document(tenant_id, kind, version).data

    def release(self, tenant_id: str, surface: str, version: str) -> Release:
        """Return a release; raises ``RecsysError``."""
        return self._releases.fetch(tenant_id, surface, version)


class _Wanted(Struct, frozen=True):
    tenant: ServedTenant
    surface: str
    source: PastVersions
    releases: Mapping[str, Release]
    find_fresh: FindsFresh


def with_experiments(
    tenant: ServedTenant,
    stored: StoredDocument | None,
    releases: Mapping[str, Release],
    source: PastVersions,
    before: ServedTenant | None,
    find_fresh: FindsFresh,
) -> ServedTenant:
    """Return the tenant with its running experiments; one that cannot be compiled is left out and logged."""
    document = _read(tenant, stored)
    if document is None or document.kill_switch:
        return tenant
    experiments: dict[str, SurfaceArms] = {}
    for surface, current in tenant.snapshots.items():
        serving = [one for one in document.experiments if one.is_serving and one.surface == surface]
        if not serving:
            continue
        held = None if before is None else before.experiments.get(surface)
        wanted = _Wanted(tenant, surface, source, releases, find_fresh)
        known: dict[Pins, Snapshot] = {} if held is None else dict(held.snapshots)
        sound, snapshots = _compile_all(wanted, serving, current, known)
        if sound:
            experiments[surface] = SurfaceArms(SurfaceExperiments(tenant.salt, sound), snapshots)
    return replace(tenant, experiments=experiments)


def _read(tenant: ServedTenant, stored: StoredDocument | None) -> ExperimentsDocument | None:
    if stored is None:
        return None
    try:
        return parse_experiments(stored.data)
    except RecsysError as error:
        structlog.get_logger().error("no experiment is served", tenant=tenant.name, reason=str(error))
        return None


def _compile_all(
    wanted: _Wanted, serving: list[Experiment], current: Snapshot, known: Mapping[Pins, Snapshot]
) -> tuple[list[Experiment], dict[Pins, Snapshot]]:
    """Return the experiments that can be served, and a snapshot for each set of versions in them."""
    sound: list[Experiment] = []
    snapshots: dict[Pins, Snapshot] = {}
    for experiment in serving:
        try:
            for arm in experiment.arms:
                pins = pins_of(arm)
                if not arm.pins_versions or pins in snapshots:
                    continue
                held = known.get(pins)
                if held is not None and _is_current(held, arm, current, wanted.tenant.documents):
                    fresh = wanted.find_fresh(
                        held.tenant, held.surface, held.config, held.versions.manifest_version
                    )
                    snapshots[pins] = held if held.fresh == fresh else held.with_fresh(fresh)
                else:
                    snapshots[pins] = _compile(wanted, arm, current)
                    if held is not None:
                        snapshots[pins].compile_plans_of(held, datetime.now(UTC))
            sound.append(experiment)
        except RecsysError as error:
            structlog.get_logger().error(
                "an experiment is not served",
                tenant=wanted.tenant.name,
                experiment=experiment.id,
                reason=str(error),
            )
    return sound, snapshots


def _is_current(held: Snapshot, arm: Arm, current: Snapshot, documents: TenantDocuments) -> bool:
    """Whether a snapshot has what the arm does not name as the surface has it, and the blocks of now."""
    now, then = current.versions, held.versions
    return (
        (arm.config_version or now.config_version) == then.config_version
        and (arm.rules_version or now.rules_version) == then.rules_version
        and (arm.manifest_version or now.manifest_version) == then.manifest_version
        and _blocks_version(arm, documents) == then.blocks_version
    )


def _blocks_version(arm: Arm, documents: TenantDocuments) -> str | None:
    """Return the version of the rules that add their blocks to those of an arm, if it has others."""
    is_older = arm.rules_version not in (None, documents.rules_version)
    return documents.rules_version if is_older else None


def _compile(wanted: _Wanted, arm: Arm, current: Snapshot) -> Snapshot:
    tenant, surface, source = wanted.tenant, wanted.surface, wanted.source
    documents, versions = tenant.documents, current.versions
    config, rules, release = documents.config, documents.rules, wanted.releases.get(surface)
    if arm.config_version is not None:
        config = parse_config(source.document(tenant.name, "config", arm.config_version))
    if arm.rules_version is not None:
        own = parse_rules(source.document(tenant.name, "rules", arm.rules_version))
        rules = with_blocks(own, documents.rules)
    if arm.manifest_version is not None or release is None:
        release = source.release(tenant.name, surface, arm.manifest_version or versions.manifest_version)
    return Snapshot(
        tenant.name,
        surface,
        release.artifacts,
        manifest_version=release.version,
        config=config,
        rules=rules,
        config_version=arm.config_version or documents.config_version,
        rules_version=arm.rules_version or documents.rules_version,
        blocks_version=_blocks_version(arm, documents),
        fresh=wanted.find_fresh(tenant.name, surface, config, release.version),
    )
