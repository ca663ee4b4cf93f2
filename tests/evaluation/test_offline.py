"""The offline evaluation from files to report, against the same work done by hand in plain Python."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from recsys.cli.main import run
from recsys.contracts.errors import EvaluationError
from recsys.evaluation.offline import LOGGED, OfflinePlan, OfflineResult, System, evaluate_offline
from recsys.evaluation.ranking_metrics.judged import judge
from recsys.evaluation.ranking_metrics.ndcg import ndcg
from recsys.evaluation.ranking_metrics.precision import precision
from recsys.evaluation.stats.paired_bootstrap import paired_bootstrap

START = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = [f"i{n}" for n in range(30)]
Record = dict[str, object]


def write(path: Path, records: list[Record]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


class Logs:
    """Random logs of 200 requests by 20 users, and a ranked list for each request but the first."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        draw = random.Random(seed)
        self.served: list[Record] = []
        self.came: list[Record] = []
        self.ranked: list[Record] = []
        self.grades: dict[str, dict[str, float]] = {}
        for number in range(200):
            ids = {"request_id": f"r{number}", "user_id": f"{number % 20:064x}"}
            moment = START + timedelta(hours=number)
            ts = moment.isoformat()
            listed = draw.sample(ITEMS, 8)
            context = {"surface": draw.choice(["home", "cart"]), "device": draw.choice(["tv", "phone"])}
            items = [{"item_id": item, "rank": rank} for rank, item in enumerate(listed, 1)]
            self.served.append({**ids, "ts": ts, "items": items, "context": context})
            if number:
                self.ranked.append({**ids, "ts": ts, "items": draw.sample(ITEMS, draw.randrange(1, 12))})
            for item in draw.sample(ITEMS, draw.randrange(0, 3)):
                kind = draw.choice(["click", "conversion"])
                late = draw.random() < 0.1
                came = (moment + timedelta(hours=30 if late else 1)).isoformat()
                self.came.append({**ids, "item_id": item, "event_type": kind, "ts": came})
                if not late:
                    self.grades.setdefault(f"r{number}", {})[item] = 1.0 if kind == "click" else 2.0
        self.exposures = write(folder / "e.jsonl", self.served)
        self.outcomes = write(folder / "o.jsonl", self.came)
        self.ranklist = write(folder / "ranked.jsonl", self.ranked)

    def evaluate(self, plan: OfflinePlan | None = None, **more: object) -> OfflineResult:
        return evaluate_offline(
            {"exposures": [self.exposures], "outcomes": [self.outcomes]},
            System(LOGGED),
            System("file", (self.ranklist,)),
            plan or OfflinePlan(ks=(5, 3), min_slice=10, replicates=200),
            **more,  # type: ignore[arg-type]
        )


def means(result: OfflineResult, system: int) -> dict[tuple[str, int | None], float]:
    return {(m.metric, m.k): m.value for m in result.payload.systems[system].metrics}


