"""Session nearest neighbours: the search of the paper, what stays out, and what is refused."""

import heapq
import math
import random
from array import array
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys import _native
from recsys.contracts.errors import ServingError
from recsys.ranking.reference_sessions import Sessions

IDS = [f"item-{n:02}" for n in range(30)]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> _native.Catalog:
    path = tmp_path_factory.mktemp("catalog") / "catalog.bin"
    _native.build_catalog(str(path), IDS)
    return _native.Catalog.open(str(path))


def index_of(catalog: _native.Catalog, sessions: list[list[str]], path: Path) -> _native.SessionIndex:
    """Build an index of sessions, the latest first."""
    builder = _native.SessionKnnBuilder(catalog, memory_bytes=1 << 20, scratch_dir=str(path.parent))
    rows = [(number, item) for number, session in enumerate(sessions) for item in session]
    builder.push(
        array("Q", [number for number, _ in rows]),
        array("I", [IDS.index(item) for _, item in rows]),
        array("q", [-number for number, _ in rows]),
        array("f", [1.0 for _ in rows]),
    )
    builder.finish(str(path))
    return _native.SessionIndex.open(str(path))


def source_of(index: _native.SessionIndex, m: int, k: int, last: int, **fields: object) -> _native.Source:
    chosen: dict[str, object] = {"weight": 1.0, "weight_group": "cooc", "normalizer": "none"}
    return _native.Source.of_sessions(
        "session_knn", index, recent_sessions=m, neighbors=k, last_items=last, **{**chosen, **fields}
    )


def published(sessions: list[list[str]], current: list[str], m: int, k: int) -> dict[str, float]:
    """VMIS-kNN step by step, with its hash map of similarities and its heap of times (the oldest on top).

    ``current`` is latest first; times are distinct.
    """
    postings = {item: [n for n, session in enumerate(sessions) if item in session] for item in IDS}
    similarities: dict[int, float] = {}
    heap: list[int] = []  # a session's time is the negative of its number
    for position, item in enumerate(current):
        decay = (len(current) - position) / len(current)
        for session in postings[item]:
            if session in similarities:
                similarities[session] += decay
            elif len(similarities) < m:
                similarities[session] = decay
                heapq.heappush(heap, -session)
            elif -session > heap[0]:
                del similarities[-heapq.heapreplace(heap, -session)]
                similarities[session] = decay
            else:
                break
    neighbours = heapq.nlargest(k, similarities, key=lambda n: (round(similarities[n], 9), -n))
    scores: Counter[str] = Counter()
    for session in neighbours:
        latest = next(place for place, item in enumerate(current, 1) if item in sessions[session])
        for item in sessions[session]:
            idf = math.log(len(sessions) / len(postings[item]))
            scores[item] += similarities[session] * (1 - 0.1 * latest) * idf
    return {item: score for item, score in scores.items() if item not in current}


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    m=st.integers(1, 40),
    k=st.integers(1, 20),
    current=st.lists(st.sampled_from(IDS), min_size=1, max_size=9, unique=True),
)
def test_scores_are_those_of_the_published_algorithm(
    catalog: _native.Catalog, tmp_path_factory: pytest.TempPathFactory, seed: int, m: int, k: int, current
) -> None:
    rng = random.Random(seed)
    sessions = [rng.sample(IDS[: rng.choice([8, 30])], rng.randint(2, 8)) for _ in range(rng.randint(0, 60))]
    expected = published(sessions, current, m, k)
    by_definition = Sessions([frozenset(one) for one in sessions], m, k, len(current)).raws(current)
    assert by_definition == pytest.approx(expected)
    index = index_of(catalog, sessions, tmp_path_factory.mktemp("knn") / "index.bin")
    ranked = _native.Plan(catalog, [source_of(index, m, k, len(current))]).rank(50, 0, anchors=current)
    assert dict(zip(ranked.item_ids, ranked.scores, strict=True)) == by_definition


def test_only_the_last_items_count_and_no_anchor_comes_back(catalog: _native.Catalog, tmp_path: Path) -> None:
    a, b, c, d = IDS[:4]
    index = index_of(catalog, [[a, b], [c, d, a], [b, d]], tmp_path / "index.bin")
    plan = _native.Plan(catalog, [source_of(index, 9, 9, 1)])
    assert plan.rank(9, 0, anchors=[a]).item_ids == [c, b, d]
    assert plan.rank(9, 0, anchors=[a, c]).item_ids == [b, d]
    assert plan.rank(9, 0, anchors=["unknown", a]).item_ids == []
    assert plan.rank(9, 0, anchors=["unknown", a]).source_keys == [("session_knn", 1, 0)]
    of_two = _native.Plan(catalog, [source_of(index, 9, 9, 2)])
    assert of_two.rank(9, 0, anchors=["unknown", a]).item_ids == [c, b, d]
    # An anchor does not set the scale either.
    scaled = _native.Plan(catalog, [source_of(index, 9, 9, 1, normalizer="max")]).rank(9, 0, anchors=[a])
    assert scaled.scores[0] == 1.0


def test_ranked_of_an_item_is_a_session_of_it(catalog: _native.Catalog, tmp_path: Path) -> None:
    a, b, c, d = IDS[:4]
    index = index_of(catalog, [[a, b], [a, b, c], [c, d]], tmp_path / "index.bin")
    ranked = index.ranked(catalog, a, 9)
    by_definition = Sessions([frozenset([a, b]), frozenset([a, b, c]), frozenset([c, d])], 9, 9, 1).raws([a])
    assert ranked == sorted(by_definition.items(), key=lambda entry: -entry[1])
    assert index.ranked(catalog, a, 1) == (ranked or [])[:1]
    assert index.ranked(catalog, IDS[9], 9) == []
    assert index.ranked(catalog, "unknown", 9) is None


@pytest.mark.parametrize(
    ("m", "k", "last", "message"),
    [
        (0, 1, 1, r"source session_knn: recent_sessions: 0 is not in 1..100000"),
        (1, 0, 1, r"neighbors: 0 is not in"),
        (1, 100_001, 1, r"neighbors: 100001 is not in"),
        (1, 1, 10, r"last_items: 10 is not in 1..9"),
    ],
)
def test_numbers_out_of_range_are_named(
    catalog: _native.Catalog, tmp_path: Path, m: int, k: int, last: int, message: str
) -> None:
    index = index_of(catalog, [IDS[:2]], tmp_path / "index.bin")
    with pytest.raises(ServingError, match=message):
        _native.Plan(catalog, [source_of(index, m, k, last)])


def test_an_index_of_another_catalog_is_refused(catalog: _native.Catalog, tmp_path: Path) -> None:
    index = index_of(catalog, [IDS[:2]], tmp_path / "index.bin")
    _native.build_catalog(str(tmp_path / "other.bin"), IDS[:5])
    other = _native.Catalog.open(str(tmp_path / "other.bin"))
    with pytest.raises(Exception, match="built for the catalog with ids"):
        _native.Plan(other, [source_of(index, 1, 1, 1)])
