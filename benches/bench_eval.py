"""Evaluation at the scale of logs: rows a second and peak memory, beside the same work in plain Polars.

``python -m benches.bench_eval [--exposures N ...]``: by default 1 million exposures of five items, 10 % of
them with an outcome; ``--exposures 1000000 10000000`` is the whole measurement. Each piece of work runs in
a process of its own, ours and Polars in turn. Targets: validate at 300 thousand lines a second, 10 million
exposures within 2 GB. Ours checks every line, hashes every input and computes its whole report (metrics at
three cutoffs, paired intervals, guardrails, slices); Polars reads, joins and takes one number.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benches.eval_logs import Logs, write_logs
from benches.eval_polars import WORK as POLARS
from recsys.evaluation.offline import LOGGED, OfflinePlan, System, evaluate_offline
from recsys.evaluation.plan import plan_from
from recsys.evaluation.run_experiment import run_experiment
from recsys.evaluation.validate import validate_logs

TARGET_LINES_S = 300_000
TARGET_PEAK_MB = 2048
WORK = ("validate", "offline", "experiment")
ENGINES = ("recsys", "polars")
ADDRESS_SPACE_SHARE = 0.5
"""Of the machine's memory, what one piece of work may map: one that needs more fails, not its neighbours."""
PLAN = {
    "control_variant": "A",
    "candidate_variant": "B",
    "experiment_id": "x",
    "metrics": ["ctr", "conversion_rate", "revenue_per_user"],
    "guardrails": {"p95_latency": 0.1, "error_rate": 0.01, "empty_list_rate": 0.01},
}


def run_ours(work: str, logs: Logs) -> None:
    given = {"exposures": [str(logs.exposures)], "outcomes": [str(logs.outcomes)]}
    if work == "validate":
        verdict = validate_logs(given, now=datetime(2026, 2, 1, tzinfo=UTC)).verdict  # type: ignore[arg-type]
        assert verdict == "sane", verdict
    elif work == "offline":
        candidate = System("turned", (str(logs.ranklist),))
        evaluate_offline(given, System(LOGGED), candidate, OfflinePlan())  # type: ignore[arg-type]
    else:
        run_experiment(given, plan_from(PLAN))  # type: ignore[arg-type]


def run_one(work: str, engine: str, folder: str) -> None:
    """Do one piece of work and print its seconds and peak memory as JSON."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resource.setrlimit(resource.RLIMIT_AS, (int(whole * ADDRESS_SPACE_SHARE),) * 2)
    logs = Logs(*(Path(folder) / name for name in ("exposures.jsonl", "outcomes.jsonl", "ranked.jsonl")))
    start, cpu_start = time.perf_counter(), time.process_time()
    if engine == "recsys":
        run_ours(work, logs)
    else:
        POLARS[work](logs)
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([seconds, cpu_s, peak_mb]))


def measure(work: str, engine: str, folder: str) -> tuple[float, float, float] | None:
    command = [sys.executable, "-m", "benches.bench_eval", "--one", work, engine, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        # Out of memory, most likely, which is a result too.
        print(f"{work:<11} {engine:<7} failed ({done.returncode}) {done.stderr.strip()[-200:]}")
        return None
    seconds, cpu_s, peak_mb = json.loads(done.stdout.splitlines()[-1])
    return seconds, cpu_s, peak_mb


def main(arguments: list[str] | None = None) -> int:
    """Print the rates, memory and ratios; return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exposures", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--work", choices=WORK, nargs="+", default=WORK)
    parser.add_argument("--engines", choices=ENGINES, nargs="+", default=ENGINES)
    parser.add_argument("--one", nargs=3, metavar=("WORK", "ENGINE", "FOLDER"))
    options = parser.parse_args(arguments)
    if options.one:
        run_one(*options.one)
        return 0
    missed = 0
    for n_exposures in options.exposures:
        with tempfile.TemporaryDirectory() as folder:
            write_logs(Path(folder), n_exposures)
            n_lines = n_exposures + (n_exposures + 9) // 10
            print(f"\n{n_exposures:,} exposures, {n_lines - n_exposures:,} outcomes")
            print("work        engine      lines/s    lines/CPU s    peak MB    time, CPU to Polars")
            for work in options.work:
                ours, theirs = (
                    measure(work, engine, folder) if engine in options.engines else None for engine in ENGINES
                )
                for engine, found in (("recsys", ours), ("polars", theirs)):
                    if found is None:
                        missed += engine == "recsys" and engine in options.engines
                        continue
                    pairs = zip(found[:2], theirs[:2], strict=True) if theirs else ()
                    ratio = " ".join(f"{ours_s / theirs_s:.2f}x" for ours_s, theirs_s in pairs)
                    rates = f"{n_lines / found[0]:>10,.0f}  {n_lines / found[1]:>13,.0f}"
                    print(f"{work:<11} {engine:<7} {rates} {found[2]:>10,.0f}  {ratio:>14}", flush=True)
                if ours and work == "validate":
                    missed += n_lines / ours[0] < TARGET_LINES_S
                    missed += n_exposures >= 10_000_000 and ours[2] > TARGET_PEAK_MB
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
