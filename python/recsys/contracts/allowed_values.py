"""The values that a field of a schema takes, for an error that refuses another."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import inspect

_PLACE = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_PLACE_OF_KEY = re.compile(r" - at `key` in `\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\[[^\]]*\]|\.[^.\[]+")
_REFUSED = "Invalid enum value"


def name_values(message: str, target: object) -> str:
    """Return a decoder's message about ``target`` with the values that an enum or literal takes.

    Other messages stay as they are, and so does the place of the field.
    """
    of_key = _PLACE_OF_KEY.search(message)
    found = of_key or _PLACE.search(message)
    if not message.startswith(_REFUSED):
        return message
    values = allowed_values(target, found["path"] if found else "", is_key=of_key is not None)
    if not values:
        return message
    at = found.start() if found else len(message)
    return f"{message[:at]}; it is one of {', '.join(values)}{message[at:]}"


@lru_cache(maxsize=256)
def allowed_values(target: object, path: str, *, is_key: bool = False) -> tuple[str, ...]:
    """Return what a literal or enum at ``path`` of a type takes; with ``is_key``, the keys of a map there.

    Kept, for a batch of events may have the same mistake a thousand times.
    """
    found = [inspect.type_info(target)]
    for step in _STEP.findall(path):
        found = [inner for one in found for inner in _inside(one, step)]
    if is_key:
        maps = [one for outer in found for one in _options(outer)]
        found = [one.key_type for one in maps if isinstance(one, inspect.DictType)]
    values: list[str] = []
    for one in (option for outer in found for option in _options(outer)):
        if isinstance(one, inspect.LiteralType):
            values += [str(value) for value in one.values]
        elif isinstance(one, inspect.EnumType):
            values += [str(value.value) for value in one.cls]
    return tuple(values)


def _inside(outer: inspect.Type, step: str) -> list[inspect.Type]:
    inner: list[inspect.Type] = []
    for one in _options(outer):
        if isinstance(one, inspect.DictType):
            inner.append(one.value_type)
        elif isinstance(one, inspect.CollectionType) and step.startswith("["):
            inner.append(one.item_type)
        elif isinstance(one, inspect.StructType):
            inner += [field.type for field in one.fields if f".{field.encode_name}" == step]
    return inner


def _options(one: inspect.Type) -> list[inspect.Type]:
    """Return the types that a value may have: those of a union, without what is noted beside them."""
    if isinstance(one, inspect.Metadata):
        return _options(one.type)
    if isinstance(one, inspect.UnionType):
        return [option for part in one.types for option in _options(part)]
    return [one]
