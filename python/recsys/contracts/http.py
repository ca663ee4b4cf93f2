"""The bodies of the HTTP API: one struct per JSON object, from which the OpenAPI document is generated.

Limits that a schema can state stand here as constraints, so that one typed decode checks them (400). What
needs more than one field (a user without any id, an explanation too large) is checked by the service (422).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from recsys.contracts.patterns import PATH_SEGMENT

DEFAULT_K = 20
MAX_K = 200
MAX_BATCH = 20
MAX_EXPLAINED_K = 50
MAX_ANCHORS = 50
MAX_CANDIDATES = 5000
MAX_TAGS = 200
MAX_BODY_BYTES = 1024 * 1024
MAX_REQUEST_ID = 128
MAX_USER_ID = 256
MAX_WEIGHT = 1e100
"""Far beyond any use, and so far from the largest float that sums and boosts of scores stay finite."""
MAX_CONTEXT_VALUE = 128
DEFAULT_SEGMENT = "default"
FIRST_PAGE = "first"
MAX_PAGE_TOKEN = 65_536

Name = Annotated[str, Meta(pattern=PATH_SEGMENT, max_length=128, description="One path segment.")]
ItemId = Annotated[str, Meta(min_length=1)]
UserId = Annotated[str, Meta(max_length=MAX_USER_ID)]
ContextValue = Annotated[str, Meta(max_length=MAX_CONTEXT_VALUE)]
ArmName = Annotated[str, Meta(min_length=1, max_length=128)]
Tag = Annotated[str, Meta(min_length=1)]
Weight = Annotated[float, Meta(ge=0.0, le=MAX_WEIGHT)]
Now = Annotated[datetime, Meta(tz=True, description="RFC 3339 with a zone: the clock of this request.")]
Explain = Literal["none", "summary", "full"]


class User(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who asks. The first id given, in this order, becomes the pseudonym in the logs."""

    user_id: UserId | None = None
    anonymous_id: UserId | None = None
    session_id: UserId | None = None


