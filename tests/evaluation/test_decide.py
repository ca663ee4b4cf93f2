"""Gates, their order, and what each of them makes of the evidence."""

import msgspec
import numpy as np
import pytest

from recsys.contracts.decisions import EXIT_CODES
from recsys.contracts.errors import EvaluationError
from recsys.evaluation.aa import resampled_aa
from recsys.evaluation.decide import Evidence, decide
from recsys.evaluation.plan import Metric, Plan, PrimaryMetric, read_plan
from recsys.evaluation.stats.estimate import normal_difference
from recsys.evaluation.stats.noninferiority import non_inferiority
from recsys.evaluation.stats.srm import sample_ratio

PLAN = Plan(
    control_variant="A",
    candidate_variant="B",
    primary_metric=PrimaryMetric(name="ctr", minimum_effect=0.01),
    guardrails={"error_rate": 0.005},
)
GOOD = Evidence(
    arms=["A", "B"],
    schema_defects=0,
    join_rate=0.99,
    sample_ratio=sample_ratio({"A": 500, "B": 505}, {"A": 1, "B": 1}),
    contaminated_users=0,
    metrics={"ctr": normal_difference(0.05, 0.01, 0.95, "test")},
    guardrails={"error_rate": non_inferiority(0.0, 0.001, 0.005)},
    rollback_version="v1",
)


def with_(**changes):
    return msgspec.structs.replace(GOOD, **changes)


def effect(value, error=0.01):
    return {"ctr": normal_difference(value, error, 0.95, "test")}


def rail(value, error):
    return {"error_rate": non_inferiority(value, error, 0.005)}


@pytest.mark.parametrize(
    ("evidence", "decision", "gate"),
    [
        (GOOD, "ship", None),
        (with_(schema_defects=3), "fail", "schemas"),
        (with_(schema_defects=3, arms=[], metrics={}, guardrails={}, sample_ratio=None), "fail", "schemas"),
        (with_(sample_ratio=None), "fail", "join_integrity"),
        (
            with_(sample_ratio=sample_ratio({"A": 500, "B": 505, "X": 1}, {"A": 1, "B": 1})),
            "fail",
            "join_integrity",
        ),
        (with_(join_rate=0.5), "fail", "join_integrity"),
        (with_(join_rate=float("nan")), "fail", "join_integrity"),
        (with_(join_rate=None), "hold", "join_integrity"),
        (with_(contaminated_users=2), "hold", "join_integrity"),
        (with_(sample_ratio=sample_ratio({"A": 900, "B": 500}, {"A": 1, "B": 1})), "fail", "join_integrity"),
        (with_(sample_ratio=sample_ratio({"A": 9}, {"A": 1, "B": 1})), "fail", "join_integrity"),
        (with_(guardrails=rail(0.05, 0.001)), "fail", "guardrails"),
        (with_(guardrails=rail(0.0, 0.1)), "hold", "guardrails"),
        (with_(metrics=effect(-0.1)), "fail", "primary_metric"),
        (with_(metrics=effect(0.005)), "hold", "primary_metric"),
        (with_(metrics=effect(0.02)), "hold", "primary_metric"),
        (with_(metrics=effect(0.005, 0.0005)), "hold", "primary_metric"),
        (with_(rollback_version=None), "hold", "rollback_path"),
    ],
)
def test_each_gate_stops_with_its_own_verdict(evidence, decision, gate):
    got = decide(PLAN, evidence)
    assert got.decision == decision
    stopped = [g.name for g in got.gates if g.status in ("hold", "fail")]
    assert stopped == ([gate] if gate else [])
    assert [g.name for g in got.gates] == [
        "schemas",
        "join_integrity",
        "guardrails",
        "primary_metric",
        "rollback_path",
    ]


def test_where_lower_is_better_a_fall_ships_and_a_rise_fails():
    metric = Metric(name="errors_per_request", numerator="errors", lower_is_better=True)
    plan = msgspec.structs.replace(PLAN, metrics=[metric], primary_metric=PrimaryMetric(name=metric.name))
    for value, expected in ((-0.05, "ship"), (0.05, "fail"), (0.01, "hold")):
        got = decide(plan, with_(metrics={metric.name: normal_difference(value, 0.01, 0.95, "test")}))
        assert got.decision == expected


def test_bad_data_is_reported_before_a_bad_metric():
    got = decide(PLAN, with_(join_rate=0.1, metrics=effect(-1.0), guardrails=rail(0.05, 0.001)))
    assert "join" in got.reason
    assert [g.status for g in got.gates] == ["pass", "fail", "not_reached", "not_reached", "not_reached"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"candidate_variant": "C"}, "arm 'C'"),
        ({"primary_metric": PrimaryMetric(name="gmv")}, "'gmv'"),
        ({"guardrails": {"p95_latency": 0.1}}, "'p95_latency'"),
        ({"primary_metric": None}, "needs one"),
    ],
)
def test_what_the_evidence_does_not_have_is_an_error(change, word):
    with pytest.raises(EvaluationError, match=word):
        decide(msgspec.structs.replace(PLAN, **change), GOOD)


def test_plan_errors_name_file_and_field(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('control_variant = "A"\ncandidate_variant = "B"\nguardrail = []\n')
    with pytest.raises(EvaluationError, match=r"plan\.toml"):
        read_plan(path)
    path.write_text('control_variant = "A"\ncandidate_variant = "A"\n[primary_metric]\nname = "ctr"\n')
    with pytest.raises(EvaluationError, match=r"plan\.toml: .* are both 'A'"):
        read_plan(path)
    assert EXIT_CODES == {"ship": 0, "hold": 2, "fail": 3}


def test_resampled_aa_finds_a_sound_metric_sound_and_is_reproducible():
    rng = np.random.default_rng(3)
    d = rng.poisson(4, 2000) + 1.0
    y = rng.binomial(d.astype(int), rng.beta(2, 8, 2000)).astype(float)
    got = resampled_aa(y, d, splits=500, seed=1)
    assert got.is_sound
    assert got == resampled_aa(y, d, splits=500, seed=1)


def test_resampled_aa_sees_a_metric_that_one_user_dominates():
    y = np.zeros(2000)
    y[0] = 1e6
    assert not resampled_aa(y, np.ones(2000), splits=300).is_sound
