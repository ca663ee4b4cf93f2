"""From a body to a query: one typed decode, the checks that need more than one field, and the defaults."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from msgspec import Struct

from recsys.contracts.config import Mode, TenantConfig, derive_segment
from recsys.contracts.http import (
    DEFAULT_K,
    DEFAULT_SEGMENT,
    MAX_EXPLAINED_K,
    Context,
    ListWarning,
    RecommendRequest,
    SimilarRequest,
)
from recsys.contracts.problems import ProblemCode
from recsys.contracts.pseudonym import identify
from recsys.control.principals import Principal
from recsys.ranking.snapshot import Snapshot
from recsys.service.arms import Ranker, Treatment
from recsys.service.assignments import choose_treatment
from recsys.service.auth import require_admin
from recsys.service.pages import Page, digest_versions, first_page, moment_at, open_page
from recsys.service.pii import guard_ids
from recsys.service.problems import ProblemError
from recsys.service.tenants import ServedTenant

RequestT = TypeVar("RequestT", RecommendRequest, SimilarRequest)


class Query(Struct, frozen=True):
    """A request that can be ranked: every default filled in, every check passed."""

    request: RecommendRequest | SimilarRequest
    treatment: Treatment
    segment: str
    k: int
    now: datetime
    user: str
    """The pseudonym."""
    anchors: list[str]
    warnings: list[ListWarning]
    page: Page | None = None
    """Where pages were asked for, which one this is."""
    salt: bytes = b""
    """What the token of the next page is signed with."""

    @property
    def first_rank(self) -> int:
        """The rank of the first item of this page."""
        return 1 if self.page is None else 1 + self.page.offset

    @property
    def snapshot(self) -> Snapshot:
        """What ranks the list; of two that are interleaved, the control's."""
        return self.treatment.rankers[0].snapshot


def make_query(
    body: RecommendRequest | SimilarRequest,
    tenant: ServedTenant,
    principal: Principal,
    request_id: str,
) -> Query:
    """Return the query of a decoded body; raises 403, 404 or 422 as the contract says."""
    options = body.options
    if options.explain == "full":
        require_admin(principal, "options.explain full")
    if options.include_trace:
        require_admin(principal, "options.include_trace")
    snapshot = tenant.snapshot(body.surface)
    config = snapshot.config
    if config.flags.guard_pii:
        guard_ids(body)
    warnings = tenant.warnings_of(body.surface)
    segment = body.segment or choose_segment(body.context, config, warnings)
    k = choose_k(body.k, config, warnings)
    if options.explain != "none" and k > MAX_EXPLAINED_K:
        raise ProblemError(
            ProblemCode.EXPLAIN_TOO_LARGE, f"k is {k}; a list is explained up to k {MAX_EXPLAINED_K}"
        )
    if isinstance(body, RecommendRequest):
        user = identify(body.user.user_id, body.user.anonymous_id, body.user.session_id)
        if user is None:
            raise ProblemError(
                ProblemCode.UNPROCESSABLE_ENTITY, "user: give user_id, anonymous_id or session_id"
            )
        anchors = body.anchors.item_ids[: body.anchors.max_anchors]
        mode: Mode | None = None
    else:
        # Nobody is named, so the list belongs to its request alone and no two of them join.
        user, anchors, mode = request_id, [body.item_id], "cooc"
    weights = body.weights if config.flags.accept_caller_weights else None
    ranker = Ranker(snapshot, mode, None if weights is None else (weights.pop, weights.cooc, weights.emb))
    pseudonym, now = tenant.pseudonyms.of(user), body.context.now or datetime.now(UTC)
    page = None if body.page is None else open_page(body, tenant.name, tenant.salt)
    if page is not None:
        clock, now = now, moment_at(page.now_us)
    arms = tenant.experiments.get(body.surface) if tenant.experiments else None
    treatment = choose_treatment(body, arms, ranker, principal, pseudonym, segment, now)
    if page is not None:
        _check_still_served(page, treatment, segment, now, clock)
    elif body.page is not None:
        versions = digest_versions(treatment, segment)
        page = first_page(body, tenant.name, now, versions)
    return Query(
        request=body,
        treatment=treatment,
        segment=segment,
        k=k,
        now=now,
        user=pseudonym,
        anchors=anchors,
        warnings=warnings,
        page=page,
        salt=tenant.salt,
    )


def _check_still_served(
    page: Page, treatment: Treatment, segment: str, first: datetime, now: datetime
) -> None:
    """Raise 409 unless what ranked the first page ranks now, and the same rules are in their windows."""
    snapshot, mode = treatment.rankers[0].snapshot, treatment.rankers[0].mode
    is_same = snapshot.plan(segment, first, mode) is snapshot.plan(segment, now, mode)
    if not is_same or page.versions != digest_versions(treatment, segment):
        raise ProblemError(
            ProblemCode.VERSION_MISMATCH,
            "page: what ranked its list has been replaced since; begin again with the first page",
        )


def choose_segment(context: Context, config: TenantConfig, warnings: list[ListWarning]) -> str:
    """Return the segment of a request that names none; a default is told in ``warnings``."""
    if config.segmentation:
        derived = derive_segment(
            config, locale=context.locale, country=context.country, device=context.device
        )
        if derived is not None:
            return derived
    warnings.append(ListWarning("DEFAULT_APPLIED", f"segment: {DEFAULT_SEGMENT}"))
    return DEFAULT_SEGMENT


def choose_k(k: int | None, config: TenantConfig, warnings: list[ListWarning]) -> int:
    """Return the length of a list, the default for ``None``; raises 400 for more than the limit."""
    max_k = config.limits.max_k
    if k is None:
        k = min(DEFAULT_K, max_k)
        warnings.append(ListWarning("DEFAULT_APPLIED", f"k: {k}"))
        return k
    if k > max_k:
        raise ProblemError(ProblemCode.INVALID_REQUEST, f"k is {k}; this tenant has at most {max_k}")
    return k
