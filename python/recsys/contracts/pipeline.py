"""The settings of a tenant's pipelines: what is built, how interactions count, and what stops a release."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from recsys.contracts.documents import convert

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Times = Annotated[float, Meta(ge=1.0)]
Weight = Annotated[float, Meta(ge=0.0, le=1e12)]
Count = Annotated[int, Meta(ge=1, le=2**31)]
SignalKind = Literal["popularity", "cooc", "session_seq", "session_knn", "content_sim", "implicit"]


class GateSettings(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Limits that interactions and artifacts must keep for a release; ``None`` switches one off.

    ``max_drop`` (a share) and ``max_growth`` (times) compare each day with the mean of the
    ``compare_days`` before it, once there are three. ``max_artifact_shrink`` and ``max_artifact_growth``
    compare bytes with the artifact that is current.
    """

    min_rows: Count | None = 1
    min_rows_per_day: Count | None = 1
    compare_days: Annotated[int, Meta(ge=3, le=366)] = 7
    max_drop: Share | None = 0.9
    max_growth: Times | None = 10.0
    max_duplicates: Share | None = 0.05
    max_null_users: Share | None = None
    max_unknown_items: Share | None = 0.05
    min_catalog_coverage: Share | None = None
    heavy_session_items: Count = 200
    max_heavy_sessions: Share | None = 0.01
    max_artifact_shrink: Share | None = 0.75
    max_artifact_growth: Times | None = 10.0


class PopularitySettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Decay in days, and correction for how seldom lower ranks are looked at.

    With ``position_eta`` above 0 an interaction at rank r weighs r^eta times as much, at most
    ``max_position_weight`` times: the inverse of an examination probability of (1/r)^eta (Joachims,
    Swaminathan and Schnabel 2017).
    """

    half_life_days: Annotated[float, Meta(gt=0.0)] | None = 28.0
    position_eta: Annotated[float, Meta(ge=0.0, le=5.0)] = 0.0
    max_position_weight: Annotated[float, Meta(ge=1.0)] = 10.0


class CoocSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Co-visitation: how pairs are counted, and how many neighbours an item keeps."""

    normalization: Literal["count", "cosine", "jaccard", "lift", "confidence"] = "cosine"
    window_minutes: Annotated[float, Meta(gt=0.0)] | None = None
    min_support: Count = 2
    top_n: Count = 100
    max_items_per_session: Annotated[int, Meta(ge=2, le=2**31)] = 200


class SessionSeqSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What comes after an item ``within`` a session or user: each further step is worth ``decay``."""

    normalization: Literal["count", "confidence"] = "confidence"
    within: Literal["session", "user"] = "session"
    decay: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.8
    max_distance: Count = 10
    min_support: Count = 2
    top_n: Count = 100
    max_items_per_session: Annotated[int, Meta(ge=2, le=2**31)] = 200


class SessionKnnSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Past sessions to be searched: how many of the latest an item keeps."""

    sessions_per_item: Count = 2000
    max_items_per_session: Annotated[int, Meta(ge=2, le=2**31)] = 200


class ContentSimSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Likeness by content; commoner terms than ``max_share`` (and 100 items) are left out."""

    top_n: Count = 100
    max_share: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.05


class ImplicitSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Items for users, by the neighbours of the kind ``cooc``.

    ``user_ids`` says what interactions carry: ``raw`` ids become pseudonyms by the tenant's salt,
    ``pseudonyms`` are taken as they are, and ``auto`` takes 64 lower-case hex digits for a pseudonym.
    """

    user_ids: Literal["auto", "raw", "pseudonyms"] = "auto"
    top_n: Count = 100
    max_history: Count = 100
    half_life_days: Annotated[float, Meta(gt=0.0)] | None = None
    drop_taken: bool = True


class PipelineSettings(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A tenant's pipelines. ``event_weights`` maps an event type to its weight, ``*`` for types not named."""

    kinds: Annotated[tuple[SignalKind, ...], Meta(min_length=1)] = ("popularity", "cooc")
    event_weights: dict[str, Weight] = {}
    popularity: PopularitySettings = PopularitySettings()
    cooc: CoocSettings = CoocSettings()
    session_seq: SessionSeqSettings = SessionSeqSettings()
    session_knn: SessionKnnSettings = SessionKnnSettings()
    content_sim: ContentSimSettings = ContentSimSettings()
    implicit: ImplicitSettings = ImplicitSettings()
    gates: GateSettings = GateSettings()


def read_pipeline_settings(document: object) -> PipelineSettings:
    """Return the settings of a document given as plain values.

    Raises :class:`~recsys.contracts.documents.InvalidDocument` naming the field.
    """
    return convert(document, PipelineSettings, "pipeline")
