"""The config document of a tenant: how each surface ranks, for whom, and within which limits.

Settings are layered: built-in defaults, then ``defaults``, then ``surfaces.<surface>``, then
``surfaces.<surface>.segments.<segment>``; the last that says something wins. The document is JSON in the
control store and the ``[config]`` table of a tenant's TOML file; both are read by :func:`read_config`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct
from msgspec.structs import replace

from recsys.contracts.documents import InvalidDocument, convert, parse_json
from recsys.contracts.fresh_popularity import FreshPopularity, check_fresh_popularity
from recsys.contracts.http import MAX_K, Name, Weight
from recsys.contracts.pipeline import PipelineSettings
from recsys.contracts.rules import SegmentName

Mode = Literal["popularity", "cooc", "implicit", "session_seq", "content_sim", "session_knn", "blend"]
SignalName = Literal["popularity", "cooc", "implicit", "session_seq", "content_sim", "session_knn"]
WeightGroup = Literal["pop", "cooc", "emb"]
Normalizer = Literal["saturating", "max", "none"]
LadderRung = Literal["segment", "surface_default", "tenant_default", "popularity", "newest"]

WEIGHT_GROUPS: dict[SignalName, WeightGroup] = {
    "popularity": "pop",
    "cooc": "cooc",
    "session_seq": "cooc",
    "session_knn": "cooc",
    "implicit": "emb",
    "content_sim": "emb",
}
"""Which configured weight a signal takes."""

MIN_TEMPERATURE = 1e-6
MAX_SEEN_WINDOW_HOURS = 30 * 24.0

FULL_LADDER: tuple[LadderRung, ...] = ("segment", "surface_default", "tenant_default", "popularity", "newest")

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, Meta(gt=0.0)]
Cap = Annotated[int, Meta(ge=1, le=MAX_K)]


class SignalWeights(Struct, frozen=True, forbid_unknown_fields=True):
    """Weights of the three groups of signals, each at least 0; a group that is not named weighs 0."""

    pop: Weight = 0.0
    cooc: Weight = 0.0
    emb: Weight = 0.0


class BlendWeights(SignalWeights, frozen=True, forbid_unknown_fields=True):
    """Weights of the signals of a blend: ``signals`` weighs some of them apart from their groups.

    Weights of a request, an arm or a target stand in the place of all of these.
    """

    signals: dict[SignalName, Weight] = {}


class SeenPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of items the user was shown or took within ``window_hours``.

    An item counts as seen at ``min_shown`` exposures on the surface or ``min_taken`` outcomes on any.
    ``damp`` multiplies its score by ``damping``; ``drop`` leaves it out on every rung; ``keep`` does neither.
    Pins stand all the same.
    """

    action: Literal["keep", "drop", "damp"] = "keep"
    window_hours: Annotated[float, Meta(gt=0.0, le=MAX_SEEN_WINDOW_HOURS)] = 24.0
    min_shown: Annotated[int, Meta(ge=1)] = 3
    min_taken: Annotated[int, Meta(ge=1)] = 1
    damping: Fraction = 0.5


