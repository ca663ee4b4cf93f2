"""Interaction files in an object store: downloaded, and known again by their tags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from recsys.artifacts.atomic_files import write_atomically
from recsys.artifacts.object_store import SCHEMES, BucketStore
from recsys.pipelines.input.errors import InputError


def is_object_uri(text: str) -> bool:
    """Tell whether a text names objects, such as ``s3://bucket/folder``."""
    return text.partition("://")[0] in SCHEMES and "://" in text


def download_objects(uris: Sequence[str], folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """Download objects, or folders of them, and return the files with the (URI, tag) of each.

    Raises :class:`InputError` for a URI that names nothing, and what the store raises.
    """
    files: list[Path] = []
    tags: list[tuple[str, str]] = []
    for number, uri in enumerate(uris):
        parts = urlsplit(uri)
        store = BucketStore(f"{parts.scheme}://{parts.netloc}")
        key = parts.path.strip("/")
        one = store.stat(key)
        found = [one] if one is not None else list(store.list(key))
        if not found:
            raise InputError(f"{uri}: there is no such object or folder")
        for stat in found:
            target = folder / str(number) / stat.key
            write_atomically(target, store.read(stat.key))
            tags.append((f"{store.url}/{stat.key}", stat.etag))
        files.append(folder / str(number))
    return files, tags
