"""What one worker serves from: every tenant with its snapshots and its exposure log."""

from __future__ import annotations

from pathlib import Path

from recsys.contracts.config import TenantConfig, read_config
from recsys.contracts.documents import InvalidDocument
from recsys.contracts.problems import ProblemCode
from recsys.contracts.rules import parse_rules
from recsys.eventlog.log import EventLog
from recsys.eventlog.parts import PartWriter
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.tenant_file import TenantFile, TenantFileError, find_tenant_files, load_tenant_file
from recsys.service.problems import ProblemError

DEFAULT_TENANT = "demo"


class Tenant:
    """A tenant: the salt of its pseudonyms, its config, and a snapshot for each surface."""

    def __init__(self, file: TenantFile) -> None:
        """Compile every surface; raises an error that names the file and field, or the artifact, at fault."""
        try:
            self.config: TenantConfig = read_config(file.config)
        except InvalidDocument as error:
            raise TenantFileError(f"{file.path}: config.{error}") from error
        try:
            rules = () if file.rules is None else parse_rules(file.rules)
        except InvalidDocument as error:
            raise TenantFileError(f"{file.path}: rules_file: {error}") from error
        self.name = file.tenant
        self.salt = file.salt
        self.snapshots = {
            surface: Snapshot(file.tenant, surface, artifacts, config=self.config, rules=rules)
            for surface, artifacts in file.surfaces.items()
        }


class State:
    """Every tenant of a data folder, and the log that all of them share."""

    def __init__(self, tenants: list[Tenant], exposures: EventLog) -> None:
        self.tenants = {tenant.name: tenant for tenant in tenants}
        self.exposures = exposures

    def tenant(self, name: str) -> Tenant:
        """Return a tenant; raises 404 when there is none of this name."""
        tenant = self.tenants.get(name)
        if tenant is None:
            raise ProblemError(ProblemCode.TENANT_NOT_FOUND, f"there is no tenant {name!r}")
        return tenant

    def close(self) -> None:
        """Close the log part."""
        self.exposures.close()


def load_state(data_dir: Path) -> State:
    """Compile the tenant files of a data folder; raises an error that says what is wrong or missing."""
    tenants: list[Tenant] = []
    for path in find_tenant_files(data_dir):
        file = load_tenant_file(path)
        if any(tenant.name == file.tenant for tenant in tenants):
            raise TenantFileError(f"{path}: tenant: another file has tenant {file.tenant!r} already")
        tenants.append(Tenant(file))
    return State(tenants, EventLog(PartWriter(data_dir / "logs" / "exposures")))