class ExplorationTarget(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Another ranking of the same request, explored alike: what it does not say is as what is served."""

    mode: Mode | None = None
    weights: SignalWeights | None = None


class Exploration(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """How a list departs from the best one, at random and by known chances; the first places stay.

    ``plackett_luce`` draws place after place in proportion to ``exp(score / temperature)``, or with ``by``
    ``rank`` to ``rank ** -(1 / temperature)``. ``epsilon_swaps`` swaps each place, with chance ``epsilon``,
    with one drawn evenly from it and those below. ``pool`` items take part, at least k. With a ``target``
    each item is logged with the chance that it would have had under that ranking too.
    """

    method: Literal["plackett_luce", "epsilon_swaps"]
    temperature: Positive = 1.0
    by: Literal["score", "rank"] = "score"
    epsilon: Fraction = 0.1
    fixed_prefix: Annotated[int, Meta(ge=0, le=MAX_K)] = 0
    pool: Cap | None = None
    target: ExplorationTarget | None = None


class SessionAnchors(Struct, frozen=True, forbid_unknown_fields=True):
    """Items of a user's latest outcomes are anchors of the next request, after those that it names."""

    max_items: Annotated[int, Meta(ge=1, le=20)] = 5
    ttl_minutes: Annotated[float, Meta(gt=0.0, le=60.0)] = 30.0


class SessionKnn(Struct, frozen=True, forbid_unknown_fields=True):
    """How past sessions like the current one are found, for the signal ``session_knn``.

    The current session is the ``last_items`` latest anchors. Of the ``recent_sessions`` latest past sessions
    that share one of them, the ``neighbors`` most similar ones vote.
    """

    recent_sessions: Annotated[int, Meta(ge=1, le=100_000)] = 500
    neighbors: Annotated[int, Meta(ge=1, le=100_000)] = 100
    last_items: Annotated[int, Meta(ge=1, le=9)] = 3


class RankingSettings(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One layer of settings; ``None`` leaves the layer below as it is.

    ``half_life_days`` is that of popularity; ``anchor_decay`` multiplies the weight of each further anchor;
    ``mmr_lambda`` 1 is relevance alone, 0 diversity alone. ``brand_cap`` and ``category_cap``
    are items a list.
    """

    mode: Mode | None = None
    weights: BlendWeights | None = None
    normalizer: Normalizer | None = None
    half_life_days: Positive | None = None
    anchor_decay: Annotated[float, Meta(gt=0.0, le=1.0)] | None = None
    brand_cap: Cap | None = None
    category_cap: Cap | None = None
    mmr_lambda: Fraction | None = None
    mmr_pool: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    ladder: list[LadderRung] | None = None
    seen: SeenPolicy | None = None
    exploration: Exploration | None = None
    session_anchors: SessionAnchors | None = None
    session_knn: SessionKnn | None = None


class SurfaceSettings(
    RankingSettings, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True
):
    """Settings of a surface, and of segments on it.

    ``schedule_hours`` is how often a release is meant to be published; freshness is measured against it.
    """

    schedule_hours: Positive | None = None
    fresh_popularity: FreshPopularity | None = None
    segments: dict[SegmentName, RankingSettings] = {}


class SegmentationRule(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Gives ``segment`` to requests that match every list given here; a list matches by any of its values.

    Case does not count. A locale matches its regions too: ``de`` matches ``de-AT`` and ``de_AT``.
    """

    segment: SegmentName
    locale: list[str] = []
    country: list[str] = []
    device: list[str] = []


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Ceilings of the tenant. Rates are requests a second, averaged; ``None`` is no limit."""

    max_k: Annotated[int, Meta(ge=1, le=MAX_K)] = MAX_K
    tenant_requests_per_s: Positive | None = None
    principal_requests_per_s: Positive | None = None


class Flags(Struct, frozen=True, forbid_unknown_fields=True):
    """Switches, each with one effect.

    ``apply_rules`` off ranks without rules; ``accept_caller_weights`` off ignores ``weights`` of requests;
    ``log_exposures`` off writes none; ``guard_pii`` off lets ids through that look
    like e-mail addresses or phone numbers.
    """

    apply_rules: bool = True
    accept_caller_weights: bool = True
    log_exposures: bool = True
    guard_pii: bool = True


class TenantConfig(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A tenant's whole config document. Every part may be left out."""

    defaults: RankingSettings = RankingSettings()
    surfaces: dict[Name, SurfaceSettings] = {}
    segmentation: list[SegmentationRule] = []
    limits: Limits = Limits()
    flags: Flags = Flags()
    pipeline: PipelineSettings = PipelineSettings()


class Ranking(Struct, frozen=True, kw_only=True):
    """The settings that rank one surface and segment: all layers applied. ``None`` is off."""

    mode: Mode = "blend"
    weights: BlendWeights = BlendWeights(pop=0.2, cooc=1.0, emb=1.0)
    normalizer: Normalizer = "saturating"
    half_life_days: float | None = None
    anchor_decay: float = 1.0
    brand_cap: int | None = None
    category_cap: int | None = None
    mmr_lambda: float | None = None
    mmr_pool: int = 200
    ladder: tuple[LadderRung, ...] = FULL_LADDER
    seen: SeenPolicy = SeenPolicy()
    exploration: Exploration | None = None
    session_anchors: SessionAnchors | None = None
    session_knn: SessionKnn = SessionKnn()


def parse_config(data: bytes) -> TenantConfig:
    """Return the config of a JSON document; raises :class:`InvalidDocument` naming the field."""
    return read_config(parse_json(data, "config"))


def read_config(document: object) -> TenantConfig:
    """Return the config of a document given as plain values (from JSON or TOML).

    Raises :class:`InvalidDocument` whose pointer names the field, for example ``surfaces.home.mmr_lambda``.
    """
    config = convert(document, TenantConfig, "")
    for at, settings in _layers(config):
        _check_settings(settings, at)
    for index, rule in enumerate(config.segmentation):
        if not (rule.locale or rule.country or rule.device):
            raise InvalidDocument(
                f"segmentation[{index}]", "matches everyone: give locale, country or device"
            )
    for name in ("tenant_requests_per_s", "principal_requests_per_s"):
        _check_finite(getattr(config.limits, name), f"limits.{name}")
    for surface, of_surface in config.surfaces.items():
        _check_finite(of_surface.schedule_hours, f"surfaces.{surface}.schedule_hours")
        if of_surface.fresh_popularity is not None:
            check_fresh_popularity(of_surface.fresh_popularity, f"surfaces.{surface}.fresh_popularity")
    return config


def resolve_ranking(config: TenantConfig, surface: str, segment: str) -> Ranking:
    """Return the settings for a surface and segment; one not named has those of the layers below."""
    settings = config.surfaces.get(surface, SurfaceSettings())
    layers = (config.defaults, settings, settings.segments.get(segment, RankingSettings()))
    said = {
        field: value
        for layer in layers
        for field in RankingSettings.__struct_fields__
        if (value := getattr(layer, field)) is not None
    }
    if "ladder" in said:
        said["ladder"] = tuple(said["ladder"])
    return replace(Ranking(), **said)


def weight_of(weights: SignalWeights, signal: SignalName) -> float:
    """Return what a signal weighs in a blend: its own weight if it is named, else that of its group."""
    own = weights.signals.get(signal) if isinstance(weights, BlendWeights) else None
    if own is not None:
        return own
    of_group: float = getattr(weights, WEIGHT_GROUPS[signal])
    return of_group


def fresh_popularity_of(config: TenantConfig, surface: str) -> FreshPopularity | None:
    """Return the settings of fresh popularity on a surface; ``None`` is off."""
    settings = config.surfaces.get(surface)
    return None if settings is None else settings.fresh_popularity


def remembers_seen_items(config: TenantConfig) -> bool:
    """Whether any surface or segment treats seen items otherwise than others."""
    layers = (settings for _, settings in _layers(config))
    return any(layer.seen is not None and layer.seen.action != "keep" for layer in layers)


def derive_segment(
    config: TenantConfig, *, locale: str | None, country: str | None, device: str | None
) -> str | None:
    """Return the segment of the first segmentation rule that matches, or ``None``."""
    for rule in config.segmentation:
        if (
            (not rule.locale or any(_is_locale(locale, wanted) for wanted in rule.locale))
            and (not rule.country or _is_one_of(country, rule.country))
            and (not rule.device or _is_one_of(device, rule.device))
        ):
            return rule.segment
    return None


def _is_one_of(value: str | None, wanted: list[str]) -> bool:
    return value is not None and value.casefold() in {choice.casefold() for choice in wanted}


def _is_locale(value: str | None, wanted: str) -> bool:
    if value is None:
        return False
    given, sought = (text.casefold().replace("_", "-") for text in (value, wanted))
    return given == sought or given.startswith(sought + "-")


def _layers(config: TenantConfig) -> Iterator[tuple[str, RankingSettings]]:
    yield "defaults", config.defaults
    for surface, settings in config.surfaces.items():
        yield f"surfaces.{surface}", settings
        for segment, narrower in settings.segments.items():
            yield f"surfaces.{surface}.segments.{segment}", narrower


def _check_settings(settings: RankingSettings, at: str) -> None:
    _check_finite(settings.half_life_days, f"{at}.half_life_days")
    if settings.weights is not None:
        check_weights(settings.weights, f"{at}.weights")
    if settings.seen is not None:
        _check_finite(settings.seen.window_hours, f"{at}.seen.window_hours")
    if settings.exploration is not None:
        check_exploration(settings.exploration, f"{at}.exploration")
    if settings.ladder is not None:
        for index, rung in enumerate(settings.ladder):
            if rung in settings.ladder[:index]:
                raise InvalidDocument(f"{at}.ladder[{index}]", f"rung {rung} stands here twice")


def check_weights(weights: SignalWeights, at: str) -> None:
    """Raise :class:`InvalidDocument` for weights that cannot be used."""
    for group in get_args(WeightGroup):
        _check_finite(getattr(weights, group), f"{at}.{group}")
    if isinstance(weights, BlendWeights):
        for signal, weight in weights.signals.items():
            _check_finite(weight, f"{at}.signals.{signal}")
    if not any(weight_of(weights, signal) for signal in WEIGHT_GROUPS):
        raise InvalidDocument(at, "all are 0: nothing would be ranked")


def check_exploration(exploration: Exploration, at: str) -> None:
    """Raise :class:`InvalidDocument` for numbers that cannot be used."""
    _check_finite(exploration.temperature, f"{at}.temperature")
    if exploration.temperature < MIN_TEMPERATURE:
        raise InvalidDocument(
            f"{at}.temperature", f"at least {MIN_TEMPERATURE:g}: below it nothing is explored"
        )
    if exploration.target is not None and exploration.target.weights is not None:
        check_weights(exploration.target.weights, f"{at}.target.weights")


def _check_finite(value: float | None, at: str) -> None:
    if value is not None and not math.isfinite(value):
        raise InvalidDocument(at, "must be a finite number")
