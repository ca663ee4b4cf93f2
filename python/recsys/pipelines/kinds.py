"""The kinds of artifact that a pipeline builds: one entry each, from canonical days to a file.

A kind may need the artifact of another, which lies beside its own in the workspace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from recsys._native import Catalog, Signal
from recsys.contracts.errors import UsageError
from recsys.contracts.manifest import CATALOG
from recsys.contracts.pipeline import PipelineSettings
from recsys.pipelines.build.content_sim import build_content
from recsys.pipelines.build.cooc import CoocOptions, build_cooc
from recsys.pipelines.build.implicit import ImplicitOptions, build_implicit
from recsys.pipelines.build.interactions import Selection
from recsys.pipelines.build.popularity import PopularityOptions, build_popularity
from recsys.pipelines.build.request import BuildInput, BuildReport
from recsys.pipelines.build.session_knn import SessionKnnOptions, build_session_knn
from recsys.pipelines.build.session_seq import SessionSeqOptions, build_session_seq
from recsys.pipelines.build.users import Users

_DAY_MS = 86_400_000
ARTIFACT_ENDING = ".rsa"


@dataclass(frozen=True)
class Resources:
    """What a build may take: bytes of memory, threads (0: all cores), and the tenant's salt."""

    memory_bytes: int = 1 << 30
    threads: int = 0
    salt: bytes | None = field(default=None, repr=False)


class BuildKind(NamedTuple):
    """How a kind is built; ``settings`` picks what its content depends on beside the rows and the catalog.

    ``needs`` are the kinds whose artifacts it reads; the content of one ``by_user`` depends on the salt.
    """

    build: Callable[[Catalog, BuildInput, Path, PipelineSettings, Resources], BuildReport]
    settings: Callable[[PipelineSettings], Struct]
    needs: tuple[str, ...] = ()
    by_user: bool = False


def _popularity(
    catalog: Catalog, given: BuildInput, out: Path, settings: PipelineSettings, resources: Resources
) -> BuildReport:
    chosen = settings.popularity
    options = PopularityOptions(
        half_life_ms=None if chosen.half_life_days is None else chosen.half_life_days * _DAY_MS,
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


def _session_seq(
    catalog: Catalog, given: BuildInput, out: Path, settings: PipelineSettings, resources: Resources
) -> BuildReport:
    chosen = settings.session_seq
    options = SessionSeqOptions(
        normalization=chosen.normalization,
        within=chosen.within,
        decay=chosen.decay,
        max_distance=chosen.max_distance,
        min_support=chosen.min_support,
        top_n=chosen.top_n,
        max_items_per_session=chosen.max_items_per_session,
        selection=Selection(event_weights=settings.event_weights),
        memory_bytes=resources.memory_bytes,
        threads=resources.threads,
    )
    return build_session_seq(catalog, given, out, options)


def _session_knn(
    catalog: Catalog, given: BuildInput, out: Path, settings: PipelineSettings, resources: Resources
) -> BuildReport:
    chosen = settings.session_knn
    options = SessionKnnOptions(
        sessions_per_item=chosen.sessions_per_item,
        max_items_per_session=chosen.max_items_per_session,
        selection=Selection(event_weights=settings.event_weights),
        memory_bytes=resources.memory_bytes,
        threads=resources.threads,
    )
    return build_session_knn(catalog, given, out, options)


def _content_sim(
    catalog: Catalog, given: BuildInput, out: Path, settings: PipelineSettings, resources: Resources
) -> BuildReport:
    chosen = settings.content_sim
    return build_content(
        catalog,
        out,
        top_n=chosen.top_n,
        max_share=chosen.max_share,
        threads=resources.threads,
        begin=given.begin,
    )


def _implicit(
    catalog: Catalog, given: BuildInput, out: Path, settings: PipelineSettings, resources: Resources
) -> BuildReport:
    chosen = settings.implicit
    is_raw = chosen.user_ids != "pseudonyms"
    options = ImplicitOptions(
        users=Users(resources.salt if is_raw else None, keeps_pseudonyms=chosen.user_ids == "auto"),
        top_n=chosen.top_n,
        max_history=chosen.max_history,
        half_life_ms=None if chosen.half_life_days is None else chosen.half_life_days * _DAY_MS,
        drop_taken=chosen.drop_taken,
        selection=Selection(event_weights=settings.event_weights),
        memory_bytes=resources.memory_bytes,
        threads=resources.threads,
    )
    neighbours = Signal.open(str(out.with_name(f"cooc{ARTIFACT_ENDING}")))
    return build_implicit(catalog, neighbours, given, out, options)


KINDS: dict[str, BuildKind] = {
    "popularity": BuildKind(_popularity, lambda settings: settings.popularity),
    "cooc": BuildKind(_cooc, lambda settings: settings.cooc),
    "session_seq": BuildKind(_session_seq, lambda settings: settings.session_seq),
    "session_knn": BuildKind(_session_knn, lambda settings: settings.session_knn),
    "content_sim": BuildKind(_content_sim, lambda settings: settings.content_sim),
    "implicit": BuildKind(_implicit, lambda settings: settings.implicit, needs=("cooc",), by_user=True),
}
"""Every kind that ``recsys pipeline build`` knows."""


class Engine(NamedTuple):
    """What builds, and the kinds that it knows."""

    name: str
    kinds: Mapping[str, BuildKind]


NATIVE = Engine("native", KINDS)
"""The builders of this host."""


def kind_of(engine: Engine, kind: str) -> BuildKind:
    """Return how ``engine`` builds a kind; raises :class:`UsageError` for one that it does not know."""
    how = engine.kinds.get(kind)
    if how is None:
        known = ", ".join([CATALOG, *engine.kinds])
        trouble = f"{engine.name} does not build this kind" if kind in KINDS else "there is no such kind"
        raise UsageError(f"{kind}: {trouble}; {engine.name} builds {known}")
    return how


def build_order(kinds: Sequence[str]) -> list[str]:
    """Return ``kinds`` and what they need, each once and after what it needs; unknown ones stay."""
    order: list[str] = []
    for kind in kinds:
        needs = KINDS[kind].needs if kind in KINDS else ()
        order += [one for one in (*needs, kind) if one not in order]
    return order
