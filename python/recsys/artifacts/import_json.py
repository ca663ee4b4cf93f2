"""From JSON artifacts to mapped ones: a catalog of all their items, and a signal of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from recsys._native import Catalog, SignalPacker, build_catalog
from recsys.artifacts.json_documents import JsonArtifact
from recsys.contracts.errors import ArtifactError, BuildError
from recsys.contracts.interchange import (
    CountedItem,
    Entry,
    InterchangeHeader,
    InterchangeKind,
    Neighbors,
    TaggedItem,
    UserItems,
)

DEFAULT_SEGMENT = "default"
KEY_TYPES: dict[InterchangeKind, Literal["segment", "item", "user"]] = {
    "popularity": "segment",
    "cooc": "item",
    "implicit": "user",
    "session_seq": "user",
}
"""What the lists of a kind are keyed by in JSON; ``content_sim`` has tags instead of lists."""


class Imported(Struct, frozen=True, omit_defaults=True):
    """What an import wrote: ``entries`` of the documents, and rows left out for want of a catalog item."""

    kind: str
    path: str
    sha256: str
    bytes: int
    entries: int
    unknown_items: int = 0


def import_catalog(documents: Sequence[JsonArtifact], out: Path) -> Imported:
    """Write the catalog of every item that the documents name, with the tags of ``content_sim`` ones.

    The ids are held in memory. Raises :class:`ArtifactError` for two tag lists of one item, or without items.
    """
    tags: dict[str, list[str]] = {}
    tagged: set[str] = set()
    for document in documents:
        for entry in document.entries():
            for item_id in _item_ids(entry):
                tags.setdefault(item_id, [])
            if isinstance(entry, TaggedItem):
                if entry.item_id in tagged:
                    raise ArtifactError(f"{document.name}: item {entry.item_id!r} has two lists of tags")
                tagged.add(entry.item_id)
                tags[entry.item_id] = entry.tags
    if not tags:
        raise ArtifactError(f"{', '.join(document.name for document in documents)}: names no item")
    metadata = _metadata([one.header for one in documents if one.header.artifact_type == "content_sim"])
    sha256 = build_catalog(str(out), list(tags), tags=list(tags.values()), metadata=metadata)
    return Imported("catalog", str(out), sha256, out.stat().st_size, len(tags))


def import_signal(
    documents: Sequence[JsonArtifact], catalog: Catalog, out: Path, *, skip_unknown: bool = False
) -> Imported:
    """Write the signal that documents of one kind give; several popularity ones, each of another segment.

    Raises :class:`ArtifactError` for documents that are not of one kind, and for items that the catalog lacks
    unless ``skip_unknown`` leaves them out.
    """
    kind = _one_kind(documents)
    packer = SignalPacker(catalog, kind=kind, key_type=KEY_TYPES[kind])
    entries = 0
    for document in documents:
        segment = document.header.segment or DEFAULT_SEGMENT
        if kind == "popularity":
            packer.push(segment, [], [])
        seen: set[str] = set()
        for entry in document.entries():
            entries += 1
            if not isinstance(entry, CountedItem):
                _refuse_twice(seen, entry, document)
            _push(packer, entry, segment)
            if not skip_unknown:
                _refuse_unknown(entry, catalog, document)
    try:
        sha256 = packer.finish(str(out), metadata=_metadata([document.header for document in documents]))
    except BuildError as error:
        raise ArtifactError(f"{', '.join(document.name for document in documents)}: {error}") from error
    return Imported(kind, str(out), sha256, out.stat().st_size, entries, packer.unknown_items)


def _one_kind(documents: Sequence[JsonArtifact]) -> InterchangeKind:
    first = documents[0]
    kind = first.header.artifact_type
    segments: dict[str, str] = {}
    for document in documents:
        if document.header.artifact_type != kind:
            raise ArtifactError(
                f"{document.name}: a {document.header.artifact_type}, but {first.name} is a {kind}"
            )
        segment = document.header.segment or DEFAULT_SEGMENT
        if segment in segments:
            raise ArtifactError(f"{document.name}: segment {segment!r} is that of {segments[segment]} too")
        segments[segment] = document.name
    if kind == "content_sim":
        raise ArtifactError(f"{first.name}: content_sim has tags, which belong in a catalog, not in a signal")
    if len(documents) > 1 and kind != "popularity":
        raise ArtifactError(f"{documents[1].name}: only popularity has a document for each segment")
    return kind


def _push(packer: SignalPacker, entry: Entry, segment: str) -> None:
    match entry:
        case CountedItem(item_id=item_id, count=count):
            packer.push(segment, [item_id], [count])
        case Neighbors(item_id=item_id, items=items):
            packer.push(item_id, [one.item_id for one in items], [one.count for one in items])
        case UserItems(user_id=user_id, items=scored):
            packer.push(user_id, [one.item_id for one in scored], [one.score for one in scored])


def _refuse_twice(seen: set[str], entry: Entry, document: JsonArtifact) -> None:
    key = entry.user_id if isinstance(entry, UserItems) else entry.item_id
    if key in seen:
        raise ArtifactError(f"{document.name}: {key!r} has two lists")
    seen.add(key)


def _refuse_unknown(entry: Entry, catalog: Catalog, document: JsonArtifact) -> None:
    for item_id in _item_ids(entry):
        if catalog.ordinal(item_id) is None:
            raise ArtifactError(
                f"{document.name}: the catalog {catalog.path} has no item {item_id!r}; "
                "leave such items out with --skip-unknown"
            )


def _item_ids(entry: Entry) -> Iterable[str]:
    match entry:
        case CountedItem(item_id=item_id) | TaggedItem(item_id=item_id):
            return (item_id,)
        case Neighbors(item_id=item_id, items=items):
            return (item_id, *(one.item_id for one in items))
        case UserItems(items=scored):
            return (one.item_id for one in scored)


def _metadata(headers: Sequence[InterchangeHeader]) -> str:
    """Return the metadata block: the headers, for export, and the window over all of them."""
    block: dict[str, object] = {"interchange": headers}
    if headers:
        block["window"] = {
            "start": min(header.window.start for header in headers),
            "end": max(header.window.end for header in headers),
        }
    return msgspec.json.encode(block).decode()
