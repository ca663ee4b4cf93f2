"""The bodies of the admin API, under ``/v1/admin/tenants/{tenant_id}``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from recsys.contracts.http import ListResponse, Name, RecommendRequest
from recsys.contracts.rules import MAX_RULES, Rule, RuleWarning

MAX_COMMENT = 500
DEFAULT_PAGE = 100
MAX_PAGE = 1000

Version = Annotated[str, Meta(min_length=1, max_length=128, description="A version of the history.")]
Comment = Annotated[
    str, Meta(max_length=MAX_COMMENT, description="Why; kept in the history and the audit trail.")
]
InvalidateTarget = Literal["rules", "config", "popularity"]


class RulesDocument(Struct, frozen=True, forbid_unknown_fields=True):
    """The other form of a rules document, beside a bare array of rules."""

    rules: Annotated[list[Rule], Meta(max_length=MAX_RULES)]


class RollbackRequest(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """``{}`` for the version before the current one, or the version to go back to."""

    to: Version | None = None
    comment: Comment = ""


class ExperimentChange(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Starts, stops, halts, resumes or rolls back an experiment; ``{}`` says no more."""

    comment: Comment = ""


class RampRequest(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The share of the eligible users who take part from now on."""

    traffic_share: Annotated[float, Meta(ge=0.0, le=1.0)]
    comment: Comment = ""


class ErasedUser(Struct, frozen=True):
    """What was removed of a user; ``subject`` is how the audit trail names the user from now on."""

    subject: str
    log_records: int
    signals: int
    releases: int
    comments: int
    audit_entry: int


class DocumentVersion(Struct, frozen=True):
    """One version of a document: what a ``PUT`` made, by whom, when and why."""

    version: str
    number: int
    author: str
    comment: str
    time: datetime
    is_current: bool


class RulesVersion(DocumentVersion, frozen=True, omit_defaults=True):
    """The version of the rules that a ``PUT`` made, with what is odd about it."""

    warnings: list[RuleWarning] = []


class DocumentHistory(Struct, frozen=True):
    """The versions of a document, newest first."""

    versions: list[DocumentVersion]


class ReleaseVersion(Struct, frozen=True):
    """One release of a surface."""

    version: str
    parent: str | None
    updated_at: datetime
    kinds: list[str]
    is_current: bool


class ReleaseHistory(Struct, frozen=True):
    """The releases of a surface, newest first."""

    versions: list[ReleaseVersion]


class InvalidateRequest(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What every worker shall read and compile anew."""

    targets: Annotated[list[InvalidateTarget], Meta(min_length=1, max_length=3)]
    surface: Name | None = None


class InvalidateResponse(Struct, frozen=True):
    """What was asked for; done once ``/version`` of a worker tells this generation, or a later one."""

    targets: list[InvalidateTarget]
    surface: str | None
    generation: int


class AuditRecord(Struct, frozen=True, omit_defaults=True):
    """One change. ``before`` and ``after`` name versions or states, for operators and admins alone."""

    id: int
    time: datetime
    actor: str
    action: str
    subject: str
    comment: str
    hash: str
    before: str | None = None
    after: str | None = None


class AuditPage(Struct, frozen=True):
    """Entries, newest first. ``next_before_id`` gives the page after this one, ``null`` if there is none."""

    entries: list[AuditRecord]
    next_before_id: int | None


class PreviewRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A rules document that is not put, and a request to try it on."""

    rules: Annotated[
        msgspec.Raw, Meta(description="A rules document: an array of rules, or an object with `rules`.")
    ]
    request: RecommendRequest


class Side(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one list of a comparison is ranked with: versions of the history, or documents that are not put.

    What is not given is as it is served now.
    """

    config_version: Version | None = None
    rules_version: Version | None = None
    config: Annotated[
        msgspec.Raw | msgspec.UnsetType,
        Meta(description="A config document, in place of `config_version`."),
    ] = msgspec.UNSET
    rules: Annotated[
        msgspec.Raw | msgspec.UnsetType,
        Meta(description="A rules document, in place of `rules_version`."),
    ] = msgspec.UNSET


class CompareRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to rank twice."""

    request: RecommendRequest
    before: Side = Side()
    after: Side = Side()


class SurfaceStatus(Struct, frozen=True):
    """What serves one surface in the worker that answers; ``failure`` says why nothing newer does.

    The versions are empty, and the times ``null``, while nothing is served. ``schedule_hours`` is how often
    a release is meant to be published, where the config says so.
    """

    surface: str
    config_version: str
    rules_version: str
    manifest_version: str
    released_at: datetime | None
    compiled_at: datetime | None
    signals: list[str]
    failure: str
    schedule_hours: float | None = None


class TenantStatus(Struct, frozen=True):
    """Who asks, and what is served to them; ``time`` is the clock of the service."""

    tenant_id: str
    subject: str
    roles: list[str]
    time: datetime
    surfaces: list[SurfaceStatus]


class PreviewResponse(Struct, frozen=True, omit_defaults=True):
    """The list as it is served now, and as it would be. Nothing was stored or logged.

    ``warnings`` are about the rules that are not put: what a ``PUT`` of them would answer with.
    """

    before: ListResponse
    after: ListResponse
    warnings: list[RuleWarning] = []
