"""The co-visitation builder beside scipy.sparse, DuckDB and implicit: time, peak memory, the same scores.

``python -m benches.bench_builders [--rows N ...]``: by default 1 and 10 million interactions with
100 thousand items, drawn by Zipf's law with exponent 1.05 into sessions of 2 to 30. Everyone starts
from the same arrays in memory, in a process of its own, and makes the cosine top 100 of every item;
ours also writes and syncs the file. Times are the best of a few runs; memory is the peak above what
the process held before, the arrays not counted.
Targets: twice as fast as the best other, with at most twice the input in memory.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute
import scipy.sparse
from implicit.nearest_neighbours import CosineRecommender
from numpy.typing import NDArray

from recsys import _native

N_ITEMS = 100_000
TOP = 100
EXPONENT = 1.05
# Items whose lists are compared: some of the best known, some from the tail.
PROBES = [0, 1, 2, 7, 50, 300, 1000, 5000, 20_000, 60_000, 99_999]
SCIPY_MOST_ROWS = 2_000_000
ROW_BYTES = 8 + 4 + 8 + 4
TARGET_SPEED = 2.0
TARGET_MEMORY = 2.0

Scores = dict[int, list[float]]


class Rows(NamedTuple):
    """Interactions as the builder takes them."""

    sessions: NDArray[np.uint64]
    items: NDArray[np.uint32]
    ts_ms: NDArray[np.int64]
    weights: NDArray[np.float32]


class Outcome(NamedTuple):
    """One run: seconds, peak MB above the start, and the scores of the probes, best first."""

    seconds: float
    peak_mb: float
    scores: Scores


def draw(n_rows: int) -> Rows:
    """Return the same synthetic interactions in every process."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(2, 31, n_rows // 16 + n_rows // 100 + 100)
    sessions = np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)[:n_rows]
    popularity = np.arange(1, N_ITEMS + 1) ** -EXPONENT
    cumulated = np.cumsum(popularity / popularity.sum())
    items = np.searchsorted(cumulated, rng.random(len(sessions))).clip(0, N_ITEMS - 1).astype(np.uint32)
    return Rows(sessions, items, np.zeros(len(items), np.int64), np.ones(len(items), np.float32))


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def measure(work: Callable[[], Callable[[], Scores]]) -> Outcome:
    """Run ``work`` on the clock; what it returns gives the scores of the probes, off the clock."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_mb("VmRSS")
    start = time.perf_counter()
    read = work()
    seconds = time.perf_counter() - start
    return Outcome(seconds, _status_mb("VmHWM") - before, read())


def run_ours(rows: Rows) -> Outcome:
    """Build the artifact."""
    with tempfile.TemporaryDirectory() as folder:
        _native.build_catalog(f"{folder}/catalog", [f"{i:06d}" for i in range(N_ITEMS)])
        catalog = _native.Catalog.open(f"{folder}/catalog")

        def work() -> Callable[[], Scores]:
            builder = _native.CoocBuilder(
                catalog,
                min_support=1,
                top_n=TOP,
                memory_bytes=2 * len(rows.items) * ROW_BYTES,
                scratch_dir=folder,
            )
            builder.push(*rows)
            builder.finish(f"{folder}/signal")
            return read

        def read() -> Scores:
            signal = _native.Signal.open(f"{folder}/signal")
            lists = {probe: signal.ranked(catalog, f"{probe:06d}", TOP) or [] for probe in PROBES}
            return {probe: [score for _, score in ranked] for probe, ranked in lists.items()}

        return measure(work)


def run_implicit(rows: Rows) -> Outcome:
    """Fit implicit's cosine recommender, which keeps an item as its own first neighbour."""

    def work() -> Callable[[], Scores]:
        places = (rows.sessions.astype(np.int32), rows.items.astype(np.int32))
        matrix = scipy.sparse.csr_matrix((rows.weights, places), shape=(int(rows.sessions[-1]) + 1, N_ITEMS))
        matrix.data[:] = 1
        model = CosineRecommender(K=TOP + 1)
        model.fit(matrix, show_progress=False)

        def read() -> Scores:
            lists = {}
            for probe in PROBES:
                row = model.similarity[probe]
                others = row.data[(row.indices != probe) & (row.data > 0)]
                lists[probe] = sorted(others.tolist(), reverse=True)[:TOP]
            return lists

        return read

    return measure(work)


def run_scipy(rows: Rows) -> Outcome:
    """Multiply the sparse matrix with itself, divide by the norms, cut every row to its best."""

    def work() -> Callable[[], Scores]:
        places = (rows.sessions.astype(np.int32), rows.items.astype(np.int32))
        matrix = scipy.sparse.csr_matrix((rows.weights, places), shape=(int(rows.sessions[-1]) + 1, N_ITEMS))
        matrix.data[:] = 1
        norms = np.sqrt(np.asarray(matrix.sum(axis=0)).ravel())
        product = (matrix.T @ matrix).tocsr()
        product.setdiag(0)
        product.eliminate_zeros()
        lengths = np.diff(product.indptr)
        product.data /= np.repeat(norms, lengths) * norms[product.indices]
        best = {}
        for item in range(N_ITEMS):
            span = slice(product.indptr[item], product.indptr[item + 1])
            scores, others = product.data[span], product.indices[span]
            if len(scores) > TOP:
                kept = np.argpartition(scores, -TOP)[-TOP:]
                scores, others = scores[kept], others[kept]
            order = np.argsort(-scores)
            best[item] = (others[order], scores[order])
        return lambda: {probe: best[probe][1].tolist() for probe in PROBES}

    return measure(work)


