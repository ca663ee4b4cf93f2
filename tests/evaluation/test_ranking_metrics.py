from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from itertools import combinations

import numpy as np
import pytest

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.offline_metrics import score_lists
from recsys.evaluation.ranking_metrics.average_precision import average_precision
from recsys.evaluation.ranking_metrics.coverage import coverage
from recsys.evaluation.ranking_metrics.f1 import f1
from recsys.evaluation.ranking_metrics.gini import gini
from recsys.evaluation.ranking_metrics.hit_rate import hit_rate
from recsys.evaluation.ranking_metrics.intra_list_diversity import intra_list_diversity
from recsys.evaluation.ranking_metrics.judged import judge
from recsys.evaluation.ranking_metrics.listed import list_items
from recsys.evaluation.ranking_metrics.ndcg import ndcg
from recsys.evaluation.ranking_metrics.novelty import novelty
from recsys.evaluation.ranking_metrics.personalisation import personalisation
from recsys.evaluation.ranking_metrics.popularity_bias import popularity_bias
from recsys.evaluation.ranking_metrics.precision import precision
from recsys.evaluation.ranking_metrics.r_precision import r_precision
from recsys.evaluation.ranking_metrics.rbp import rbp
from recsys.evaluation.ranking_metrics.recall import recall
from recsys.evaluation.ranking_metrics.reciprocal_rank import reciprocal_rank

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ir_measures

