"""Facts about one surface of a tenant, read once from the store, the registry, the logs and evidence files.

Checks look at facts only, so that a checklist is the same for the same facts, and easy to test.
"""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
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
DATA_DIR = Path("data")


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
    url: str = "http://HOST:PORT"


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
    data_dir: Path = DATA_DIR
    registry: str = str(DATA_DIR / "registry")
    evidence: Path = DATA_DIR / "evidence"
    """Where a next command leaves its evidence, to be found by the next look."""
    backups: Path = DATA_DIR / "backups"

    @property
    def place(self) -> str:
        """The option of the data folder, with a space before it; empty for the folder that is the default."""
        return "" if self.data_dir == DATA_DIR else f" --data-dir {shlex.quote(str(self.data_dir))}"

    @property
    def of_surface(self) -> str:
        """The options of tenant and surface."""
        return f"--tenant {shlex.quote(self.tenant)} --surface {shlex.quote(self.surface)}"

    @property
    def logs(self) -> str:
        """The options of the logs, for commands that join them."""
        folder = self.data_dir / "logs"
        kinds = ("exposures", "outcomes")
        return " ".join(f"--{kind} {shlex.quote(str(folder / kind))}" for kind in kinds)

    def evidence_path(self, name: str) -> str:
        """Return the path of a file or folder of evidence, quoted for a shell."""
        return shlex.quote(str(self.evidence / name))

    def printed_to(self, command: str, name: str) -> str:
        """Return a line for a shell that keeps the JSON of a command as evidence."""
        folder = shlex.quote(str(self.evidence))
        return f"mkdir -p {folder} && {command} --json > {self.evidence_path(name)}"


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

    Without ``alerting``, that of the newest evidence file is taken. Without ``evidence``, it is looked for in
    ``evidence/`` and ``backups/`` of the data folder.
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
    log_dir = data_dir / "logs"
    logs = list_logs(log_dir, now.timestamp())
    folders = list(evidence) or [data_dir / "evidence", data_dir / "backups"]
    files = read_evidence(folders)
    found = {kind: _logs(log_dir, logs, kind, tenant, troubles) for kind in ("exposures", "outcomes")}
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
        exposures=found["exposures"],
        outcomes=found["outcomes"],
        files=files,
        exposed_secrets=exposed_secrets(data_dir / "control"),
        probe=probe,
        alerting=alerting or (files.alertings[-1] if files.alertings else None),
        troubles=tuple(troubles),
        data_dir=data_dir,
        registry=registry.url,
        evidence=folders[0],
        backups=folders[-1],
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


class _Context(Struct, frozen=True):
    tenant_id: str = ""


class _Line(Struct):
    context: _Context = _Context()


def _logs(folder: Path, files: Iterable[LogFile], kind: str, tenant: str, troubles: list[str]) -> Logs:
    """Sum up one log of a tenant; of a part that tenants share, its own lines count.

    An outcome names no tenant; what lies in no tenant's folder may be anybody's, and counts.
    """
    sizes: list[int] = []
    days: list[date] = []
    for file in files:
        if file.kind != kind or file.tenant not in (None, tenant):
            continue
        try:
            is_shared = file.tenant is None and kind == "exposures"
            size = _bytes_of_tenant(folder / file.file, tenant) if is_shared else file.bytes
        except OSError as error:
            troubles.append(f"{folder / file.file}: {error.strerror}")
            continue
        if size:
            sizes.append(size)
            days += [] if file.day is None else [file.day]
    return Logs(len(sizes), sum(sizes), min(days, default=None))


def _bytes_of_tenant(part: Path, tenant: str) -> int:
    """Return the bytes of a tenant's lines; a line that cannot be read is nobody's."""
    decoder = msgspec.json.Decoder(_Line)
    total = 0
    with part.open("rb") as lines:
        for line in lines:
            try:
                total += len(line) if decoder.decode(line).context.tenant_id == tenant else 0
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
    return total


def exposed_secrets(folder: Path) -> tuple[str, ...]:
    """Return the files and folders of the store that others than its owner may open."""
    others = stat.S_IRWXG | stat.S_IRWXO
    paths = (folder, folder / SECRET_FILE, folder / "data.mdb")
    return tuple(str(path) for path in paths if path.exists() and path.stat().st_mode & others)


def utc_now() -> datetime:
    """Return the time of this host, in UTC."""
    return datetime.now(UTC)
