"""What ranked a list, as the labels with which ``meta`` and the context of its exposure both begin."""

from __future__ import annotations

import msgspec
from msgspec import Struct

_ENCODER = msgspec.json.Encoder()
_FRESH = "fresh_version"


class Versions(Struct, frozen=True):
    """What ranked a list: the code, and hex SHA-256 of the config, the rules and the artifacts.

    ``fresh_version`` names the popularity that stands in for that of the manifest, if one does.
    """

    algo_version: str
    config_version: str
    rules_version: str
    manifest_version: str
    fresh_version: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        """The versions by name, without those that there are not."""
        return {
            name: version for name, version in msgspec.structs.asdict(self).items() if version is not None
        }


class Provenance:
    """The labels of one snapshot, encoded once: they are the same in every list but for the segment."""

    def __init__(self, tenant: str, surface: str, versions: Versions) -> None:
        self._before = _members({"tenant_id": tenant, "surface": surface}) + b',"segment":'
        self._after = b"," + _members(
            {name: value for name, value in versions.labels.items() if name != _FRESH}
        )
        fresh = versions.fresh_version
        self.fresh_member = b"" if fresh is None else b"," + _members({_FRESH: fresh})
        """The member ``fresh_version`` after a comma; empty when there is none."""
        self._latest = ("", b"")

    def members(self, segment: str) -> bytes:
        """Return the members of a JSON object, without braces, from ``tenant_id`` to ``manifest_version``."""
        latest, members = self._latest
        if latest != segment or not members:
            members = b"".join((self._before, _ENCODER.encode(segment), self._after))
            self._latest = (segment, members)
        return members


def _members(labels: dict[str, str]) -> bytes:
    return _ENCODER.encode(labels)[1:-1]
