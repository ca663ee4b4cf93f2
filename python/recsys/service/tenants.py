"""A tenant as requests see it: one immutable value, replaced as a whole by every change."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from msgspec import Struct

from recsys._native import Pseudonyms
from recsys.contracts.config import TenantConfig, remembers_seen_items
from recsys.contracts.http import ListWarning
from recsys.contracts.problems import ProblemCode
from recsys.contracts.rules import Rule
from recsys.ranking.snapshot import Snapshot
from recsys.service.arms import SurfaceArms
from recsys.service.problems import ProblemError

_SHOWN_SURFACES = 20


class TenantDocuments(Struct, frozen=True):
    """The documents that a tenant's snapshots are compiled from, parsed, with their versions."""

    config: TenantConfig
    rules: tuple[Rule, ...]
    config_version: str
    rules_version: str


class ServedTenant(Struct, frozen=True, dict=True):
    """A tenant: the salt of its pseudonyms, its documents, and a snapshot for each surface.

    ``failures`` says for each surface that could not be compiled anew why not; its snapshot, if it has one,
    is the last that could. ``released_at_s`` is when the release of each surface was published (Unix
    seconds). ``experiments`` are the running ones, for the surfaces that have any.
    """

    name: str
    salt: bytes
    is_suspended: bool
    documents: TenantDocuments
    snapshots: Mapping[str, Snapshot]
    failures: Mapping[str, str]
    released_at_s: Mapping[str, float] = {}
    experiments: Mapping[str, SurfaceArms] = {}

    @property
    def config(self) -> TenantConfig:
        """The config document; a snapshot may still rank by an earlier one, its own ``config``."""
        return self.documents.config

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """The pseudonyms of its users."""
        return Pseudonyms(self.salt)

    @cached_property
    def remembers_seen_items(self) -> bool:
        """Whether the config, or one that an arm names, treats seen items otherwise than others."""
        return remembers_seen_items(self.config) or any(
            remembers_seen_items(snapshot.config)
            for arms in self.experiments.values()
            for snapshot in arms.snapshots.values()
        )

    def snapshot(self, surface: str) -> Snapshot:
        """Return what serves a surface; raises 404 when there is no such surface, 503 when it is unusable."""
        snapshot = self.snapshots.get(surface)
        if snapshot is not None:
            return snapshot
        failure = self.failures.get(surface)
        if failure is not None:
            raise ProblemError(ProblemCode.ARTIFACT_INCOMPATIBLE, f"surface {surface!r}: {failure}")
        raise ProblemError(
            ProblemCode.CONFIG_NOT_FOUND,
            f"surface: tenant {self.name!r} has no surface {surface!r}; it has {self._surfaces_in_words()}",
        )

    def _surfaces_in_words(self) -> str:
        names = sorted({*self.snapshots, *self.failures})
        shown = ", ".join(names[:_SHOWN_SURFACES]) or "none"
        return f"{shown} and {len(names) - _SHOWN_SURFACES} more" if len(names) > _SHOWN_SURFACES else shown

    def has_surface(self, surface: str) -> bool:
        """Whether there is such a surface, usable or not."""
        return surface in self.snapshots or surface in self.failures

    def warnings_of(self, surface: str) -> list[ListWarning]:
        """Return the warnings that every list of a surface carries at the moment."""
        failure = self.failures.get(surface) if self.failures else None
        return [] if failure is None else [ListWarning("SERVING_LAST_KNOWN_GOOD", failure)]
