"""What ranked a list, as the labels with which ``meta`` and the context of its exposure both begin."""

from __future__ import annotations

import msgspec
from msgspec import Struct

_ENCODER = msgspec.json.Encoder()


class Versions(Struct, frozen=True):
    """What ranked a list: the code, and hex SHA-256 of the config, the rules and the artifacts."""

    algo_version: str
    config_version: str
    rules_version: str
    manifest_version: str


class Provenance:
    """The labels of one snapshot, encoded once: they are the same in every list but for the segment."""

    def __init__(self, tenant: str, surface: str, versions: Versions) -> None:
        self._before = _members({"tenant_id": tenant, "surface": surface}) + b',"segment":'
        self._after = b"," + _members(msgspec.structs.asdict(versions))

    def members(self, segment: str) -> bytes:
        """Return the members of a JSON object, without braces, from ``tenant_id`` to ``manifest_version``."""
        return b"".join((self._before, _ENCODER.encode(segment), self._after))


def _members(labels: dict[str, str]) -> bytes:
    return _ENCODER.encode(labels)[1:-1]