def test_numbers_are_those_of_the_lists_and_outcomes(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    result = logs.evaluate()
    cases = [f"r{n}" for n in range(200) if f"r{n}" in logs.grades]
    assert (result.cases, result.payload.requests, result.payload.users) == (len(cases), 200, 20)
    served = {str(r["request_id"]): [i["item_id"] for i in r["items"]] for r in logs.served}  # type: ignore[attr-defined]
    ranked = {str(r["request_id"]): r["items"] for r in logs.ranked}
    for place, lists in enumerate((served, ranked)):
        judged = judge([lists.get(case, []) for case in cases], [logs.grades[case] for case in cases])  # type: ignore[misc]
        found = means(result, place)
        assert found["ndcg_graded", 5] == pytest.approx(ndcg(judged, 5, graded=True).mean())
        assert found["precision", 3] == pytest.approx(precision(judged, 3).mean())
    assert result.payload.precision_divides_by == "list_length"
    row = result.payload.comparison[0]
    assert (row.metric, row.k) == ("ndcg", 5)
    assert row.difference == pytest.approx(means(result, 1)["ndcg", 5] - means(result, 0)["ndcg", 5])
    assert row.ci_low <= row.difference <= row.ci_high
    assert row.p_value_holm >= row.p_value
    codes = [warning.code for warning in result.warnings]
    assert codes == (["LISTS_MISSING"] if "r0" in logs.grades else []) + [
        "LOGGED_LISTS_FAVOURED",
        "NO_TIME_SPLIT",
    ]


def test_result_depends_on_neither_order_nor_parts_of_the_logs(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    expected = logs.evaluate().payload
    for records, name in ((logs.served, "e"), (logs.came, "o"), (logs.ranked, "ranked")):
        random.Random(1).shuffle(records)
        write(tmp_path / f"{name}.jsonl", records + records[:20])
    assert logs.evaluate().payload == expected


def test_slices_add_up_and_small_ones_are_counted_not_shown(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    plan = OfflinePlan(ks=(5,), min_slice=1, slices=("surface", "surface+device"), replicates=200)
    result = logs.evaluate(plan)
    of_logged = [row for row in result.payload.slices if row.system == LOGGED]
    for dimensions, n_slices in (({"surface"}, 2), ({"surface", "device"}, 4)):
        rows = [row.metrics[0] for row in of_logged if set(row.dimensions) == dimensions]
        assert len(rows) == n_slices
        assert sum(row.n for row in rows) == result.cases
        mean = sum(row.value * row.n for row in rows) / result.cases
        assert mean == pytest.approx(means(result, 0)["ndcg", 5])
    few = logs.evaluate(OfflinePlan(ks=(5,), min_slice=result.cases, replicates=200)).payload
    assert (few.slices, few.slices_below_minimum) == ([], 4)
    with pytest.raises(EvaluationError, match=r"slice 'colour'.*device, surface"):
        logs.evaluate(OfflinePlan(slices=("colour",)))


def test_time_split_takes_popularity_from_before(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    since = START + timedelta(hours=100)
    result = logs.evaluate(OfflinePlan(ks=(5,), since=since, replicates=200))
    assert result.payload.requests == 100
    assert result.payload.popularity_from == "outcomes before since"
    assert "NO_TIME_SPLIT" not in [warning.code for warning in result.warnings]
    with pytest.raises(EvaluationError, match="no request of 0"):
        logs.evaluate(OfflinePlan(until=START))


def test_catalog_gives_coverage_and_diversity(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    catalog = [{"item_id": f"i{n}", "tags": ["x" if n % 2 else "y"]} for n in range(40)]
    result = logs.evaluate(items=Path(write(tmp_path / "items.jsonl", catalog)))
    found = means(result, 0)
    assert found["coverage", 5] == pytest.approx(30 / 40)
    assert 0.3 < found["intra_list_diversity", 5] < 0.7
    text = "item_id,tags\ni0,x|y\n"
    (tmp_path / "items.csv").write_text(text)
    assert means(logs.evaluate(items=tmp_path / "items.csv"), 0)["coverage", 5] == 1.0
    (tmp_path / "items.csv").write_text("id\n1\n")
    with pytest.raises(EvaluationError, match=r"items\.csv has no column item_id"):
        logs.evaluate(items=tmp_path / "items.csv")


@pytest.mark.parametrize("field", ["ks", "min_slice", "persistence", "replicates", "level"])
def test_plan_that_cannot_be_measured_is_refused(tmp_path: Path, field: str) -> None:
    bad = {"ks": (5, 5), "min_slice": 0, "persistence": 1.0, "replicates": 5, "level": 1.0}[field]
    with pytest.raises(EvaluationError):
        Logs(tmp_path).evaluate(OfflinePlan(**{field: bad}))  # type: ignore[arg-type]


def test_bootstrap_covers_the_truth_and_repeats_by_seed() -> None:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(80), 5)
    covered = 0
    for seed in range(200):
        effect = 0.3 + rng.normal(0, 1, 80)[users] + rng.normal(0, 1, 400)
        gaps = paired_bootstrap([effect], users, level=0.9, replicates=300, seed=seed)
        covered += gaps[0].low <= 0.3 <= gaps[0].high
    # 200 draws of 0.9 stay within four standard deviations of 180, 17.
    assert 163 <= covered <= 197
    again = paired_bootstrap([effect], users, level=0.9, replicates=300, seed=199)
    assert again == gaps


def test_small_p_values_survive_the_correction_of_a_family() -> None:
    rng = np.random.default_rng(0)
    effects = rng.normal(1.0, 0.1, (400, 30))
    gaps = paired_bootstrap(effects.T, np.arange(400), level=0.95, replicates=200, seed=0)
    assert all(gap.p_value < 1e-6 for gap in gaps)


def test_command_writes_the_report_and_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = Logs(tmp_path)
    command = ["eval", "offline", "--exposures", logs.exposures]
    assert run(command) == 1
    assert "give --outcomes" in capsys.readouterr().err
    command += ["--outcomes", logs.outcomes, "--k", "5", "--replicates", "200", "--precision-at-k"]
    assert run([*command, "--candidate", "nonsense"]) == 1
    command += ["--candidate", f"file:{logs.ranklist}", "--out", str(tmp_path / "report")]
    assert run(command) == 0
    assert "ndcg@5" in capsys.readouterr().out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["offline"]["precision_divides_by"] == "k"
    assert [file["role"] for file in report["inputs"]] == ["exposures", "outcomes", "ranklists"]
    assert report["effective_config"]["candidate"] == f"file:{logs.ranklist}"
    assert (tmp_path / "report" / "report.html").exists()
