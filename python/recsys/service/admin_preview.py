"""Tries documents that are not current: one request, ranked twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

from recsys.contracts.admin import CompareRequest, PreviewRequest, Side
from recsys.contracts.config import parse_config, read_config
from recsys.contracts.documents import InvalidDocument, canonical_json, parse_json, version_of
from recsys.contracts.problems import ProblemCode
from recsys.contracts.rules import RuleWarning, parse_rules, read_rules
from recsys.control.store import NotFoundError
from recsys.control.versions import StoredDocument
from recsys.service.bodies import decode_body
from recsys.service.lists import Lists
from recsys.service.problems import ProblemError
from recsys.service.rule_warnings import rule_warnings
from recsys.service.state import State
from recsys.service.tenants import ServedTenant
from recsys.service.transport import Request, Response, json_response

T = TypeVar("T")
RankingKind = Literal["config", "rules"]
_INVALID: dict[RankingKind, ProblemCode] = {
    "config": ProblemCode.INVALID_CONFIG,
    "rules": ProblemCode.INVALID_RULES,
}
_MISSING: dict[RankingKind, ProblemCode] = {
    "config": ProblemCode.CONFIG_NOT_FOUND,
    "rules": ProblemCode.RULES_NOT_FOUND,
}


class AdminPreview:
    """The handlers of ``rules/preview`` and ``preview``."""

    def __init__(self, state: State, lists: Lists) -> None:
        self._state = state
        self._lists = lists
        self._decoder = msgspec.json.Decoder(PreviewRequest)
        self._compare = msgspec.json.Decoder(CompareRequest)

    def preview(self, request: Request) -> Response:
        """Rank a request twice. Nothing is stored, logged or counted."""
        body = decode_body(request, self._decoder)
        tenant = self._state.tenant(request.principal.tenant_id)
        rules, version = _read_draft(body.rules, "rules", read_rules)
        now = tenant.snapshot(body.request.surface)
        tried = now.with_rules(rules, version)
        changed = msgspec.structs.replace(tenant, snapshots={**tenant.snapshots, now.surface: tried})
        before, after = (
            msgspec.Raw(self._lists.try_out(body.request, one, request.principal, request.request_id))
            for one in (tenant, changed)
        )
        return json_response(200, _Encoded(before, after, rule_warnings(tenant, rules)))

    def compare(self, request: Request) -> Response:
        """Rank a request with two sets of versions. Experiments take no part: the versions alone rank."""
        tenant = self._state.tenant(request.principal.tenant_id)
        body = decode_body(request, self._compare)
        before, after = (
            msgspec.Raw(
                self._lists.try_out(
                    body.request,
                    self._as_said(tenant, body.request.surface, side, at),
                    request.principal,
                    request.request_id,
                )
            )
            for at, side in (("before", body.before), ("after", body.after))
        )
        return json_response(200, _Encoded(before, after, _draft_warnings(tenant, body)))

    def _as_said(self, tenant: ServedTenant, surface: str, side: Side, at: str) -> ServedTenant:
        """Return the tenant as it would be with the documents of a side, and without experiments."""
        now = tenant.snapshot(surface)
        documents, versions = tenant.documents, now.versions
        for kind in ("config", "rules"):
            is_drafted = getattr(side, kind) is not msgspec.UNSET
            if is_drafted and getattr(side, f"{kind}_version") is not None:
                raise ProblemError(ProblemCode.INVALID_REQUEST, f"{at}: give either {kind} or {kind}_version")
        if side == Side():
            return msgspec.structs.replace(tenant, experiments={})
        config, config_version = now.config, versions.config_version
        rules, rules_version = documents.rules, documents.rules_version
        if side.config is not msgspec.UNSET:
            config, config_version = _read_draft(side.config, "config", read_config)
        elif side.config_version not in (None, config_version):
            data = self._stored(tenant.name, "config", side.config_version, at)
            config, config_version = _parse(parse_config, data, "config"), data.revision.version
        if side.rules is not msgspec.UNSET:
            rules, rules_version = _read_draft(side.rules, "rules", read_rules)
        elif side.rules_version not in (None, rules_version):
            data = self._stored(tenant.name, "rules", side.rules_version, at)
            rules, rules_version = _parse(parse_rules, data, "rules"), data.revision.version
        if (config_version, rules_version) != (versions.config_version, versions.rules_version):
            now = now.with_documents(config, config_version, rules, rules_version)
        return msgspec.structs.replace(tenant, snapshots={**tenant.snapshots, surface: now}, experiments={})

    def _stored(self, tenant_id: str, kind: RankingKind, version: str | None, at: str) -> StoredDocument:
        try:
            return self._state.plane.document(tenant_id, kind, version)
        except NotFoundError as error:
            raise ProblemError(_MISSING[kind], f"{at}.{kind}_version: {error}") from error


def _read_draft(data: msgspec.Raw, kind: RankingKind, read: Callable[[object], T]) -> tuple[T, str]:
    """Return a document that is not put, and the version that it would have."""
    try:
        document = parse_json(bytes(data), kind)
        return read(document), version_of(canonical_json(document))
    except InvalidDocument as error:
        raise ProblemError(_INVALID[kind], str(error)) from error


def _draft_warnings(tenant: ServedTenant, body: CompareRequest) -> list[RuleWarning]:
    """Return what is odd about the rules of a comparison that are not put, each warning once."""
    found: dict[RuleWarning, None] = {}
    for side in (body.before, body.after):
        if side.rules is not msgspec.UNSET:
            rules, _ = _read_draft(side.rules, "rules", read_rules)
            found.update(dict.fromkeys(rule_warnings(tenant, rules)))
    return list(found)


def _parse(parse: Callable[[bytes], T], stored: StoredDocument, kind: RankingKind) -> T:
    """Return a document of the history; one of an earlier release may not be valid any more."""
    try:
        return parse(stored.data)
    except InvalidDocument as error:
        raise ProblemError(_INVALID[kind], f"version {stored.revision.version}: {error}") from error


class _Encoded(msgspec.Struct, frozen=True, omit_defaults=True):
    """A :class:`~recsys.contracts.admin.PreviewResponse` whose lists are encoded already."""

    before: msgspec.Raw
    after: msgspec.Raw
    warnings: list[RuleWarning] = []
