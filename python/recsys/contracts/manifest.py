"""The manifest: which artifacts make up one release of a (tenant, surface), and where each of them is.

``v``, ``tenant``, ``surface``, ``current`` and ``updated_at`` are what every writer gives. The rest is ours:
a reader does without it, and takes no offence at keys that it does not know.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from recsys.contracts.documents import (
    InvalidDocument,
    canonical_json,
    convert,
    parse_json,
    version_of,
)
from recsys.contracts.http import Name
from recsys.contracts.patterns import KIND, OPTIONAL_PATH_SEGMENT, SHA256
from recsys.contracts.records import Timestamp

Kind = Annotated[str, Meta(pattern=KIND, description="A kind of artifact.")]
Sha256 = Annotated[str, Meta(pattern=SHA256, description="A hex SHA-256.")]
Uri = Annotated[str, Meta(min_length=1, max_length=4096)]

CATALOG = "catalog"
"""The kind of the catalog, which every release of ours has."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ArtifactWindow(Struct, frozen=True):
    """First and last moment of the interactions that an artifact was built from, each with a zone."""

    start: datetime
    end: datetime


class ArtifactEntry(Struct, frozen=True, omit_defaults=True):
    """What a release knows of one artifact: content, size in bytes, counts, and how it was built."""

    sha256: Sha256
    bytes: Annotated[int, Meta(ge=0)]
    counts: dict[str, int] = {}
    window: ArtifactWindow | None = None
    params: dict[str, object] = {}


class Manifest(Struct, frozen=True, omit_defaults=True):
    """One release: ``current`` maps a kind to the URI of its artifact.

    ``version`` names the content (all but ``updated_at``), so it also covers ``parent``, the version that
    this one took over from. A manifest without a version gets one from all its content when it is read.
    """

    v: Literal[1]
    tenant: Name
    surface: Name
    current: dict[Kind, Uri]
    updated_at: Timestamp
    version: Annotated[str, Meta(pattern=OPTIONAL_PATH_SEGMENT, max_length=128)] = ""
    parent: Name | None = None
    artifacts: dict[Kind, ArtifactEntry] = {}


def read_manifest(data: bytes, name: str) -> Manifest:
    """Return the manifest of a JSON document, with a version; ``name`` is how errors call the document.

    Raises :class:`InvalidDocument` naming the field, also when one of our versions does not fit the content.
    """
    document = parse_json(data, name)
    manifest = convert(document, Manifest, name)
    if not manifest.current:
        raise InvalidDocument(f"{name}.current", "names no artifact")
    if not isinstance(document, dict):
        raise InvalidDocument(name, "not an object")
    if not manifest.version:
        return replace(manifest, version=version_of(canonical_json(document)))
    if _SHA256.fullmatch(manifest.version) and manifest.version != _content_version(document):
        raise InvalidDocument(f"{name}.version", "is not that of the content")
    return manifest


def write_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest, the same for the same manifest."""
    return canonical_json(manifest) + b"\n"


def give_version(manifest: Manifest) -> Manifest:
    """Return the manifest with the version of its content: a hex SHA-256 of all but ``updated_at``."""
    document: object = msgspec.json.decode(canonical_json(manifest))
    assert isinstance(document, dict)  # noqa: S101 - a struct encodes to an object
    return replace(manifest, version=_content_version(document))


def _content_version(document: dict[str, object]) -> str:
    content = {key: value for key, value in document.items() if key not in ("version", "updated_at")}
    return version_of(canonical_json(content))
