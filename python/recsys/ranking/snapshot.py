"""A snapshot: the config, rules and artifacts of one (tenant, surface), compiled and immutable.

What a snapshot ranks depends on nothing else, so its versions name by construction what ranked a list. Plans
are compiled on first use and kept: their number is bounded by the segments that config, rules or popularity
know, the modes, and the intervals between the windows of rules.
"""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from recsys import __version__
from recsys._native import Catalog, Signal
from recsys.contracts.config import Mode, SignalName, TenantConfig, resolve_ranking
from recsys.contracts.documents import canonical_json, version_of
from recsys.contracts.errors import ArtifactError
from recsys.contracts.http import DEFAULT_SEGMENT
from recsys.contracts.rules import Rule, rules_in_scope, window_boundaries
from recsys.ranking.plans import CompiledPlan, compile_plan
from recsys.ranking.provenance import Provenance, Versions
from recsys.ranking.rules import RuleTargets, resolve_rules
from recsys.ranking.tenant_file import SurfaceArtifacts

UNKNOWN_SEGMENT = "(unknown)"
"""Stands for every segment that nothing knows, so that callers cannot make plans without bound."""

_KEYS_PER_READ = 1000


class Snapshot:
    """Ranks for one surface of one tenant. Threads may share it: a plan compiled twice is the same."""

    def __init__(
        self,
        tenant: str,
        surface: str,
        artifacts: SurfaceArtifacts,
        *,
        config: TenantConfig,
        rules: Sequence[Rule] = (),
    ) -> None:
        """Open and check the artifacts.

        Raises :class:`ArtifactError` for a file that is not sound or that belongs to another catalog.
        """
        self.tenant = tenant
        self.surface = surface
        self.config = config
        self.catalog = Catalog.open(str(artifacts.catalog))
        self.signals = _open_signals(self.catalog, artifacts)
        self.versions = Versions(
            algo_version=f"recsys-{__version__}",
            config_version=version_of(canonical_json(config)),
            rules_version=version_of(canonical_json(list(rules))),
            manifest_version=_manifest_version(artifacts),
        )
        self.provenance = Provenance(tenant, surface, self.versions)
        self.compiled_at_s = time.time()
        self._rules = tuple(rule for rule in rules if rule.surface in (None, surface) and rule.enabled)
        if not config.flags.apply_rules:
            self._rules = ()
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
        if popularity is not None:
            for offset in range(0, popularity.n_keys, _KEYS_PER_READ):
                known.update(popularity.keys(offset, _KEYS_PER_READ))
        return frozenset(known)


def _open_signals(catalog: Catalog, artifacts: SurfaceArtifacts) -> dict[SignalName, Signal]:
    paths: dict[SignalName, Path | None] = {"popularity": artifacts.popularity, "cooc": artifacts.cooc}
    signals: dict[SignalName, Signal] = {}
    for name, path in paths.items():
        if path is None:
            continue
        signal = Signal.open(str(path))
        if signal.ids_digest != catalog.ids_digest:
            raise ArtifactError(f"{path}: belongs to another catalog than {artifacts.catalog}")
        if signal.kind != name:
            raise ArtifactError(f"{path}: a signal of kind {signal.kind}, where {name} is expected")
        signals[name] = signal
    return signals


def _manifest_version(artifacts: SurfaceArtifacts) -> str:
    """Return a hash of the kinds and the contents of the artifacts."""
    digests: dict[str, str] = {}
    for kind in SurfaceArtifacts.__struct_fields__:
        path: Path | None = getattr(artifacts, kind)
        if path is not None:
            with path.open("rb") as file:
                digests[kind] = hashlib.file_digest(file, "sha256").hexdigest()
    return version_of(canonical_json(digests))
