"""What ranked a list, as the labels with which ``meta`` and the context of its exposure both begin."""

from __future__ import annotations

import msgspec
from msgspec import Struct

_ENCODER = msgspec.json.Encoder()
_ADDED = ("fresh_version", "blocks_version")
"""Labels that few lists have; they come after those that all have."""


class Versions(Struct, frozen=True):
    """What ranked a list: the code, and hex SHA-256 of the config, the rules and the artifacts.

    ``fresh_version`` names the popularity that stands in for that of the manifest, if one does, and
    ``blocks_version`` the rules whose blocks hold beside those of ``rules_version``, if there are others.
    """

    algo_version: str
    config_version: str
    rules_version: str
    manifest_version: str
    fresh_version: str | None = None
    blocks_version: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        """The versions by name, without those that there are not."""
        return {
            name: version for name, version in msgspec.structs.asdict(self).items() if version is not None
        }


class Provenance:
    """The labels of one snapshot, encoded once: they are the same in every list but for the segment."""

    def __init__(self, tenant: str, surface: str, versions: Versions) -> None:
        labels = versions.labels
        self._before = _members({"tenant_id": tenant, "surface": surface}) + b',"segment":'
        self._after = b"," + _members({name: labels[name] for name in labels if name not in _ADDED})
        self.added_members = b"".join(
            b"," + _members({name: labels[name]}) for name in _ADDED if name in labels
        )
        """The members that few lists have, each after a comma."""
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
