from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from recsys.contracts.errors import EvaluationError
from recsys.evaluation import convert_open_bandit
from recsys.evaluation.convert_open_bandit import Campaign, Policy
from recsys.evaluation.validate import validate_logs

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("policy", "campaign", "clicks"), [("random", "all", 38), ("bts", "all", 42)])
def test_converted_sample_is_sane_and_every_click_joins(
    tmp_path: Path, policy: Policy, campaign: Campaign, clicks: int
) -> None:
    made = convert_open_bandit.convert_open_bandit(tmp_path, policy=policy, campaign=campaign, salt=b"salt")
    result = validate_logs({"exposures": [str(made.exposures)], "outcomes": [str(made.outcomes)]}, now=NOW)
    assert (result.verdict, result.lines) == ("sane", {"exposures": 10_000, "outcomes": clicks})
    assert result.join is not None
    assert (result.join_rate, result.join.outcomes_in_window) == (1.0, clicks)


def test_exposure_carries_the_propensities_and_the_slot(tmp_path: Path) -> None:
    made = convert_open_bandit.convert_open_bandit(tmp_path, policy="random", campaign="all", salt=b"salt")
    with made.exposures.open() as lines:
        first = json.loads(next(lines))
    assert first["ts"] == "2019-11-24T00:00:34.762830Z"
    assert first["items"] == [
        {
            "item_id": "14",
            "rank": 1,
            "propensity": 0.0125,
            "logging_propensity": 0.0125,
            "target_propensity": 0.0125,
        }
    ]
    assert first["context"]["position"] == "3"


def test_missing_package_is_an_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(convert_open_bandit, "files", missing)
    with pytest.raises(EvaluationError, match="pip install"):
        convert_open_bandit.convert_open_bandit(tmp_path, policy="bts", campaign="men", salt=b"salt")