def run_duckdb(rows: Rows) -> Outcome:
    """Join the sessions with themselves, each pair once, and rank both ways round."""
    table = pa.table({"session": rows.sessions, "item": rows.items})

    def work() -> Callable[[], Scores]:
        connection = duckdb.connect()
        connection.register("rows", table)
        lists = connection.execute(
            f"""
            WITH visits AS (SELECT DISTINCT session, item FROM rows),
            totals AS (SELECT item, sqrt(count(*)) AS norm FROM visits GROUP BY item),
            pairs AS (
                SELECT x.item AS a, y.item AS b, count(*) AS n
                FROM visits x JOIN visits y ON x.session = y.session AND x.item < y.item GROUP BY ALL
            ),
            scored AS (
                SELECT a, b, n / (s.norm * t.norm) AS score
                FROM pairs JOIN totals s ON s.item = a JOIN totals t ON t.item = b
            ),
            ways AS (SELECT a, b, score FROM scored UNION ALL SELECT b, a, score FROM scored)
            SELECT a, max_by({{'b': b, 'score': score}}, score, {TOP}) AS list FROM ways GROUP BY a
            """
        ).to_arrow_table()

        def read() -> Scores:
            wanted = lists.filter(pa.compute.is_in(lists["a"], value_set=pa.array(PROBES, pa.uint32())))
            found = {row["a"]: [entry["score"] for entry in row["list"]] for row in wanted.to_pylist()}
            return {probe: sorted(found.get(probe, []), reverse=True) for probe in PROBES}

        return read

    return measure(work)


CONTENDERS = {"ours": run_ours, "implicit": run_implicit, "duckdb": run_duckdb, "scipy.sparse": run_scipy}


def run_in_process(name: str, n_rows: int) -> Outcome:
    """Run one contender in a process of its own."""
    command = [sys.executable, "-m", "benches.bench_builders", "--contender", name, "--rows", str(n_rows)]
    # Threads of a BLAS would only get in the way; implicit warns unless it is told so.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed on {n_rows} rows:\n{done.stderr}")
    seconds, peak_mb, scores = json.loads(done.stdout.splitlines()[-1])
    return Outcome(seconds, peak_mb, {int(probe): row for probe, row in scores.items()})


def differing(ours: Scores, other: Scores) -> list[int]:
    """Return the probes whose scores differ; who stands for a tie at the end of a list is anyone's choice."""
    return [
        probe
        for probe in PROBES
        if len(ours[probe]) != len(other[probe])
        or not all(math.isclose(a, b, rel_tol=1e-5) for a, b in zip(ours[probe], other[probe], strict=True))
    ]


def compare(n_rows: int, repeats: int) -> bool:
    """Run everyone, print the table, and return whether all agree."""
    names = [name for name in CONTENDERS if name != "scipy.sparse" or n_rows <= SCIPY_MOST_ROWS]
    runs: dict[str, list[Outcome]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            runs[name].append(run_in_process(name, n_rows))
    best = {name: min(outcomes) for name, outcomes in runs.items()}
    ours, fastest = best["ours"], min(best[name].seconds for name in names if name != "ours")
    input_mb = n_rows * ROW_BYTES / 1e6
    print(f"\n{n_rows:,} interactions ({input_mb:.0f} MB of columns), best of {repeats}")
    print(f"{'':14}{'seconds':>9}{'x ours':>8}{'peak MB':>9}{'x input':>9}  scores")
    agree = True
    for name, (seconds, peak_mb, scores) in best.items():
        wrong = differing(ours.scores, scores)
        agree &= not wrong
        verdict = f"differ for items {wrong}" if wrong else "the same"
        print(f"{name:14}{seconds:9.2f}{seconds / ours.seconds:8.2f}", end="")
        print(f"{peak_mb:9.0f}{peak_mb / input_mb:9.2f}  {verdict}")
    print(f"best other / ours {fastest / ours.seconds:.2f} (target {TARGET_SPEED:g})", end=", ")
    print(f"memory / input {ours.peak_mb / input_mb:.2f} (target at most {TARGET_MEMORY:g})")
    return agree


def main() -> int:
    """Run the benchmark; return 1 if the results do not agree."""
    parser = argparse.ArgumentParser(prog="bench_builders", description="Time the co-visitation builder.")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--contender", choices=list(CONTENDERS), help="run this one alone and print JSON")
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(CONTENDERS[arguments.contender](draw(arguments.rows[0]))))
        return 0
    verdicts = [compare(n_rows, arguments.repeats) for n_rows in arguments.rows]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
