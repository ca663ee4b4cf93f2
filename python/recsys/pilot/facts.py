"""Facts about one surface of a tenant, read once from the store, the registry, the logs and evidence files.

Checks look at facts only, so that a checklist is the same for the same facts, and easy to test.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

from msgspec import Struct

from recsys.artifacts.registry import Registry
from recsys.contracts.config import TenantConfig, parse_config
from recsys.contracts.errors import RecsysError
from recsys.contracts.rules import parse_rules
from recsys.control.keys import SECRET_FILE, ApiKey
from recsys.control.plane import ControlPlane
from recsys.control.store import NotFoundError
from recsys.control.versions import DocumentKind
from recsys.eventlog.listing import LogFile, list_logs
from recsys.pilot.alerting import Alerting
from recsys.pilot.evidence_files import EvidenceFiles, read_evidence

AUDIT_ENTRIES = 10_000


class Release(Struct, frozen=True):
    """One release: its kinds of signal (without the catalog), and when it became current."""

    version: str
    kinds: tuple[str, ...]
    updated_at: datetime


class Documents(Struct, frozen=True):
    """The history of a kind of document: how many revisions, and the current version."""

    revisions: int = 0
    current: str | None = None


class Logs(Struct, frozen=True):
    """What there is of one log. ``oldest`` is the first day of it that is still here."""

    files: int = 0
    bytes: int = 0
    oldest: date | None = None


class Probe(Struct, frozen=True):
    """What a running service answered: ``status`` by what was asked; 0 when it did not answer."""

    ready: int
    unauthenticated: int


class Facts(Struct, frozen=True, kw_only=True):
    """Everything that the checks look at. ``actions`` maps an action of the audit trail to its last time."""

    now: datetime
    tenant: str
    surface: str
    tenant_state: str | None = None
    keys: tuple[ApiKey, ...] = ()
    config: TenantConfig | None = None
    configs: Documents = Documents()
    rules: Documents = Documents()
    n_rules: int = 0
    actions: dict[str, datetime] = {}
    releases: tuple[Release, ...] = ()
    current: Release | None = None
    exposures: Logs = Logs()
    outcomes: Logs = Logs()
    files: EvidenceFiles = EvidenceFiles()
    exposed_secrets: tuple[str, ...] = ()
    probe: Probe | None = None
    alerting: Alerting | None = None
    troubles: tuple[str, ...] = ()
    """What could not be read, and why."""


def gather_facts(
    plane: ControlPlane,
    registry: Registry,
    *,
    data_dir: Path,
    evidence: Iterable[Path],
    tenant: str,
    surface: str,
    now: datetime,
    probe: Probe | None = None,
    alerting: Alerting | None = None,
) -> Facts:
    """Return the facts; what cannot be read is in ``troubles``, and its facts are as if nothing was there.

    Without ``alerting``, that of the newest evidence file is taken.
    """
    troubles: list[str] = []
    state: str | None = None
    keys: tuple[ApiKey, ...] = ()
    actions: dict[str, datetime] = {}
    try:
        state = plane.tenant(tenant).state
        keys = tuple(plane.keys(tenant))
        for entry in plane.audit_entries(tenant, limit=AUDIT_ENTRIES):
            actions.setdefault(entry.action, entry.time)
    except NotFoundError:
        pass
    releases, current = _releases(registry, tenant, surface, troubles)
    logs = list_logs(data_dir / "logs", now.timestamp())
    files = read_evidence(list(evidence))
    troubles += [f"{path}: not JSON" for path in files.damaged]
    rules_data = _document(plane, tenant, "rules", state)
    config_data = _document(plane, tenant, "config", state)
    return Facts(
        now=now,
        tenant=tenant,
        surface=surface,
        tenant_state=state,
        keys=keys,
        config=None if config_data is None else parse_config(config_data),
        configs=_history(plane, tenant, "config", state),
        rules=_history(plane, tenant, "rules", state),
        n_rules=0 if rules_data is None else len(parse_rules(rules_data)),
        actions=actions,
        releases=releases,
        current=current,
        exposures=_logs(logs, "exposures", tenant),
        outcomes=_logs(logs, "outcomes", tenant),
        files=files,
        exposed_secrets=exposed_secrets(data_dir / "control"),
        probe=probe,
        alerting=alerting or (files.alertings[-1] if files.alertings else None),
        troubles=tuple(troubles),
    )


def _releases(
    registry: Registry, tenant: str, surface: str, troubles: list[str]
) -> tuple[tuple[Release, ...], Release | None]:
    try:
        current = registry.current(tenant, surface)
        history = registry.history(tenant, surface)
    except RecsysError as error:
        troubles.append(str(error))
        return (), None
    releases = tuple(
        Release(one.version, tuple(sorted(set(one.current) - {"catalog"})), one.updated_at) for one in history
    )
    version = None if current is None else current.manifest.version
    return releases, next((one for one in releases if one.version == version), None)


def _document(plane: ControlPlane, tenant: str, kind: DocumentKind, state: str | None) -> bytes | None:
    if state is None:
        return None
    try:
        return plane.document(tenant, kind).data
    except NotFoundError:
        return None


def _history(plane: ControlPlane, tenant: str, kind: DocumentKind, state: str | None) -> Documents:
    if state is None:
        return Documents()
    revisions = plane.history(tenant, kind, limit=1000)
    current = plane.document(tenant, kind).revision.version if revisions else None
    return Documents(len(revisions), current)


def _logs(files: Iterable[LogFile], kind: str, tenant: str) -> Logs:
    of_kind = [file for file in files if file.kind == kind and file.tenant in (None, tenant)]
    days = [file.day for file in of_kind if file.day is not None]
    return Logs(len(of_kind), sum(file.bytes for file in of_kind), min(days, default=None))


def exposed_secrets(folder: Path) -> tuple[str, ...]:
    """Return the files and folders of the store that others than its owner may open."""
    others = stat.S_IRWXG | stat.S_IRWXO
    paths = (folder, folder / SECRET_FILE, folder / "data.mdb")
    return tuple(str(path) for path in paths if path.exists() and path.stat().st_mode & others)


def utc_now() -> datetime:
    """Return the time of this host, in UTC."""
    return datetime.now(UTC)
