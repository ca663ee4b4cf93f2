"""Every operation of the API: its shapes, who may call it, and the problems that it may answer with.

The router and the OpenAPI document are both made from this table, so neither has what the other lacks.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from recsys.contracts import admin, http, rows
from recsys.contracts.config import TenantConfig
from recsys.contracts.events import EventsRequest, EventsResponse
from recsys.contracts.experiments import Experiment, ExperimentsDocument
from recsys.contracts.manifest import Manifest
from recsys.contracts.problems import ProblemCode
from recsys.contracts.rules import MAX_RULES, Rule
from recsys.control.keys import Role
from recsys.service.admin_audit import AuditQuery
from recsys.service.admin_documents import PageQuery, PutQuery, ShowQuery
from recsys.service.admin_signals import SignalsQuery
from recsys.service.auth import ADMINS, EDITORS, EVERY_ROLE, READERS
from recsys.service.console import CONSOLE_FILES
from recsys.service.transport import JSON_TYPE

Shape = object
"""What a body has to be: a struct, or a union of such."""

_RULES: Shape = Annotated[list[Rule], Meta(max_length=MAX_RULES)] | admin.RulesDocument
TENANT_PATH = "/v1/admin/tenants/{tenant_id}"
CONSOLE_PATH = "/console"


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path. A segment of the path in braces is a parameter.

    ``roles`` may call it, ``None`` is everybody; the parameter ``tenant_id`` has to be the caller's tenant.
    ``is_limited`` counts against the rate limits of the tenant. ``is_slow`` says that the handler may wait
    (for a disk, a network), so that it runs in a thread of its own. ``is_tagged`` says that the answer has an
    ``ETag``, and that ``If-Match`` and ``If-None-Match`` are heard.
    """

    method: str
    path: str
    summary: str
    body: Shape | None = None
    answer: Shape | None = None
    query: type[Struct] | None = None
    roles: frozenset[Role] | None = None
    problems: tuple[ProblemCode, ...] = ()
    media_type: str = JSON_TYPE
    is_limited: bool = False
    is_slow: bool = False
    is_tagged: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether this belongs to the admin API."""
        return self.path.startswith(TENANT_PATH)

    @property
    def is_console(self) -> bool:
        """Whether this belongs to the console, which is served where the admin API is."""
        return self.path.startswith(CONSOLE_PATH)


_CALLER = (
    ProblemCode.INVALID_REQUEST,
    ProblemCode.INVALID_TENANT,
    ProblemCode.AUTH_REQUIRED,
    ProblemCode.AUTH_INVALID,
    ProblemCode.FORBIDDEN,
    ProblemCode.TENANT_SCOPE_REQUIRED,
    ProblemCode.TENANT_SCOPE_MISMATCH,
    ProblemCode.TENANT_SCOPE_INVALID,
    ProblemCode.TENANT_NOT_FOUND,
    ProblemCode.INTERNAL,
    ProblemCode.OVERLOADED,
)
_BODY = (ProblemCode.PAYLOAD_TOO_LARGE, ProblemCode.UNSUPPORTED_MEDIA_TYPE)
_RANKING = (
    *_CALLER,
    *_BODY,
    ProblemCode.CONFIG_NOT_FOUND,
    ProblemCode.UNPROCESSABLE_ENTITY,
    ProblemCode.EXPLAIN_TOO_LARGE,
    ProblemCode.ARTIFACT_INCOMPATIBLE,
)


def _ranking(path: str, summary: str, body: type[Struct], answer: type[Struct]) -> Operation:
    return Operation(
        method="POST",
        path=path,
        summary=summary,
        body=body,
        answer=answer,
        roles=EVERY_ROLE,
        problems=(*_RANKING, ProblemCode.VERSION_MISMATCH),
        is_limited=True,
    )


def _admin(method: str, below: str, summary: str, **rest: object) -> Operation:
    changes = method != "GET"
    problems = (*_CALLER, *(_BODY if changes else ()), *rest.pop("problems", ()))  # type: ignore[misc]
    fields = {"roles": EDITORS if changes else READERS, "is_slow": True} | rest
    return Operation(
        method=method,
        path=f"{TENANT_PATH}/{below}",
        summary=summary,
        problems=problems,
        **fields,  # type: ignore[arg-type]
    )


def _documents(
    kind: str, shape: Shape, not_found: ProblemCode, invalid: ProblemCode
) -> tuple[Operation, ...]:
    stale = ProblemCode.VERSION_MISMATCH
    return (
        _admin(
            "GET",
            kind,
            f"The {kind} document",
            query=ShowQuery,
            answer=shape,
            problems=(not_found,),
            is_tagged=True,
        ),
        _admin(
            "PUT",
            kind,
            f"Make a {kind} document current",
            query=PutQuery,
            body=shape,
            answer=admin.RulesVersion if kind == "rules" else admin.DocumentVersion,
            problems=(invalid, stale),
            is_tagged=True,
        ),
        _admin(
            "GET",
            f"{kind}/versions",
            f"The versions of the {kind} document",
            query=PageQuery,
            answer=admin.DocumentHistory,
        ),
        _admin(
            "POST",
            f"{kind}/rollback",
            f"Make an earlier {kind} document current",
            body=admin.RollbackRequest,
            answer=admin.DocumentVersion,
            problems=(not_found, stale),
            is_tagged=True,
        ),
    )


def _experiment(action: str, summary: str, body: type[Struct] = admin.ExperimentChange) -> Operation:
    return _admin(
        "POST",
        f"experiments/{{experiment_id}}/{action}",
        summary,
        body=body,
        answer=admin.DocumentVersion,
        problems=(ProblemCode.NOT_FOUND, ProblemCode.UNPROCESSABLE_ENTITY, ProblemCode.VERSION_MISMATCH),
    )


def _signals(kind: str, body: Shape) -> Operation:
    return _admin(
        "PUT",
        f"signals/{kind}",
        f"Load {kind} rows",
        query=SignalsQuery,
        body=body,
        answer=rows.RowsLoaded,
    )


_RELEASE_PROBLEMS = (ProblemCode.CONFIG_NOT_FOUND, ProblemCode.ARTIFACT_INCOMPATIBLE)

OPERATIONS: tuple[Operation, ...] = (
    _ranking("/v1/recommend", "The best items for a user", http.RecommendRequest, http.ListResponse),
    _ranking(
        "/v1/recommend/validate",
        "The request as it would be ranked",
        http.RecommendRequest,
        http.ValidateResponse,
    ),
    _ranking("/v1/recommend/batch", "The lists of one page", http.BatchRequest, http.BatchResponse),
    _ranking("/v1/similar", "The best items beside one item", http.SimilarRequest, http.ListResponse),
    Operation(
        method="POST",
        path="/v1/events",
        summary="What users were shown and did",
        body=EventsRequest,
        answer=EventsResponse,
        roles=EVERY_ROLE,
        problems=(*_CALLER, *_BODY),
        is_limited=True,
    ),
    *_documents("config", TenantConfig, ProblemCode.CONFIG_NOT_FOUND, ProblemCode.INVALID_CONFIG),
    *_documents("rules", _RULES, ProblemCode.RULES_NOT_FOUND, ProblemCode.INVALID_RULES),
    *_documents("experiments", ExperimentsDocument, ProblemCode.NOT_FOUND, ProblemCode.INVALID_REQUEST),
    _admin(
        "POST",
        "experiments",
        "Keep an experiment as a draft",
        body=Experiment,
        answer=admin.DocumentVersion,
        problems=(ProblemCode.UNPROCESSABLE_ENTITY,),
    ),
    _experiment("start", "Let the arms of an experiment rank"),
    _experiment("stop", "End an experiment"),
    _experiment("kill", "Halt the arms of an experiment"),
    _experiment("resume", "Take the kill switch of an experiment back"),
    _experiment("ramp", "Change the share of users in an experiment", admin.RampRequest),
    _experiment("rollback", "Stop an experiment and take its rollback path"),
    _admin(
        "POST",
        "rules/preview",
        "A request before and after other rules",
        body=admin.PreviewRequest,
        answer=admin.PreviewResponse,
        problems=(
            ProblemCode.INVALID_RULES,
            ProblemCode.CONFIG_NOT_FOUND,
            ProblemCode.UNPROCESSABLE_ENTITY,
            ProblemCode.EXPLAIN_TOO_LARGE,
            ProblemCode.ARTIFACT_INCOMPATIBLE,
        ),
    ),
    _admin(
        "POST",
        "preview",
        "A request ranked by two sets of versions",
        body=admin.CompareRequest,
        answer=admin.PreviewResponse,
        roles=READERS,  # changes nothing, and shows nothing that a reader may not read
        problems=(
            ProblemCode.INVALID_CONFIG,
            ProblemCode.INVALID_RULES,
            ProblemCode.CONFIG_NOT_FOUND,
            ProblemCode.RULES_NOT_FOUND,
            ProblemCode.UNPROCESSABLE_ENTITY,
            ProblemCode.EXPLAIN_TOO_LARGE,
            ProblemCode.ARTIFACT_INCOMPATIBLE,
        ),
    ),
    _admin("GET", "status", "Who asks, and what serves each surface", answer=admin.TenantStatus),
    _admin(
        "GET",
        "manifests/{surface}",
        "The manifest that a surface serves",
        answer=Manifest,
        problems=_RELEASE_PROBLEMS,
        is_tagged=True,
    ),
    _admin(
        "GET",
        "manifests/{surface}/versions",
        "The releases of a surface",
        query=PageQuery,
        answer=admin.ReleaseHistory,
        problems=_RELEASE_PROBLEMS,
    ),
    _admin(
        "POST",
        "manifests/{surface}/rollback",
        "Point at an earlier release",
        body=admin.RollbackRequest,
        answer=Manifest,
        problems=(*_RELEASE_PROBLEMS, ProblemCode.VERSION_MISMATCH),
        is_tagged=True,
    ),
    _admin(
        "POST",
        "cache/invalidate",
        "Compile a tenant anew in every worker",
        body=admin.InvalidateRequest,
        answer=admin.InvalidateResponse,
        problems=(ProblemCode.INVALID_TARGETS,),
    ),
    _signals("catalog", list[rows.CatalogRow]),
    _signals("popularity", list[rows.PopularityRow]),
    _signals("cooc", list[rows.CoocRow]),
    _admin(
        "DELETE",
        "users/{pseudonym}",
        "Erase a user",
        answer=admin.ErasedUser,
        roles=ADMINS,
        problems=(ProblemCode.VERSION_MISMATCH, ProblemCode.ARTIFACT_INCOMPATIBLE),
    ),
    _admin("GET", "audit", "Who changed what", query=AuditQuery, answer=admin.AuditPage),
    Operation(method="GET", path="/livez", summary="The process answers", answer=http.HealthResponse),
    Operation(
        method="GET", path="/readyz", summary="What serving needs is there", answer=http.HealthResponse
    ),
    Operation(method="GET", path="/healthz", summary="The same as /readyz", answer=http.HealthResponse),
    Operation(method="GET", path="/version", summary="What runs", answer=http.VersionResponse),
    Operation(method="GET", path="/metrics", summary="Prometheus metrics", media_type="text/plain"),
    Operation(method="GET", path="/openapi.json", summary="This document", is_slow=True),
    Operation(
        method="GET",
        path="/recsys-events.js",
        summary="The script with which web pages send events",
        media_type="text/javascript",
    ),
    Operation(method="GET", path=CONSOLE_PATH, summary="The admin console", media_type="text/html"),
    *(
        Operation(
            method="GET",
            path=f"{CONSOLE_PATH}/{name}",
            summary="A part of the admin console",
            media_type=media_type.partition(";")[0],
        )
        for name, media_type in CONSOLE_FILES.items()
    ),
    Operation(method="GET", path="/docs", summary="This document, for people", media_type="text/html"),
)
