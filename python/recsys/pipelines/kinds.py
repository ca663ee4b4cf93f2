"""The kinds of artifact that a pipeline builds: one entry each, from canonical days to a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from recsys._native import Catalog
from recsys.contracts.pipeline import PipelineSettings
from recsys.pipelines.build.cooc import CoocOptions, build_cooc
from recsys.pipelines.build.interactions import Selection
from recsys.pipelines.build.popularity import PopularityOptions, build_popularity
from recsys.pipelines.build.request import BuildInput, BuildReport


@dataclass(frozen=True)
class Resources:
    """What a build may take of the machine: bytes of memory, and threads (0: all cores)."""

    memory_bytes: int = 1 << 30
    threads: int = 0


class BuildKind(NamedTuple):
    """How a kind is built; ``settings`` picks what its content depends on beside the rows and the catalog."""

    build: Callable[[Catalog, BuildInput, Path, PipelineSettings, Resources], BuildReport]
    settings: Callable[[PipelineSettings], Struct]


def _popularity(
    catalog: Catalog, given: BuildInput, out: Path, settings: PipelineSettings, resources: Resources
) -> BuildReport:
    chosen = settings.popularity
    options = PopularityOptions(
        half_life_ms=None if chosen.half_life_days is None else chosen.half_life_days * 86_400_000,
        selection=Selection(
            event_weights=settings.event_weights,
            position_eta=chosen.position_eta,
            max_position_weight=chosen.max_position_weight,
        ),
        memory_bytes=resources.memory_bytes,
        threads=resources.threads,
    )
    return build_popularity(catalog, given, out, options)


def _cooc(
    catalog: Catalog, given: BuildInput, out: Path, settings: PipelineSettings, resources: Resources
) -> BuildReport:
    chosen = settings.cooc
    options = CoocOptions(
        normalization=chosen.normalization,
        window_ms=None if chosen.window_minutes is None else int(chosen.window_minutes * 60_000),
        min_support=chosen.min_support,
        top_n=chosen.top_n,
        max_items_per_session=chosen.max_items_per_session,
        selection=Selection(event_weights=settings.event_weights),
        memory_bytes=resources.memory_bytes,
        threads=resources.threads,
    )
    return build_cooc(catalog, given, out, options)


KINDS: dict[str, BuildKind] = {
    "popularity": BuildKind(_popularity, lambda settings: settings.popularity),
    "cooc": BuildKind(_cooc, lambda settings: settings.cooc),
}
"""Every kind that ``recsys pipeline build`` knows."""


class Engine(NamedTuple):
    """What builds, and the kinds that it knows."""

    name: str
    kinds: Mapping[str, BuildKind]


NATIVE = Engine("native", KINDS)
"""The builders of this host."""
