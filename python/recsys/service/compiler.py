"""Compiles tenants: from documents and releases to snapshots, beside the ones that serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from recsys.contracts.config import TenantConfig, parse_config
from recsys.contracts.errors import RecsysError
from recsys.contracts.rules import parse_rules
from recsys.control.tenants import Tenant
from recsys.control.versions import DocumentKind, StoredDocument
from recsys.ranking.snapshot import DEFAULT_CONFIG_VERSION, DEFAULT_RULES_VERSION, FreshArtifact, Snapshot
from recsys.service.tenants import ServedTenant, TenantDocuments

BUILT_IN = TenantDocuments(TenantConfig(), (), DEFAULT_CONFIG_VERSION, DEFAULT_RULES_VERSION)
"""What a tenant has before anything was put."""


class Release(Struct, frozen=True):
    """What a manifest of one surface names: its version, and where its artifacts lie here, by kind.

    ``updated_at_s`` is when it was published, in Unix seconds.
    """

    version: str
    artifacts: Mapping[str, Path]
    updated_at_s: float = 0.0


FindsFresh = Callable[[str, str, TenantConfig, str], FreshArtifact | None]
"""Tells which fresh popularity counts for a tenant's surface, under a config, of a release."""


def _no_fresh(tenant: str, surface: str, config: TenantConfig, version: str) -> None:
    """Nothing is fresh."""


def read_documents(
    current: Mapping[DocumentKind, StoredDocument], before: TenantDocuments = BUILT_IN
) -> TenantDocuments:
    """Return the current documents of a tenant; one that has the version of ``before`` is not parsed again.

    Raises ``InvalidDocument`` for one that this release does not take, though an earlier one did.
    """
    config, rules = current.get("config"), current.get("rules")
    config_version = DEFAULT_CONFIG_VERSION if config is None else config.revision.version
    rules_version = DEFAULT_RULES_VERSION if rules is None else rules.revision.version
    parsed_config, parsed_rules = before.config, before.rules
    if config_version != before.config_version:
        parsed_config = BUILT_IN.config if config is None else parse_config(config.data)
    if rules_version != before.rules_version:
        parsed_rules = () if rules is None else parse_rules(rules.data)
    return TenantDocuments(parsed_config, parsed_rules, config_version, rules_version)


def compile_tenant(
    tenant: Tenant,
    documents: TenantDocuments,
    releases: Mapping[str, Release],
    release_failures: Mapping[str, str],
    before: ServedTenant | None,
    *,
    anew: bool = False,
    find_fresh: FindsFresh = _no_fresh,
) -> ServedTenant:
    """Return the tenant with a snapshot for each surface of ``releases``.

    ``find_fresh`` says which fresh popularity counts. A snapshot of ``before`` with the same versions is kept
    unless ``anew``. What cannot be compiled keeps the snapshot of ``before`` and is told in ``failures``;
    nothing is raised.
    """
    old = {} if before is None else before.snapshots
    snapshots: dict[str, Snapshot] = {}
    failures = dict(release_failures)
    released_at_s = {} if before is None else dict(before.released_at_s)
    for surface, release in releases.items():
        kept = old.get(surface)
        fresh = find_fresh(tenant.tenant_id, surface, documents.config, release.version)
        if kept is not None and not anew and _is_current(kept, documents, release) and kept.fresh == fresh:
            snapshots[surface] = kept
            released_at_s[surface] = release.updated_at_s
            continue
        try:
            snapshots[surface] = _compile(tenant.tenant_id, surface, documents, release, fresh, kept)
            released_at_s[surface] = release.updated_at_s
        except RecsysError as error:
            failures[surface] = str(error)
            if kept is not None:
                snapshots[surface] = kept
    return ServedTenant(
        name=tenant.tenant_id,
        salt=tenant.salt,
        is_suspended=tenant.state == "suspended",
        documents=documents,
        snapshots=snapshots,
        failures=failures,
        released_at_s=released_at_s,
    )


def _compile(
    tenant: str,
    surface: str,
    documents: TenantDocuments,
    release: Release,
    fresh: FreshArtifact | None,
    kept: Snapshot | None,
) -> Snapshot:
    snapshot = Snapshot(
        tenant,
        surface,
        release.artifacts,
        manifest_version=release.version,
        config=documents.config,
        rules=documents.rules,
        config_version=documents.config_version,
        rules_version=documents.rules_version,
        fresh=fresh,
    )
    if kept is not None:
        snapshot.compile_plans_of(kept, datetime.now(UTC))
    return snapshot


def _is_current(snapshot: Snapshot, documents: TenantDocuments, release: Release) -> bool:
    versions = snapshot.versions
    return (
        versions.config_version == documents.config_version
        and versions.rules_version == documents.rules_version
        and versions.manifest_version == release.version
    )
