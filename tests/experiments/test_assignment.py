"""Assignment: stable, uniform, independent between experiments, and ramps that only add users."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsys._native import Pseudonyms
from recsys.contracts.experiments import HOLDOUT, Arm, Experiment, ExperimentsDocument, Layer
from recsys.contracts.pseudonym import pseudonym
from recsys.experiments.assignment import (
    Assignment,
    SurfaceExperiments,
    drawn_for,
    number_of,
    serving_experiments,
)

SALT = b"a salt of thirty-two bytes......"
NOW = datetime(2026, 1, 31, tzinfo=UTC)
ALPHA = 1e-4


def experiment(**fields: object) -> Experiment:
    given = {"id": "e", "surface": "home", "arms": [Arm(name="a"), Arm(name="b")], "state": "running"}
    return Experiment(**(given | fields))


def variants(one: Experiment, ids: range) -> list[str | None]:
    assignment = Assignment(SALT, one)
    chosen = (assignment.choose(f"{number:064x}", "default", NOW) for number in ids)
    return [None if assigned is None else assigned.variant for assigned in chosen]


@pytest.mark.slow
def test_a_million_users_get_arms_by_their_weights() -> None:
    arms = [Arm(name="a", weight=5), Arm(name="b", weight=3), Arm(name="c", weight=2)]
    counts = Counter(variants(experiment(arms=arms), range(1_000_000)))
    observed = [counts[name] for name in "abc"]
    assert sum(observed) == 1_000_000
    assert stats.chisquare(observed, [500_000, 300_000, 200_000]).pvalue > ALPHA


def test_an_assignment_is_known_beforehand() -> None:
    # Written down once: a change of the hash would move every user of a running experiment.
    user = pseudonym(SALT, "u-1")
    assert number_of(Pseudonyms(SALT).of(drawn_for("experiment", "e") + user), 0) == 0xAA571A0E1F7C05B


def test_experiments_do_not_tell_of_each_other() -> None:
    first, second = (variants(experiment(id=name), range(20_000)) for name in ("e1", "e2"))
    table = Counter(zip(first, second, strict=True))
    counts = [[table[x, y] for y in "ab"] for x in "ab"]
    assert stats.chi2_contingency(counts).pvalue > ALPHA


def test_another_salt_gives_another_split() -> None:
    ours = variants(experiment(), range(2000))
    theirs = Assignment(b"another salt", experiment())
    same = sum(
        theirs.choose(f"{number:064x}", "default", NOW).variant == mine for number, mine in enumerate(ours)
    )
    assert abs(same - 1000) < 5 * math.sqrt(500)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**256 - 1))
def test_ramping_only_adds_users(one: float, other: float, number: int) -> None:
    small, large = sorted((one, other))
    before, after = (
        Assignment(SALT, experiment(traffic_share=share)).choose(f"{number:064x}", "default", NOW)
        for share in (small, large)
    )
    if before is not None:
        assert after == before


def test_the_holdout_has_its_share_and_is_told_as_such() -> None:
    counts = Counter(variants(experiment(traffic_share=0.5, holdout=0.1), range(50_000)))
    assert stats.binomtest(counts[None], 50_000, 0.5).pvalue > ALPHA
    assert stats.binomtest(counts[HOLDOUT], 50_000 - counts[None], 0.1).pvalue > ALPHA
    assert Assignment(SALT, experiment(holdout=1.0)).choose("0" * 64, "default", NOW).arms == ()


def test_ranges_of_a_layer_have_no_user_in_common_and_leave_none_out() -> None:
    low, high = (
        variants(experiment(id=name, layer=Layer("l", *bounds)), range(20_000))
        for name, bounds in (("e1", (0.0, 0.3)), ("e2", (0.3, 1.0)))
    )
    assert all((x is None) != (y is None) for x, y in zip(low, high, strict=True))
    assert stats.binomtest(sum(x is not None for x in low), 20_000, 0.3).pvalue > ALPHA


def test_the_arm_is_independent_of_the_place_in_the_layer() -> None:
    chosen = variants(experiment(layer=Layer("l", 0.0, 0.2)), range(50_000))
    counts = Counter(chosen)
    assert stats.binomtest(counts["a"], counts["a"] + counts["b"], 0.5).pvalue > ALPHA


def test_the_holdout_of_a_layer_is_one_group() -> None:
    both = [
        variants(experiment(id=name, holdout=0.2, layer=Layer("l")), range(5000)) for name in ("e1", "e2")
    ]
    assert [v == HOLDOUT for v in both[0]] == [v == HOLDOUT for v in both[1]]


def test_segment_and_window_limit_who_takes_part() -> None:
    one = Assignment(SALT, experiment(segments=["vip"], start=NOW, end=NOW + timedelta(days=1)))
    assert one.choose("0" * 64, "vip", NOW) is not None
    assert one.choose("0" * 64, "default", NOW) is None
    assert one.choose("0" * 64, "vip", NOW - timedelta(seconds=1)) is None
    assert one.choose("0" * 64, "vip", NOW + timedelta(days=1)) is None


def test_a_tester_gets_the_forced_arm_whatever_the_rest_says() -> None:
    one = Assignment(SALT, experiment(traffic_share=0.0, segments=["vip"], forced={"0" * 64: "b"}))
    chosen = one.choose("0" * 64, "default", NOW)
    assert chosen is not None
    assert (chosen.variant, chosen.is_forced) == ("b", True)
    assert one.choose("1" * 64, "vip", NOW) is None


@pytest.mark.parametrize(
    "changed", [{"state": "stopped"}, {"state": "draft"}, {"kill_switch": True}, {"surface": "cart"}]
)
def test_only_what_runs_on_the_surface_serves(changed: dict) -> None:
    document = ExperimentsDocument([msgspec.structs.replace(experiment(), **changed)])
    assert not serving_experiments(document, "home", SALT)


def test_the_kill_switch_of_the_document_stops_every_arm() -> None:
    assert serving_experiments(ExperimentsDocument([experiment()]), "home", SALT)
    assert not serving_experiments(ExperimentsDocument([experiment()], kill_switch=True), "home", SALT)


def test_a_named_experiment_is_the_only_one_asked() -> None:
    both = SurfaceExperiments(SALT, [experiment(id="e1"), experiment(id="e2")])
    assert both.choose("0" * 64, "default", NOW, "e2").experiment_id == "e2"
    assert both.choose("0" * 64, "default", NOW, "none") is None
    assert both.of_variant("e1", "b").variant == "b"
    assert both.of_variant("e1", "z") is None
