"""MMR and caps on real baskets: lists stay full, and their items are the less alike the lower lambda is."""

from itertools import pairwise

import pytest
from benches.bench_accuracy import K, find_cases
from benches.bench_diversity import Measured, Setting, build, measure

from recsys.demo.retail import load_retail_data

LAMBDAS = (1.0, 0.9, 0.7, 0.5)
CAPPED = Setting(1.0, brand_cap=3, category_cap=2)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[Setting, Measured]:
    data = load_retail_data()
    catalog, signals = build(data.weeks(41, 48), tmp_path_factory.mktemp("retail"))
    cases = find_cases(data, 49, 50, 80)
    settings = [*map(Setting, LAMBDAS), CAPPED]
    return {one.setting: one for one in measure(catalog, signals, cases, settings)}


@pytest.mark.slow
def test_lists_keep_their_length_and_grow_less_alike_as_lambda_falls(
    measured: dict[Setting, Measured],
) -> None:
    by_lambda = [measured[Setting(weight)] for weight in LAMBDAS]
    assert [one.shortest for one in by_lambda] == [K] * len(LAMBDAS)
    for higher, lower in pairwise(by_lambda):
        assert lower.content < higher.content
        assert lower.cooc < higher.cooc
        assert lower.categories > higher.categories
        assert lower.score < higher.score


@pytest.mark.slow
def test_caps_hold_in_every_list_and_leave_it_full(measured: dict[Setting, Measured]) -> None:
    plain, capped = measured[Setting(1.0)], measured[CAPPED]
    assert plain.most_of_brand > 3
    assert plain.most_of_category > 2
    assert (capped.most_of_brand, capped.most_of_category, capped.shortest) == (3, 2, K)