class Context(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where and when the request comes from; available to segmentation and rules, and logged."""

    locale: ContextValue | None = None
    device: ContextValue | None = None
    country: ContextValue | None = None
    now: Now | None = None


class Anchors(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Items the user looks at or has just taken, most recent first; ``max_anchors`` keeps the first ones."""

    item_ids: Annotated[list[ItemId], Meta(max_length=MAX_ANCHORS)] = []
    max_anchors: Annotated[int, Meta(ge=1, le=MAX_ANCHORS)] | None = None


class Candidates(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """``include_ids``: only these may be returned. ``exclude_ids``: these may not."""

    include_ids: Annotated[list[ItemId], Meta(max_length=MAX_CANDIDATES)] | None = None
    exclude_ids: Annotated[list[ItemId], Meta(max_length=MAX_CANDIDATES)] = []


class Constraints(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An item passes with any required tag and no forbidden one; ``max_per_tag`` 0 means none of that tag."""

    required_tags: Annotated[list[Tag], Meta(max_length=MAX_TAGS)] = []
    forbidden_tags: Annotated[list[Tag], Meta(max_length=MAX_TAGS)] = []
    max_per_tag: Annotated[dict[Tag, Annotated[int, Meta(ge=0)]], Meta(max_length=MAX_TAGS)] = {}


class Weights(Struct, frozen=True, forbid_unknown_fields=True):
    """Replaces the configured weights, all three: one that is not given is 0."""

    pop: Weight = 0.0
    cooc: Weight = 0.0
    emb: Weight = 0.0


class Options(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the response should say beside the list. ``full`` and the trace need the admin role."""

    include_reasons: bool = False
    explain: Explain = "none"
    include_trace: bool = False
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None


class ExperimentArm(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The experiment that this request belongs to; in a response both are set."""

    id: ArmName
    variant: ArmName | None = None


class _Ranking(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What both ranking requests share.

    ``page`` is ``first`` or the ``meta.next_page`` of the page before; all other fields stay as they were.
    """

    surface: Name
    segment: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    k: Annotated[int, Meta(ge=1, le=MAX_K)] | None = None
    context: Context = Context()
    candidates: Candidates = Candidates()
    constraints: Constraints = Constraints()
    weights: Weights | None = None
    options: Options = Options()
    experiment: ExperimentArm | None = None
    page: Annotated[str, Meta(min_length=1, max_length=MAX_PAGE_TOKEN)] | None = None


class RecommendRequest(_Ranking, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/recommend``: the best items for a user on a surface."""

    user: User = User()
    anchors: Anchors = Anchors()


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/recommend/batch``: the lists of one page, in the order in which they may take items."""

    requests: Annotated[list[RecommendRequest], Meta(min_length=1, max_length=MAX_BATCH)]


class SimilarRequest(_Ranking, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/similar``: the best items beside one item."""

    item_id: ItemId


class Contribution(Struct, frozen=True):
    """What one signal gave to a score: ``weighted`` is its weight times the ``normalized`` ``value``.

    An item that a fallback rung gave has one, whose ``signal`` is ``fallback:RUNG``.
    """

    signal: str
    value: float
    normalized: float
    weighted: float


class AppliedBoost(Struct, frozen=True):
    """A boost rule and its multiplier of the score."""

    rule_id: str
    multiplier: float


class MmrStep(Struct, frozen=True):
    """How MMR took an item: of those left, its ``value`` was the largest.

    ``value`` is lambda x relevance - (1 - lambda) x similarity; ``relevance`` the score over the largest
    one; ``similarity`` the largest to the items before it. ``rank_by_score`` counts from 1 among the
    candidates that MMR reorders. The score itself does not change.
    """

    weight: float = field(name="lambda")
    relevance: float
    similarity: float
    value: float
    rank_by_score: int


class ItemExplanation(Struct, frozen=True, omit_defaults=True):
    """Why an item stands where it does.

    The weighted contributions' sum, times ``boost``, times ``damping`` if there is one (the item was seen
    lately), is the score. The rest comes with ``full``: the boosts one by one, the pin, the fallback rung
    that gave the item, and the step of MMR that took it.
    """

    contributions: list[Contribution]
    boost: float
    damping: float | None = None
    rules: list[AppliedBoost] | None = None
    pinned_by: str | None = None
    rung: str | None = None
    mmr: MmrStep | None = None


class FilteredItem(Struct, frozen=True, omit_defaults=True):
    """An item that was considered and left out: the filter that it met first, and the rule that blocks it."""

    item_id: ItemId
    filter: str
    rule_id: str | None = None


class RankedItem(Struct, frozen=True, omit_defaults=True):
    """One item of a list; ``rank`` counts from 1."""

    item_id: ItemId
    rank: Annotated[int, Meta(ge=1)]
    score: float
    reasons: list[str] | None = None
    explain: ItemExplanation | None = None


class ListMeta(Struct, frozen=True, omit_defaults=True):
    """What ranked the list. ``next_page`` is there when pages were asked for and the list goes on.

    ``fresh_version`` names the popularity that stands in for that of the manifest, where one does,
    ``blocks_version`` the rules whose blocks hold too, where an arm ranks by older ones. ``counts``
    (candidates by signal, items left out by filter) come with the trace and ``full``, ``timings_ms``
    (milliseconds by stage) with the trace, ``filtered`` (the first 50 left out) with ``full``.
    """

    tenant_id: str
    surface: str
    segment: str
    algo_version: str
    config_version: str
    rules_version: str
    manifest_version: str
    request_id: str
    experiment: ExperimentArm | None = None
    fresh_version: str | None = None
    blocks_version: str | None = None
    next_page: str | None = None
    timings_ms: dict[str, float] | None = None
    counts: dict[str, int] | None = None
    filtered: list[FilteredItem] | None = None


WarningCode = Literal[
    "DEFAULT_APPLIED",
    "SIGNAL_UNAVAILABLE",
    "SIGNAL_PARTIAL",
    "CONSTRAINTS_FILTERED",
    "RULE_PIN_INJECTED",
    "CANDIDATES_INCLUDE_FILTERED",
    "CANDIDATES_INCLUDE_EMPTY",
    "FALLBACK_USED",
    "SERVING_LAST_KNOWN_GOOD",
]


class ListWarning(Struct, frozen=True):
    """Something the caller may want to know about an answer that is good all the same."""

    code: WarningCode
    detail: str


class ListResponse(Struct, frozen=True):
    """A ranked list, best first, with what ranked it."""

    items: list[RankedItem]
    meta: ListMeta
    warnings: list[ListWarning]


class BatchResponse(Struct, frozen=True):
    """One list for each request of a batch; none repeats an item of those before it."""

    lists: list[ListResponse]


class ValidateResponse(Struct, frozen=True):
    """The request as it would be ranked, defaults filled in; nothing was ranked or logged."""

    request: RecommendRequest
    meta: ListMeta
    warnings: list[ListWarning]


class ComponentStatus(Struct, frozen=True):
    """One thing that serving needs; ``detail`` says what is missing, and is empty when nothing is."""

    name: str
    ok: bool
    detail: str


class HealthResponse(Struct, frozen=True):
    """Whether this process can serve, part by part; ``degraded`` serves, though not all as it should."""

    status: Literal["ok", "degraded", "unavailable"]
    components: list[ComponentStatus]


class VersionResponse(Struct, frozen=True):
    """What runs: the package, its artifact format, and every snapshot's versions by ``tenant/surface``."""

    version: str
    format_version: int
    snapshots: dict[str, dict[str, str]]
