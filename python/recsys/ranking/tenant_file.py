"""The TOML file that describes one tenant: its salt, its surfaces with their artifacts, its config and rules.

A file ``tenants/<tenant>.toml`` looks like this; paths are relative to the file::

    tenant = "demo"
    salt_file = "demo.salt"            # or: salt = "at least sixteen characters"
    rules_file = "demo.rules.json"     # optional

    [surfaces.home.artifacts]
    catalog = "../artifacts/demo/home/catalog.rsa"
    popularity = "../artifacts/demo/home/popularity.rsa"
    cooc = "../artifacts/demo/home/cooc.rsa"

    [config]                           # optional: the tenant's config document
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

from recsys.contracts.errors import RecsysError
from recsys.contracts.http import Name

MIN_SALT_BYTES = 16


class TenantFileError(RecsysError):
    """A tenant file that cannot be used; the message names the file and the field."""


class ArtifactPaths(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the artifacts of one surface are; every path is relative to the tenant file."""

    catalog: str
    popularity: str | None = None
    cooc: str | None = None


class SurfaceFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One surface of the file."""

    artifacts: ArtifactPaths


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    tenant: Name
    surfaces: dict[str, dict[str, object]]
    salt: str | None = None
    salt_file: str | None = None
    rules_file: str | None = None
    config: dict[str, object] = {}


class SurfaceArtifacts(Struct, frozen=True):
    """Resolved paths of one surface; ``None`` for a signal that the surface does not have."""

    catalog: Path
    popularity: Path | None
    cooc: Path | None


class TenantFile(Struct, frozen=True):
    """A tenant file, read and checked: names are sound, the salt is there, paths are absolute.

    ``config`` and ``rules`` are documents that their own loaders check; ``rules`` is the raw JSON.
    """

    path: Path
    tenant: str
    salt: bytes
    surfaces: dict[str, SurfaceArtifacts]
    config: dict[str, object]
    rules: bytes | None


def load_tenant_file(path: Path) -> TenantFile:
    """Read one tenant file.

    Raises :class:`TenantFileError` naming the file and the field when it cannot be read, holds an unknown or
    ill-typed field, names no surface, or has no salt of at least 16 bytes.
    """
    try:
        document = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Document)
    except OSError as error:
        raise TenantFileError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TenantFileError(f"{path}: not a TOML document: {error}") from error
    except msgspec.ValidationError as error:
        raise TenantFileError(f"{path}: {error}") from error
    if not document.surfaces:
        raise TenantFileError(f"{path}: surfaces: at least one [surfaces.<name>.artifacts] table is needed")
    return TenantFile(
        path=path,
        tenant=document.tenant,
        salt=_salt(path, document),
        surfaces={name: _surface(path, name, raw) for name, raw in document.surfaces.items()},
        config=document.config,
        rules=None if document.rules_file is None else _read(path, "rules_file", document.rules_file),
    )


def find_tenant_files(data_dir: Path) -> list[Path]:
    """Return the tenant files under ``data_dir/tenants`` by name; raises when there is none."""
    folder = data_dir / "tenants"
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise TenantFileError(
            f"{folder}: no tenant file (*.toml) here; run `recsys demo prepare --data-dir {data_dir}` first"
        )
    return files


def _surface(path: Path, name: str, raw: dict[str, object]) -> SurfaceArtifacts:
    field = f"surfaces.{name}"
    try:
        msgspec.convert(name, Name)
        artifacts = msgspec.convert(raw, SurfaceFile).artifacts
    except msgspec.ValidationError as error:
        raise TenantFileError(f"{path}: {field}: {error}") from error

    def resolve(kind: str, value: str) -> Path:
        resolved = path.parent / value
        if not resolved.is_file():
            raise TenantFileError(f"{path}: {field}.artifacts.{kind}: no such file: {resolved}")
        return resolved

    return SurfaceArtifacts(
        catalog=resolve("catalog", artifacts.catalog),
        popularity=None if artifacts.popularity is None else resolve("popularity", artifacts.popularity),
        cooc=None if artifacts.cooc is None else resolve("cooc", artifacts.cooc),
    )


def _salt(path: Path, document: _Document) -> bytes:
    if (document.salt is None) == (document.salt_file is None):
        raise TenantFileError(f"{path}: give either salt or salt_file")
    if document.salt is not None:
        field, salt = "salt", document.salt.encode()
    else:
        field, salt = "salt_file", _read(path, "salt_file", document.salt_file or "").strip()
    if len(salt) < MIN_SALT_BYTES:
        raise TenantFileError(
            f"{path}: {field}: a salt has at least {MIN_SALT_BYTES} bytes, this one {len(salt)}"
        )
    return salt


def _read(path: Path, field: str, name: str) -> bytes:
    target = path.parent / name
    try:
        return target.read_bytes()
    except OSError as error:
        raise TenantFileError(f"{path}: {field}: cannot read {target}: {error.strerror}") from error
