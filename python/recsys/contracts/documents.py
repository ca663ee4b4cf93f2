"""What config and rules documents share: canonical bytes, version, ETag, errors that point at a field.

A document arrives as JSON bytes, or as the tables of a TOML file. Both become plain values first and are then
converted to structs, so that a document means the same whatever it was written in.
"""

from __future__ import annotations

import hashlib
import re
from typing import TypeVar

import msgspec

from recsys.contracts.allowed_values import name_values
from recsys.contracts.errors import RecsysError
from recsys.contracts.patterns import in_words

T = TypeVar("T")

MAX_DOCUMENT_BYTES = 1024 * 1024
_PLACE = re.compile(r"^(?P<problem>.*) - at `(?:key` in `)?\$(?P<path>.*)`$", re.DOTALL)
_ANY_KEY = "[...]"
_OF_KEY = " - at `key` in `$"


class InvalidDocument(RecsysError):  # noqa: N818 - the name says what the document is
    """A document that breaks its schema: ``pointer`` names the field (``rules[3].valid_until``)."""

    def __init__(self, pointer: str, problem: str) -> None:
        super().__init__(f"{pointer}: {problem}")
        self.pointer = pointer
        self.problem = problem


def parse_json(data: bytes, name: str) -> object:
    """Return the plain value of a JSON document; ``name`` is how errors call the document.

    Raises :class:`InvalidDocument` when it is over 1 MiB or not JSON.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidDocument(name, f"{len(data)} bytes; at most {MAX_DOCUMENT_BYTES} are taken")
    if not data.strip():
        raise InvalidDocument(name, "it is empty; give a JSON document")
    try:
        value: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDocument(name, f"not JSON: {error}") from error
    return value


def canonical_json(value: object) -> bytes:
    """Return the one byte form of a plain value: keys sorted, no spaces, UTF-8."""
    return msgspec.json.encode(value, order="deterministic")


def version_of(canonical: bytes) -> str:
    """Return the version that names a document: the hex SHA-256 of its canonical bytes (64 characters)."""
    return hashlib.sha256(canonical).hexdigest()


def etag_of(version: str) -> str:
    """Return the strong entity tag of a version: the version in double quotes."""
    return f'"{version}"'


def convert(value: object, target: type[T], root: str) -> T:
    """Return ``value`` as ``target``; ``root`` replaces the document's top in pointers.

    Raises :class:`InvalidDocument`; unlike the decoder's own message, its pointer names the keys of maps too.
    """
    try:
        return msgspec.convert(value, target)
    except msgspec.ValidationError as error:
        problem, path = _split(name_values(str(error), target))
        if _OF_KEY in str(error):
            problem = f"key {_key_at_fault(value, target, path, str(error))!r}: {problem}"
        pointer = _name_keys(value, target, path)
        raise InvalidDocument(
            root + pointer if root else pointer.lstrip(".") or "document", problem
        ) from error


def _split(message: str) -> tuple[str, str]:
    found = _PLACE.match(message)
    if found is None:
        return in_words(message), ""
    return in_words(found["problem"]), found["path"]


def _key_at_fault(value: object, target: type[object], path: str, message: str) -> str:
    """Return the key of the map at ``path`` that is refused itself, found by offering one at a time."""
    mapping = _at(value, path)
    entries = mapping.items() if isinstance(mapping, dict) else ()
    for key, held in entries:
        try:
            msgspec.convert(_with(value, path, {key: held}), target)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(key)
    return ""


def _name_keys(value: object, target: type[object], path: str) -> str:
    """Replace each ``[...]`` of a path by the key at fault, found by offering one key at a time."""
    original = path
    while _ANY_KEY in path:
        before, after = path.split(_ANY_KEY, 1)
        mapping = _at(value, before)
        if not isinstance(mapping, dict):
            return path
        for key in mapping:
            alone = _with(value, before, {key: mapping[key]})
            try:
                msgspec.convert(alone, target)
            except msgspec.ValidationError as error:
                if _split(str(error))[1] == original:
                    value, path = alone, f"{before}.{key}{after}"
                    break
        else:
            return path
    return path


_STEP = re.compile(r"\[(\d+)\]|\.([^.\[]+)")


def _at(value: object, path: str) -> object:
    for index, key in _STEP.findall(path):
        if index and isinstance(value, list):
            value = value[int(index)]
        elif key and isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return value


def _with(value: object, path: str, replacement: object) -> object:
    """Return a copy of ``value`` whose part at ``path`` is ``replacement``."""
    found = _STEP.match(path)
    if found is None:
        return replacement
    rest = path[found.end() :]
    if found[1] and isinstance(value, list):
        place = int(found[1])
        return [_with(part, rest, replacement) if n == place else part for n, part in enumerate(value)]
    if isinstance(value, dict):
        return {
            key: _with(part, rest, replacement) if key == found[2] else part for key, part in value.items()
        }
    return value
