"""A snapshot: the config, rules and artifacts of one (tenant, surface), compiled and immutable.

What a snapshot ranks depends on nothing else, so its versions name by construction what ranked a list. Plans
are compiled on first use and kept: their number is bounded by the segments that config, rules or popularity
know, the modes, and the intervals between the windows of rules.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from msgspec import Struct

import recsys
from recsys._native import Catalog, SessionIndex, Signal
from recsys.contracts.config import Mode, SignalName, TenantConfig, fresh_popularity_of, resolve_ranking
from recsys.contracts.documents import canonical_json, version_of
from recsys.contracts.errors import ArtifactError
from recsys.contracts.http import DEFAULT_SEGMENT
from recsys.contracts.rules import Rule, rules_in_scope, window_boundaries
from recsys.ranking.plans import AnySignal, CompiledPlan, compile_plan
from recsys.ranking.provenance import Provenance, Versions
from recsys.ranking.rules import RuleTargets, resolve_rules

UNKNOWN_SEGMENT = "(unknown)"
"""Stands for every segment that nothing knows, so that callers cannot make plans without bound."""

DEFAULT_CONFIG_VERSION = version_of(canonical_json({}))
"""The version of the built-in config, which a tenant without a config document has."""

DEFAULT_RULES_VERSION = version_of(canonical_json([]))
"""The version of a tenant's rules before any were put."""

CATALOG = "catalog"
_KEYS_PER_READ = 1000
_SIGNAL_NAMES: tuple[SignalName, ...] = get_args(SignalName)


class FreshArtifact(Struct, frozen=True):
    """A popularity artifact that counts what users took since the release; its version is its SHA-256."""

    version: str
    path: Path


