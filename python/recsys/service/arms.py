"""The experiments of a surface, with the snapshots that their arms rank by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from recsys.contracts.experiments import Arm
from recsys.experiments.assignment import Assigned, SurfaceExperiments
from recsys.ranking.snapshot import Snapshot

Pins = tuple[str | None, str | None, str | None]
"""Config, rules and manifest version that an arm names; ``None`` is the current one."""


def pins_of(arm: Arm) -> Pins:
    """Return the versions that an arm names."""
    return arm.config_version, arm.rules_version, arm.manifest_version


class SurfaceArms:
    """Assigns the users of one surface; immutable, like the tenant that holds it."""

    def __init__(self, experiments: SurfaceExperiments, snapshots: Mapping[Pins, Snapshot]) -> None:
        self._experiments = experiments
        self.snapshots = snapshots

    def choose(
        self, pseudonym: str, segment: str, now: datetime, experiment_id: str | None
    ) -> Assigned | None:
        """Return what a user gets; see :meth:`SurfaceExperiments.choose`."""
        return self._experiments.choose(pseudonym, segment, now, experiment_id)

    def of_variant(self, experiment_id: str, variant: str) -> Assigned | None:
        """Return the arm that the caller names; see :meth:`SurfaceExperiments.of_variant`."""
        return self._experiments.of_variant(experiment_id, variant)

    def snapshot_of(self, arm: Arm, current: Snapshot) -> Snapshot:
        """Return what an arm ranks by: the current snapshot, unless it names versions."""
        return self.snapshots[pins_of(arm)] if arm.pins_versions else current
