"""What is encoded without structs is byte for byte what msgspec makes of them."""

import tempfile
from datetime import UTC, datetime

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recsys import _native
from recsys.contracts.http import ListMeta, ListResponse, RankedItem
from recsys.contracts.pseudonym import pseudonym
from recsys.contracts.records import ExposedItem, Exposure
from recsys.ranking.provenance import Provenance, Versions

SOME_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@example({'a"\\/\b\f\n\r\t\x00\x1f\x7f\x80\u2028ü日🙂': 1e-7, "b": 1e16, "c": 5e-324})
@given(st.dictionaries(SOME_TEXT, st.floats(-1e100, 1e100), min_size=1, max_size=8))
def test_items_are_encoded_as_msgspec_encodes_the_structs(scores):
    with tempfile.TemporaryDirectory() as folder:
        _native.build_catalog(f"{folder}/catalog", list(scores))
        catalog = _native.Catalog.open(f"{folder}/catalog")
        packer = _native.SignalPacker(catalog, kind="popularity", key_type="segment")
        packer.push("s", list(scores), list(scores.values()))
        packer.finish(f"{folder}/popularity")
        signal = _native.Signal.open(f"{folder}/popularity")
        weights = {"weight": 1.0, "weight_group": "pop", "normalizer": "none"}
        plan = _native.Plan(catalog, [_native.Source("popularity", signal, key="s", **weights)])
        ranked = plan.rank(len(scores), 0)
        rows = list(zip(ranked.item_ids, range(7, 99), ranked.scores, strict=False))
        assert len(ranked) == len(rows) == len(scores)
    items = msgspec.json.encode([RankedItem(*row) for row in rows])
    assert ranked.encode_items(b"<", b">", first_rank=7) == b"<" + items + b">"
    exposed = msgspec.json.encode([ExposedItem(item_id, rank) for item_id, rank, _ in rows])
    assert ranked.encode_exposed(b"<", b">", first_rank=7) == b"<" + exposed + b">"


@given(SOME_TEXT, SOME_TEXT, SOME_TEXT, SOME_TEXT)
def test_provenance_begins_the_meta(tenant, surface, segment, version):
    versions = Versions("recsys-1", version, "r", "m")
    meta = ListMeta(tenant, surface, segment, "recsys-1", version, "r", "m", "id")
    members = Provenance(tenant, surface, versions).members(segment)
    assert b"{" + members + b',"request_id":"id"}' == msgspec.json.encode(meta)


@given(st.binary(max_size=200), st.text(st.characters(exclude_categories=["Cs"])))
def test_native_pseudonyms_are_those_of_the_contract(salt, user_id):
    assert _native.Pseudonyms(salt).of(user_id) == pseudonym(salt, user_id)


def test_a_body_is_what_its_structs_encode_to(client):
    answers = [
        client.recommend(),
        client.recommend(
            {"x_request_id": 'odd"\\id'}, segment='a "segment" ü', experiment={"id": "é", "variant": "b"}
        ),
        client.recommend(experiment={"id": "e"}, anchors={"item_ids": ["i00", "unknown"]}),
        client.recommend(constraints={"required_tags": ["no such tag"]}),
        client.similar("i00", k=None),
        client.recommend(k=2, page="first", experiment={"id": "e"}),
    ]
    for answer in answers:
        assert answer.status == 200
        assert msgspec.json.encode(msgspec.json.decode(answer.body, type=ListResponse)) == answer.body


def test_a_list_with_its_reasons_left_out_is_the_plain_list(client):
    headers = {"x_request_id": "r"}
    anchors = {"item_ids": ["i00"]}
    plain = client.recommend(headers, anchors=anchors)
    told = client.recommend(headers, anchors=anchors, options={"include_reasons": True, "explain": "full"})
    whole = msgspec.json.decode(told.body, type=ListResponse)
    items = [msgspec.structs.replace(item, reasons=None, explain=None) for item in whole.items]
    meta = msgspec.structs.replace(whole.meta, counts=None, filtered=None)
    assert msgspec.json.encode(ListResponse(items, meta, whole.warnings)) == plain.body


def test_an_exposure_is_what_its_struct_encodes_to(client):
    context = {"locale": 'de"AT', "device": "ü\n", "country": "AT", "now": "2026-01-31T12:00:00.5+02:00"}
    client.recommend({"x_request_id": '"\\'}, context=context, experiment={"id": 'é"', "variant": "b"})
    client.recommend(segment='"', constraints={"required_tags": ["no such tag"]})
    client.similar("i00")
    (part,) = (client.data_dir / "logs" / "exposures").glob("*.jsonl")
    lines = part.read_bytes().splitlines()
    assert len(lines) == 3
    for line in lines:
        assert msgspec.json.encode(msgspec.json.decode(line, type=Exposure)) == line
    assert msgspec.json.decode(lines[0])["context"]["experiment_id"] == 'é"'


@given(
    SOME_TEXT,
    st.integers(0, 253_402_300_799_999_999),
    st.floats(0, 1e6).map(lambda ms: round(ms, 3)),
    st.booleans(),
)
@example('odd"\\id', 0, 0.0, True)
@example("id", 999_999, 1e-3, False)
@example("id", 1_700_000_000_000_000, 1e5, False)
def test_the_frame_of_an_exposure_is_what_its_struct_encodes_to(request_id, at_us, latency_ms, is_error):
    second, micros = divmod(at_us, 1_000_000)
    moment = datetime.fromtimestamp(second, UTC).replace(microsecond=micros)
    exposure = Exposure(
        request_id, "aa", moment, [], context={"surface": "s"}, latency_ms=latency_ms, error=is_error
    )
    before, after = _native.frame_exposure(request_id, "aa", at_us, b'"surface":"s"', latency_ms, is_error)
    assert before + b"[]" + after == msgspec.json.encode(exposure) + b"\n"
