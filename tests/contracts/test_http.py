"""The limits that the bodies of the API state, each at its edge and one beyond."""

import re

import msgspec
import pytest

from recsys.contracts.http import RecommendRequest, SimilarRequest
from recsys.contracts.problems import STATUS_AND_TITLE, ProblemCode, make_problem

EDGES = [
    ("k", 1, 0),
    ("k", 200, 201),
    ("segment", "s" * 128, "s" * 129),
    ("segment", "s", ""),
    ("surface", "s" * 128, "s" * 129),
    ("anchors.item_ids", ["i"] * 50, ["i"] * 51),
    ("anchors.item_ids", ["i"], [""]),
    ("anchors.max_anchors", 1, 0),
    ("anchors.max_anchors", 50, 51),
    ("candidates.include_ids", ["i"] * 5000, ["i"] * 5001),
    ("candidates.exclude_ids", ["i"] * 5000, ["i"] * 5001),
    ("constraints.required_tags", ["t"] * 200, ["t"] * 201),
    ("constraints.forbidden_tags", ["t"] * 200, ["t"] * 201),
    ("constraints.max_per_tag", {"t": 0}, {"t": -1}),
    (
        "constraints.max_per_tag",
        {f"t{n}": 1 for n in range(200)},
        {f"t{n}": 1 for n in range(201)},
    ),
    ("weights.pop", 0.0, -0.001),
    ("weights.cooc", 0.0, -0.001),
    ("weights.emb", 0.0, -0.001),
    ("options.explain", "full", "all"),
    ("options.seed", 2**63 - 1, 2**63),
    ("options.seed", -(2**63), -(2**63) - 1),
    ("context.now", "2026-01-31T12:00:00+01:00", "2026-01-31T12:00:00"),
    ("experiment.id", "e", ""),
]


def body(path: str, value: object) -> bytes:
    """Return a recommend request whose field at ``path`` is ``value``."""
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return msgspec.json.encode({"surface": "home"} | value)


@pytest.mark.parametrize(("path", "last", "beyond"), EDGES)
def test_a_limit_holds_at_its_edge_and_names_its_field_beyond(path, last, beyond):
    decoder = msgspec.json.Decoder(RecommendRequest)
    decoder.decode(body(path, last))
    with pytest.raises(msgspec.MsgspecError, match=re.escape(f"$.{path}")):
        decoder.decode(body(path, beyond))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\n", "a\x00b", "\x7f"])
def test_a_surface_is_one_path_segment(name):
    with pytest.raises(msgspec.ValidationError, match=r"\$\.surface"):
        msgspec.json.decode(body("surface", name), type=RecommendRequest)


@pytest.mark.parametrize("name", ["home", "...", ".hidden", "product page", "größe", "a.b"])
def test_a_surface_may_be_any_other_word(name):
    assert msgspec.json.decode(body("surface", name), type=RecommendRequest).surface == name


@pytest.mark.parametrize(
    "path", ["", "user.", "context.", "anchors.", "candidates.", "constraints.", "weights.", "options."]
)
def test_unknown_fields_are_refused_at_every_level(path):
    with pytest.raises(msgspec.ValidationError, match="unknown field `extra`"):
        msgspec.json.decode(body(f"{path}extra", 1), type=RecommendRequest)


@pytest.mark.parametrize("field", ["user", "anchors"])
def test_similar_takes_an_item_in_place_of_user_and_anchors(field):
    msgspec.json.decode(b'{"surface": "home", "item_id": "i"}', type=SimilarRequest)
    with pytest.raises(msgspec.ValidationError, match="item_id"):
        msgspec.json.decode(b'{"surface": "home"}', type=SimilarRequest)
    with pytest.raises(msgspec.ValidationError, match=f"unknown field `{field}`"):
        msgspec.convert({"surface": "home", "item_id": "i", field: {}}, SimilarRequest)


def test_weights_that_are_not_given_are_zero():
    weights = msgspec.json.decode(body("weights.cooc", 1), type=RecommendRequest).weights
    assert weights is not None
    assert (weights.pop, weights.cooc, weights.emb) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize("code", ProblemCode)
def test_every_problem_code_has_a_status_and_a_title(code):
    problem = make_problem(code, "why", instance="/v1/recommend", request_id="r")
    assert (problem.status, problem.title) == STATUS_AND_TITLE[code]
    assert 400 <= problem.status < 600
    assert problem.type == f"/docs#{code}"