K = 5


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_ir_measures(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = [f"i{n:02d}" for n in range(30)]
    lists = [list(rng.permutation(items)[: rng.integers(1, 15)]) for _ in range(25)]
    grades = [
        {str(item): float(rng.integers(1, 4)) for item in rng.permutation(items)[: rng.integers(1, 8)]}
        for _ in lists
    ]
    judged = judge(lists, grades)
    run = {f"q{q}": {str(i): 1.0 / (r + 1) for r, i in enumerate(listed)} for q, listed in enumerate(lists)}
    qrels = {f"q{q}": {i: int(g) for i, g in graded.items()} for q, graded in enumerate(grades)}
    ours = {
        ir_measures.P @ K: precision(judged, K, divide_by_k=True),
        ir_measures.R @ K: recall(judged, K),
        ir_measures.AP @ K: average_precision(judged, K),
        ir_measures.RR @ K: reciprocal_rank(judged, K),
        ir_measures.nDCG @ K: ndcg(judged, K, graded=True),
        ir_measures.Rprec: r_precision(judged),
        ir_measures.Success @ K: hit_rate(judged, K),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ir_measures.calc_aggregate(list(ours), qrels, run)
    for measure, values in ours.items():
        assert values.mean() == pytest.approx(theirs[measure]), str(measure)


def test_precision_of_a_short_list_divides_by_its_length_unless_by_k() -> None:
    judged = judge([["a", "b"], []], [{"a": 1.0}, {"a": 1.0}])
    assert precision(judged, 5).tolist() == [0.5, 0.0]
    assert precision(judged, 5, divide_by_k=True).tolist() == [0.2, 0.0]
    assert f1(judged, 5).tolist() == [pytest.approx(2 / 3), 0.0]


def test_item_listed_again_earns_nothing_more() -> None:
    judged = judge([["a", "a"]], [{"a": 1.0}])
    assert recall(judged, 2).tolist() == [1.0]
    assert ndcg(judged, 2).tolist() == [1.0]


def test_rbp_of_a_hit_at_rank_two_is_one_minus_p_times_p() -> None:
    assert rbp(judge([["x", "a"]], [{"a": 1.0}]), 5).tolist() == [pytest.approx(0.16)]


def test_no_lists_and_no_relevant_items_give_zero_not_nan() -> None:
    judged = judge([["a"]], [{}])
    for values in (recall(judged, 3), ndcg(judged, 3), average_precision(judged, 3), r_precision(judged)):
        assert values.tolist() == [0.0]
    assert len(reciprocal_rank(judge([], []), 3)) == 0


@pytest.mark.parametrize("grade", [0.0, -1.0, float("nan"), float("inf")])
def test_grade_that_is_no_gain_is_refused(grade: float) -> None:
    with pytest.raises(EvaluationError, match="grade"):
        judge([["a"]], [{"a": grade}])


@pytest.mark.parametrize("seed", range(3))
def test_columns_of_hits_are_judged_as_lists_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = [f"i{n:02d}" for n in range(20)]
    lists = [[str(i) for i in rng.choice(items, rng.integers(0, 12))] for _ in range(40)]
    grades = [{str(i): float(rng.integers(1, 3)) for i in rng.choice(items, 5)} for _ in lists]
    expected = judge(lists, grades)
    hits = [
        (row, listed.index(item) + 1, grade)
        for row, (listed, graded) in enumerate(zip(lists, grades, strict=True))
        for item, grade in graded.items()
        if item in listed
    ]
    relevant = [(row, g) for row, graded in enumerate(grades) for g in sorted(graded.values(), reverse=True)]
    found = score_lists(
        expected.lengths,
        (ints([h[0] for h in hits]), ints([h[1] for h in hits]), np.array([h[2] for h in hits])),
        (ints([r[0] for r in relevant]), np.array([r[1] for r in relevant])),
        ks=(3, 15),
        divide_by_k=True,
        persistence=0.7,
    )
    for k in (3, 15):
        assert np.array_equal(found["ndcg_graded", k], ndcg(expected, k, graded=True))
        assert np.array_equal(found["map", k], average_precision(expected, k))
        assert np.array_equal(found["precision", k], precision(expected, k, divide_by_k=True))
        assert np.array_equal(found["rbp", k], rbp(expected, k, persistence=0.7))
    assert np.array_equal(found["r_precision", None], r_precision(expected))


def ints(values: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def ranx(
    qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]], metrics: list[str]
) -> dict[str, float]:
    """Evaluate by ranx, in a process of its own that does not compile: for a few lists that takes minutes."""
    program = (
        "import json, sys, warnings; warnings.simplefilter('ignore'); from ranx import Qrels, Run, evaluate; "
        "q, r, m = json.load(sys.stdin); "
        "print(json.dumps({n: float(evaluate(Qrels(q), Run(r), n)) for n in m}))"
    )
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    given = json.dumps([qrels, run, metrics])
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=given,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_ties_are_scored_in_the_order_that_was_served() -> None:
    """A list is an order: equal scores of a run must not be sorted anew, as an evaluator of runs would."""
    lists = [["b", "a", "c"], ["c", "b", "a"]]
    grades = [{"a": 1.0}, {"a": 1.0, "c": 3.0}]
    judged = judge(lists, grades)
    run = {f"q{q}": {item: 3.0 - rank for rank, item in enumerate(listed)} for q, listed in enumerate(lists)}
    qrels = {f"q{q}": {item: int(grade) for item, grade in graded.items()} for q, graded in enumerate(grades)}
    # Binary, for its RBP weighs by grade; graded nDCG is compared with the other oracle above.
    binary = {q: dict.fromkeys(graded, 1) for q, graded in qrels.items()}
    names = ["ndcg@3", "map@3", "mrr@3", "recall@2", "f1@3", "rbp.80", "hit_rate@1", "r-precision"]
    theirs = ranx(binary, run, names)
    ours = {
        "ndcg@3": ndcg(judged, 3),
        "r-precision": r_precision(judged),
        "map@3": average_precision(judged, 3),
        "mrr@3": reciprocal_rank(judged, 3),
        "recall@2": recall(judged, 2),
        "f1@3": f1(judged, 3),
        "hit_rate@1": hit_rate(judged, 1),
        "rbp.80": rbp(judged, 3, persistence=0.8),
    }
    for name, values in ours.items():
        assert values.mean() == pytest.approx(theirs[name]), name
    tied = {f"q{q}": dict.fromkeys(listed, 1.0) for q, listed in enumerate(lists)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sorted_anew = ir_measures.calc_aggregate([ir_measures.RR], qrels, tied)[ir_measures.RR]
    assert sorted_anew != pytest.approx(reciprocal_rank(judged, 3).mean())


def test_list_metrics_on_cases_worked_by_hand() -> None:
    lists = [["a", "b"], ["a", "c"]]
    listed, codes = list_items(lists, "abcd")
    assert coverage(listed) == 0.75
    assert coverage(list_items([["z"]], "ab")[0]) == 0.0
    assert gini(listed) == pytest.approx(0.375)
    assert gini(list_items([["a"], ["b"]], "ab")[0]) == 0.0
    assert personalisation(listed) == pytest.approx(0.5)
    assert personalisation(list_items([["a"], ["a"]], "a")[0]) == pytest.approx(0.0)
    assert personalisation(list_items([["a", "a"], ["b"], []], "ab")[0]) == pytest.approx(1.0)
    counts = np.array([{"a": 2, "b": 1, "c": 1}.get(item, 0) for item in codes])
    assert novelty(listed, counts).tolist() == [1.5, 1.5]
    assert popularity_bias(listed, counts).tolist() == [0.75, 0.75]
    pairs, codes = list_items([["a", "b"], ["a"], [], ["b", "c"]], "abc")
    tags = [{"a": "xy", "b": "x"}.get(item, "") for item in codes]
    assert intra_list_diversity(pairs, tags).tolist() == [0.5, 0.0, 0.0, 1.0]
    assert novelty(pairs, np.array([1, 1, 1])).tolist()[2] == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_vectorised_list_metrics_agree_with_the_plain_formulas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = [f"i{n}" for n in range(12)]
    lists = [[str(i) for i in rng.permutation(items)[: rng.integers(0, 7)]] for _ in range(30)]
    listed, codes = list_items(lists, items)
    tags = {item: frozenset(rng.choice(list("uvwxyz"), rng.integers(0, 4))) for item in codes}

    def diversity(names: list[str]) -> float:
        pairs = [(tags[a], tags[b]) for a, b in combinations(names, 2)]
        gaps = [1 - len(a & b) / len(a | b) if a | b else 0.0 for a, b in pairs]
        return sum(gaps) / len(gaps) if gaps else 0.0

    found = intra_list_diversity(listed, [tags[item] for item in codes])
    assert found.tolist() == pytest.approx([diversity(names) for names in lists])
    sets = [set(names) for names in lists if names]
    overlaps = [len(a & b) / (len(a) * len(b)) ** 0.5 for a, b in combinations(sets, 2)]
    assert personalisation(listed) == pytest.approx(1 - sum(overlaps) / len(overlaps))
    counts = np.array([sum(item in names for names in lists) for item in codes])
    spread = sum(abs(int(x) - int(y)) for x in counts for y in counts)
    assert gini(listed) == pytest.approx(spread / (2 * len(counts) * int(counts.sum())))