class Snapshot:
    """Ranks for one surface of one tenant. Threads may share it: a plan compiled twice is the same."""

    def __init__(
        self,
        tenant: str,
        surface: str,
        artifacts: Mapping[str, Path],
        *,
        manifest_version: str,
        config: TenantConfig,
        rules: Sequence[Rule] = (),
        config_version: str = DEFAULT_CONFIG_VERSION,
        rules_version: str = DEFAULT_RULES_VERSION,
        blocks_version: str | None = None,
        fresh: FreshArtifact | None = None,
    ) -> None:
        """Open the artifacts, given by kind; the catalog is one of them, every signal is optional.

        ``fresh`` takes the place of the popularity among them. ``blocks_version`` names the rules of which
        ``rules`` have the blocks too, beside all of ``rules_version``. Raises :class:`ArtifactError` for a
        file that is not sound or that belongs to another catalog.
        """
        self.tenant = tenant
        self.surface = surface
        self.config = config
        self.fresh = fresh
        self._artifacts = artifacts
        if CATALOG not in artifacts:
            raise ArtifactError(f"manifest {manifest_version} of {tenant}/{surface}: names no catalog")
        self.catalog = Catalog.open(str(artifacts[CATALOG]))
        self.signals = _open_signals(
            self.catalog, artifacts if fresh is None else {**artifacts, "popularity": fresh.path}
        )
        self.versions = Versions(
            algo_version=f"recsys-{recsys.__version__}",
            config_version=config_version,
            rules_version=rules_version,
            manifest_version=manifest_version,
            fresh_version=None if fresh is None else fresh.version,
            blocks_version=blocks_version,
        )
        self.provenance = Provenance(tenant, surface, self.versions)
        self.compiled_at_s = time.time()
        self._all_rules = rules
        self._rules = tuple(rule for rule in rules if rule.surface in (None, surface) and rule.enabled)
        if not config.flags.apply_rules:
            self._rules = ()
        self.has_pins = any(rule.action == "PIN" for rule in self._rules)
        """Whether a list may have pinned items."""
        self._targets = RuleTargets(self.catalog, self._rules)
        self._boundaries = window_boundaries(self._rules)
        self._segments = self._known_segments()
        self._plans: dict[tuple[str, Mode | None, int], CompiledPlan] = {}
        self.plan(DEFAULT_SEGMENT, datetime.now(UTC))

    def plan(self, segment: str, now: datetime, mode: Mode | None = None) -> CompiledPlan:
        """Return the plan for a segment at ``now`` (with a zone); ``mode`` overrides the configured one."""
        known = segment if segment in self._segments else UNKNOWN_SEGMENT
        key = (known, mode, bisect_right(self._boundaries, now) if self._boundaries else 0)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._compile(known, now, mode)
        return plan

    def compile_plans_of(self, other: Snapshot, now: datetime) -> None:
        """Compile what ``other`` was asked for, so that taking its place costs no request a compilation."""
        asked = list(other._plans)
        for segment, mode in dict.fromkeys((segment, mode) for segment, mode, _ in asked):
            self.plan(segment, now, mode)

    def with_rules(self, rules: Sequence[Rule], rules_version: str) -> Snapshot:
        """Return a snapshot that differs in its rules alone."""
        return self.with_documents(self.config, self.versions.config_version, rules, rules_version)

    def with_documents(
        self, config: TenantConfig, config_version: str, rules: Sequence[Rule], rules_version: str
    ) -> Snapshot:
        """Return a snapshot of the same artifacts by other documents.

        Fresh popularity stays where the config has the same settings of it.
        """
        settings = [fresh_popularity_of(one, self.surface) for one in (self.config, config)]
        weights = [one.pipeline.event_weights for one in (self.config, config)]
        is_same = settings[0] == settings[1] and weights[0] == weights[1]
        return Snapshot(
            self.tenant,
            self.surface,
            self._artifacts,
            manifest_version=self.versions.manifest_version,
            config=config,
            rules=rules,
            config_version=config_version,
            rules_version=rules_version,
            fresh=self.fresh if is_same else None,
        )

    def with_fresh(self, fresh: FreshArtifact | None) -> Snapshot:
        """Return a snapshot that differs in its popularity alone, its plans compiled as far as this one's."""
        versions = self.versions
        made = Snapshot(
            self.tenant,
            self.surface,
            self._artifacts,
            manifest_version=versions.manifest_version,
            config=self.config,
            rules=self._all_rules,
            config_version=versions.config_version,
            rules_version=versions.rules_version,
            blocks_version=versions.blocks_version,
            fresh=fresh,
        )
        made.compile_plans_of(self, datetime.now(UTC))
        return made

    def _compile(self, segment: str, now: datetime, mode: Mode | None) -> CompiledPlan:
        ranking = resolve_ranking(self.config, self.surface, segment)
        rules = rules_in_scope(self._rules, self.surface, segment)
        return compile_plan(
            self.catalog,
            self.signals,
            ranking,
            mode=mode or ranking.mode,
            segment=segment,
            rules=resolve_rules(self.catalog, self._targets, rules, now) if rules else None,
        )

    def _known_segments(self) -> frozenset[str]:
        known = {DEFAULT_SEGMENT, *(rule.segment for rule in self._rules if rule.segment is not None)}
        if self.surface in self.config.surfaces:
            known.update(self.config.surfaces[self.surface].segments)
        popularity = self.signals.get("popularity")
        if isinstance(popularity, Signal):
            for offset in range(0, popularity.n_keys, _KEYS_PER_READ):
                known.update(popularity.keys(offset, _KEYS_PER_READ))
        return frozenset(known)


def _open_signals(catalog: Catalog, artifacts: Mapping[str, Path]) -> dict[SignalName, AnySignal]:
    signals: dict[SignalName, AnySignal] = {}
    for name in _SIGNAL_NAMES:
        path = artifacts.get(name)
        if path is None:
            continue
        signal: AnySignal = SessionIndex.open(str(path)) if name == "session_knn" else Signal.open(str(path))
        if signal.ids_digest != catalog.ids_digest:
            raise ArtifactError(f"{path}: belongs to another catalog than {artifacts[CATALOG]}")
        if signal.kind != name:
            raise ArtifactError(f"{path}: a signal of kind {signal.kind}, where {name} is expected")
        signals[name] = signal
    return signals
