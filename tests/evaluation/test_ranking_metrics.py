from __future__ import annotations

import warnings

import numpy as np
import pytest

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ranking_metrics.average_precision import average_precision
from recsys.evaluation.ranking_metrics.coverage import coverage
from recsys.evaluation.ranking_metrics.f1 import f1
from recsys.evaluation.ranking_metrics.gini import gini
from recsys.evaluation.ranking_metrics.hit_rate import hit_rate
from recsys.evaluation.ranking_metrics.intra_list_diversity import intra_list_diversity
from recsys.evaluation.ranking_metrics.judged import judge
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


def test_list_metrics_on_cases_worked_by_hand() -> None:
    lists = [["a", "b"], ["a", "c"]]
    assert coverage(lists, "abcd") == 0.75
    assert gini(lists, "abcd") == pytest.approx(0.375)
    assert gini([["a"], ["b"]], "ab") == 0.0
    assert personalisation(lists) == pytest.approx(0.5)
    assert personalisation([["a"], ["a"]]) == pytest.approx(0.0)
    counts = {"a": 2, "b": 1, "c": 1}
    assert novelty(lists, counts).tolist() == [1.5, 1.5]
    assert popularity_bias(lists, counts).tolist() == [0.75, 0.75]
    tags = {"a": frozenset("xy"), "b": frozenset("x")}
    assert intra_list_diversity([["a", "b"], ["a"]], tags).tolist() == [0.5, 0.0]
