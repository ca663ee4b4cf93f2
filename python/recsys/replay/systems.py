"""The systems that can be replayed, by name, as snapshots.

``signal:NAME`` ranks by one signal alone, with built-in settings and no rules; ``mode:NAME`` is the current
release with its config and rules in that mode; ``manifest:VERSION`` is another release under the current
config and rules; ``config:VERSION`` is the current release under another config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import get_args

import msgspec

from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.registry import Registry
from recsys.contracts.config import Mode, SignalName, TenantConfig, parse_config
from recsys.contracts.errors import UsageError
from recsys.contracts.rules import Rule, read_rules
from recsys.control.store import NotFoundError
from recsys.control.versions import DocumentKind, StoredDocument
from recsys.ranking.snapshot import Snapshot

KINDS = ("signal", "mode", "manifest", "config")

FindDocument = Callable[[DocumentKind, str | None], StoredDocument]
"""Gives the tenant's document of a kind, the current one without a version; raises ``NotFoundError``."""


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """Where releases and documents of one surface come from."""

    registry: Registry
    cache: ArtifactCache
    find_document: FindDocument
    tenant: str
    surface: str


@dataclass(frozen=True, slots=True)
class ReplaySystem:
    """A snapshot and, where one is asked for, the mode that it ranks in."""

    snapshot: Snapshot
    mode: Mode | None


def is_replayed(name: str) -> bool:
    """Return whether ``name`` names a system of this module."""
    kind, _, value = name.partition(":")
    return kind in KINDS and bool(value)


@contextmanager
def open_system(name: str, source: ReplaySource) -> Iterator[ReplaySystem]:
    """Yield the system called ``name``; its files stay while the context is open.

    Raises UsageError for a name that is none, and what registry, cache and documents raise.
    """
    kind, _, value = name.partition(":")
    if kind not in KINDS or not value:
        raise UsageError(f"{name!r}: give {', '.join(f'{known}:…' for known in KINDS)}")
    known = get_args(SignalName if kind == "signal" else Mode)
    if kind in ("signal", "mode") and value not in known:
        raise UsageError(f"{name!r}: there is no such {kind}; there are {', '.join(known)}")
    manifest = source.registry.find(source.tenant, source.surface, value if kind == "manifest" else None)
    config = TenantConfig()
    rules: tuple[Rule, ...] = ()
    if kind != "signal":
        config = _config(source, value if kind == "config" else None)
        rules = _rules(source)
    with source.cache.borrow(source.registry, manifest) as files:
        snapshot = Snapshot(
            source.tenant,
            source.surface,
            files,
            manifest_version=manifest.version,
            config=config,
            rules=rules,
        )
        mode: Mode | None = None
        if kind in ("signal", "mode"):
            mode = msgspec.convert(value, Mode)
        missing = snapshot.plan("default", manifest.updated_at, mode).missing
        if kind == "signal" and missing:
            raise UsageError(f"{name!r}: release {manifest.version[:12]} has no {value}")
        yield ReplaySystem(snapshot, mode)


def _config(source: ReplaySource, version: str | None) -> TenantConfig:
    try:
        return parse_config(source.find_document("config", version).data)
    except NotFoundError:
        if version is not None:
            raise
        return TenantConfig()


def _rules(source: ReplaySource) -> tuple[Rule, ...]:
    try:
        return read_rules(msgspec.json.decode(source.find_document("rules", None).data))
    except NotFoundError:
        return ()
