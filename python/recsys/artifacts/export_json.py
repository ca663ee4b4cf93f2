"""From mapped artifacts to the JSON ones that others read, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import msgspec
from msgspec import Struct

from recsys._native import Catalog, Signal
from recsys.artifacts.atomic_files import write_atomically
from recsys.artifacts.import_json import DEFAULT_SEGMENT, KEY_TYPES
from recsys.contracts.errors import ArtifactError
from recsys.contracts.interchange import (
    ENTRIES,
    MAX_EXACT_INTEGER,
    InterchangeBuild,
    InterchangeHeader,
    InterchangeKind,
    InterchangeWindow,
)

_KEYS_PER_READ = 1_000
_ENTRIES_PER_WRITE = 256


class _Build(Struct, frozen=True):
    version: str = "unknown"


class _Metadata(Struct, frozen=True):
    interchange: list[InterchangeHeader] = []
    window: InterchangeWindow | None = None
    build: _Build = _Build()


def export_signal(
    signal: Signal,
    catalog: Catalog,
    out: Path,
    *,
    tenant: str | None = None,
    surface: str | None = None,
    segment: str | None = None,
) -> InterchangeHeader:
    """Write a signal as JSON, of popularity one segment; what the artifact itself knows, need not be given.

    Raises :class:`ArtifactError` for a signal that this JSON has no form for, or without tenant and surface.
    """
    kind = _kind_of(signal)
    if signal.ids_digest != catalog.ids_digest:
        raise ArtifactError(f"{signal.path} was built for another catalog than {catalog.path}")
    if kind == "popularity":
        segment = _segment_of(signal, segment)
    elif segment is not None:
        raise ArtifactError(f"{signal.path}: a {kind} has no segments")
    header = _header(signal.path, signal.metadata, kind, tenant, surface, segment)
    if kind == "popularity":
        entries = _items(signal, catalog, segment or DEFAULT_SEGMENT)
    else:
        entries = _neighbors(signal, catalog) if kind == "cooc" else _users(signal, catalog)
    write_atomically(out, _document(header, entries))
    return header


def export_catalog(
    catalog: Catalog, out: Path, *, tenant: str | None = None, surface: str | None = None
) -> InterchangeHeader:
    """Write a catalog's items and tags as ``content_sim`` JSON; its other attributes have no place there.

    A catalog has no window: both ends are the time of its file.
    """
    header = _header(catalog.path, catalog.metadata, "content_sim", tenant, surface, None)
    entries = (catalog.item_at(ordinal) for ordinal in range(catalog.n_items))
    write_atomically(
        out, _document(header, ({"item_id": item.item_id, "tags": item.tags} for item in entries))
    )
    return header


def _kind_of(signal: Signal) -> InterchangeKind:
    for kind in get_args(InterchangeKind):
        if kind == signal.kind and KEY_TYPES.get(kind) == signal.key_type:
            found: InterchangeKind = kind
            return found
    forms = ", ".join(f"{kind} by {key_type}" for kind, key_type in KEY_TYPES.items())
    raise ArtifactError(
        f"{signal.path}: {signal.kind} by {signal.key_type} has no JSON form; there are {forms}. "
        "Export it as Parquet: give --out a name that ends in .parquet"
    )


def _segment_of(signal: Signal, segment: str | None) -> str:
    segments = signal.keys(0, signal.n_keys)
    if segment is None and len(segments) == 1:
        return segments[0]
    if segment in segments:
        return segment
    shown = ", ".join(segments[:10]) + (", …" if len(segments) > 10 else "")
    raise ArtifactError(f"{signal.path}: choose one with --segment: {shown}")


def _header(
    path: str,
    metadata: str,
    kind: InterchangeKind,
    tenant: str | None,
    surface: str | None,
    segment: str | None,
) -> InterchangeHeader:
    about = msgspec.json.decode(metadata, type=_Metadata)
    for known in about.interchange:
        if known.artifact_type == kind and (
            kind != "popularity" or (known.segment or DEFAULT_SEGMENT) == (segment or DEFAULT_SEGMENT)
        ):
            changes = {"tenant": tenant or known.tenant, "surface": surface or known.surface}
            return msgspec.structs.replace(known, **changes)
    if tenant is None or surface is None:
        raise ArtifactError(f"{path}: does not say whose it is: give --tenant and --surface")
    modified = datetime.fromtimestamp(int(Path(path).stat().st_mtime), UTC)
    window = InterchangeWindow(modified, modified) if kind == "content_sim" else about.window
    if window is None:
        raise ArtifactError(f"{path}: does not say which interactions it was built from: it has no window")
    return InterchangeHeader(
        v=1,
        artifact_type=kind,
        tenant=tenant,
        surface=surface,
        window=window,
        build=InterchangeBuild(modified, about.build.version),
        segment=None if segment == DEFAULT_SEGMENT else segment,
    )


def _items(signal: Signal, catalog: Catalog, segment: str) -> Iterator[object]:
    for item_id, score in signal.ranked(catalog, segment, catalog.n_items) or ():
        yield {"item_id": item_id, "count": _number(score)}


def _neighbors(signal: Signal, catalog: Catalog) -> Iterator[object]:
    for ordinal, length in enumerate(signal.list_lengths()):
        if length:
            item_id = catalog.item_at(ordinal).item_id
            ranked = signal.ranked(catalog, item_id, length) or ()
            items = [{"item_id": other, "count": _number(score)} for other, score in ranked]
            yield {"item_id": item_id, "items": items}


def _users(signal: Signal, catalog: Catalog) -> Iterator[object]:
    for offset in range(0, signal.n_keys, _KEYS_PER_READ):
        for user_id in signal.keys(offset, _KEYS_PER_READ):
            ranked = signal.ranked(catalog, user_id, catalog.n_items) or ()
            yield {
                "user_id": user_id,
                "items": [{"item_id": other, "score": _number(score)} for other, score in ranked],
            }


def _number(score: float) -> int | float:
    return int(score) if score.is_integer() and abs(score) <= MAX_EXACT_INTEGER else score


def _document(header: InterchangeHeader, entries: Iterator[object]) -> Iterator[bytes]:
    payload, _ = ENTRIES[header.artifact_type]
    yield msgspec.json.encode(header)[:-1] + b',"' + payload.encode() + b'":['
    lines: list[bytes] = []
    separator = b"\n"
    for entry in entries:
        lines.append(msgspec.json.encode(entry))
        if len(lines) == _ENTRIES_PER_WRITE:
            yield separator + b",\n".join(lines)
            separator = b",\n"
            lines.clear()
    if lines:
        yield separator + b",\n".join(lines)
    yield b"\n]}\n"
