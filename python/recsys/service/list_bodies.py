"""The body of a ranked list.

A plain list, which is nearly every one, is encoded by the ranker itself, beside members that the snapshot
keeps encoded. One with reasons, explanations or a trace is built from structs. Both give the same bytes for
the same list.
"""

from __future__ import annotations

import msgspec

from recsys.contracts.http import ListMeta, ListResponse, ListWarning, RankedItem
from recsys.service.explanations import explain_filtered, explain_items
from recsys.service.list_ranking import RankedList
from recsys.service.queries import Query

_ENCODER = msgspec.json.Encoder()


def encode_list(query: Query, made: RankedList, warnings: list[ListWarning], request_id: str) -> bytes:
    """Return the JSON of the :class:`ListResponse`."""
    options = query.request.options
    if options.include_reasons or options.explain != "none" or options.include_trace:
        return _ENCODER.encode(build_list(query, made, warnings, request_id))
    treatment = query.treatment
    after = (
        b',"meta":{',
        query.snapshot.provenance.members(query.segment),
        b',"request_id":',
        _ENCODER.encode(request_id),
        b"" if treatment.told is None else b',"experiment":' + treatment.told_json,
        query.snapshot.provenance.added_members,
        b"" if made.next_page is None else b',"next_page":"%b"' % made.next_page.encode(),
        b'},"warnings":',
        _ENCODER.encode(warnings) if warnings else b"[]",
        b"}",
    )
    return made.served.encode_items(b'{"items":', b"".join(after), first_rank=query.first_rank)


def build_list(query: Query, made: RankedList, warnings: list[ListWarning], request_id: str) -> ListResponse:
    """Return the response with everything that the options ask for."""
    options, served, ranked = query.request.options, made.served, made.ranked
    ranks = range(query.first_rank, query.first_rank + len(served))
    items = list(map(RankedItem, served.item_ids, ranks, served.scores))
    if options.include_reasons:
        items = [
            msgspec.structs.replace(item, reasons=reasons)
            for item, reasons in zip(items, served.reasons, strict=True)
        ]
    if options.explain != "none":
        explained = explain_items(served, is_full=options.explain == "full")
        items = [
            msgspec.structs.replace(item, explain=explanation)
            for item, explanation in zip(items, explained, strict=True)
        ]
    meta = msgspec.structs.replace(make_meta(query, request_id), next_page=made.next_page)
    if options.include_trace or options.explain == "full":
        counts = {f"filtered.{name}": count for name, count in sorted(ranked.filtered.items())}
        counts |= {f"candidates.{name}": count for name, count in ranked.candidates}
        meta = msgspec.structs.replace(meta, counts=counts)
    if options.explain == "full":
        meta = msgspec.structs.replace(meta, filtered=explain_filtered(ranked))
    if options.include_trace:
        timings = {stage: micros / 1000 for stage, micros in ranked.stage_us.items()}
        meta = msgspec.structs.replace(meta, timings_ms=timings)
    return ListResponse(items, meta, warnings)


def make_meta(query: Query, request_id: str) -> ListMeta:
    """Return what ranks a query."""
    snapshot, versions = query.snapshot, query.snapshot.versions
    return ListMeta(
        tenant_id=snapshot.tenant,
        surface=snapshot.surface,
        segment=query.segment,
        algo_version=versions.algo_version,
        config_version=versions.config_version,
        rules_version=versions.rules_version,
        manifest_version=versions.manifest_version,
        request_id=request_id,
        experiment=query.treatment.told,
        fresh_version=versions.fresh_version,
        blocks_version=versions.blocks_version,
    )
