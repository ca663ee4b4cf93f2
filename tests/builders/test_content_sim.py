"""Likeness by content against TF-IDF and cosine in plain Python."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import _native
from recsys.contracts.errors import BuildError

Item = tuple[str | None, list[str], str | None, str | None]


def build(items: list[Item], folder: Path, **params) -> tuple[_native.Catalog, _native.Signal]:
    ids = [f"i{n:03d}" for n in range(len(items))]
    titles, tags, brands, categories = (list(column) for column in zip(*items, strict=True))
    _native.build_catalog(
        str(folder / "catalog"), ids, titles=titles, tags=tags, brands=brands, categories=categories
    )
    catalog = _native.Catalog.open(str(folder / "catalog"))
    _native.build_content_sim(str(folder / "signal"), catalog, scratch_dir=str(folder), threads=2, **params)
    return catalog, _native.Signal.open(str(folder / "signal"))


def by_definition(items: list[Item]) -> dict[str, dict[str, float]]:
    counts = []
    for title, tags, brand, category in items:
        terms = Counter(("word", word) for word in re.findall(r"[^\W_]+", (title or "").lower()))
        terms.update(("tag", tag) for tag in set(tags))
        terms.update({("brand", brand)} if brand else ())
        terms.update({("category", category)} if category else ())
        counts.append(terms)
    frequency = Counter(term for terms in counts for term in terms)
    vectors = []
    for terms in counts:
        vector = {t: n * (math.log((1 + len(items)) / (1 + frequency[t])) + 1) for t, n in terms.items()}
        norm = math.sqrt(sum(value * value for value in vector.values()))
        vectors.append({term: value / norm for term, value in vector.items()})
    lists: dict[str, dict[str, float]] = {}
    for a, x in enumerate(vectors):
        likeness = {
            f"i{b:03d}": sum(x[t] * y.get(t, 0.0) for t in x) for b, y in enumerate(vectors) if b != a
        }
        lists[f"i{a:03d}"] = {item: score for item, score in likeness.items() if score > 0}
    return lists


WORDS = st.sampled_from(["red", "Blue", "shoe", "BOOT", "42"])
ITEMS = st.lists(
    st.tuples(
        st.none() | st.lists(WORDS, min_size=1, max_size=4).map("-".join),
        st.lists(st.sampled_from(["t1", "t2", "red"]), max_size=2),
        st.none() | st.sampled_from(["acme", "red"]),
        st.none() | st.sampled_from(["c1", "c2"]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(items=ITEMS)
def test_lists_are_those_of_the_definition(tmp_path_factory: pytest.TempPathFactory, items) -> None:
    catalog, signal = build(items, tmp_path_factory.mktemp("content"))
    assert signal.kind == "content_sim"
    for item, expected in by_definition(items).items():
        ranked = signal.ranked(catalog, item, 100) or []
        assert dict(ranked) == pytest.approx(expected, rel=1e-6)
        assert ranked == sorted(ranked, key=lambda entry: (-entry[1], entry[0]))


def test_common_terms_say_nothing(tmp_path: Path) -> None:
    items: list[Item] = [(None, ["all", f"pair{n // 2}"], None, None) for n in range(300)]
    catalog, signal = build(items, tmp_path, max_share=0.5)
    assert signal.ranked(catalog, "i000", 10) == [("i001", 1.0)]


def test_threads_do_not_change_a_byte(tmp_path: Path) -> None:
    items: list[Item] = [
        (f"w{n % 7} w{n % 11} w{n % 13}", [f"t{n % 5}"], f"b{n % 3}", None) for n in range(700)
    ]
    catalog, _ = build(items, tmp_path)
    whole = (tmp_path / "signal").read_bytes()
    for threads in (1, 3):
        path = tmp_path / f"signal{threads}"
        _native.build_content_sim(str(path), catalog, scratch_dir=str(tmp_path), threads=threads)
        assert path.read_bytes() == whole


@pytest.mark.parametrize(("params", "name"), [({"top_n": 0}, "top_n"), ({"max_share": 0.0}, "max_share")])
def test_parameters_out_of_range_are_named(tmp_path: Path, params, name: str) -> None:
    with pytest.raises(BuildError, match=f"{name}: must be"):
        build([("a", [], None, None)], tmp_path, **params)
