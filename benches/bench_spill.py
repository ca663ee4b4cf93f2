"""Builds of more interactions than fit the memory bound: peak memory, time, and the same bytes as without it.

``python -m benches.bench_spill [--rows N] [--memory 1G]``: by default 50 million interactions of 100
thousand items, by Zipf's law with exponent 1.05, in sessions of 2 to 30, as Parquet files of ids as text.
Popularity, co-visitation, session sequences and the session index are built by ``recsys artifact build``,
each in a process of its own, once within the bound and once without one. Peak memory is that of the whole
process, interpreter and reading included, and must be within the bound; the ratio is to the unbounded build.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys._native import build_catalog
from recsys.pipelines.build.request import parse_size

N_ITEMS = 100_000
EXPONENT = 1.05
ROWS_PER_FILE = 5_000_000
NO_BOUND = "1000G"
KINDS = ("popularity", "cooc", "session_seq", "session_knn")
CHILD = """
import resource, sys
from recsys.cli.main import run
code = run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


class Run(NamedTuple):
    """One build."""

    seconds: float
    peak_mb: float
    sha256: str


def write_interactions(folder: Path, rows: int) -> None:
    """Write the interactions as Parquet files, sessions whole within a file."""
    draw = np.random.default_rng(7)
    odds = 1.0 / np.arange(1, N_ITEMS + 1) ** EXPONENT
    cumulated = np.cumsum(odds / odds.sum())
    ids = pa.array([f"item-{n:06d}" for n in range(N_ITEMS)])
    session = 0
    for number, start in enumerate(range(0, rows, ROWS_PER_FILE)):
        count = min(ROWS_PER_FILE, rows - start)
        lengths = draw.integers(2, 31, count // 2 + 1)
        sessions = np.repeat(np.arange(len(lengths)), lengths)[:count] + session
        session = int(sessions[-1]) + 1
        items = np.minimum(np.searchsorted(cumulated, draw.random(count)), N_ITEMS - 1)
        table = pa.table(
            {
                "ts": pa.array(1_767_225_600_000 + np.sort(draw.integers(0, 30 * 86_400_000, count))).cast(
                    pa.timestamp("ms", "UTC")
                ),
                "session_id": pa.array(sessions).cast(pa.string()),
                "item_id": ids.take(pa.array(items)),
            }
        )
        pq.write_table(table, folder / f"part-{number:03d}.parquet", compression="zstd")


def build(folder: Path, kind: str, memory: str) -> Run:
    """Build one kind in a process of its own."""
    out = folder / f"{kind}-{memory}.rsa"
    options = ["--catalog", str(folder / "catalog.rsa"), "--out", str(out), "--memory", memory, "--json"]
    mapping = ["--map", "session_id=session_id"]
    command = [
        sys.executable,
        "-c",
        CHILD,
        "artifact",
        "build",
        kind,
        str(folder / "rows"),
        *options,
        *mapping,
    ]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{kind} within {memory}: {done.stderr}")
    out.unlink()
    return Run(seconds, int(done.stderr.split()[-1]) / 1024, json.loads(done.stdout)["sha256"])


def main() -> int:
    """Run the builds and print them; 1 if the bytes differ or the bound is exceeded."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--rows", type=int, default=50_000_000)
    options.add_argument("--memory", default="1G")
    chosen = options.parse_args()
    is_met = True
    with tempfile.TemporaryDirectory(prefix="recsys-spill-") as scratch:
        folder = Path(scratch)
        (folder / "rows").mkdir()
        build_catalog(str(folder / "catalog.rsa"), [f"item-{n:06d}" for n in range(N_ITEMS)])
        write_interactions(folder / "rows", chosen.rows)
        stored = sum(path.stat().st_size for path in (folder / "rows").iterdir()) / 1e6
        print(f"{chosen.rows:,} interactions, {N_ITEMS:,} items, {stored:,.0f} MB of Parquet", flush=True)
        for kind in KINDS:
            bounded, free = build(folder, kind, chosen.memory), build(folder, kind, NO_BOUND)
            is_same = bounded.sha256 == free.sha256
            is_met &= is_same and bounded.peak_mb * 2**20 <= parse_size(chosen.memory)
            print(f"{kind} within {chosen.memory}: {bounded.seconds:.0f} s, peak {bounded.peak_mb:,.0f} MiB")
            print(f"{kind} without a bound: {free.seconds:.0f} s, peak {free.peak_mb:,.0f} MiB")
            memory, slower = bounded.peak_mb / free.peak_mb, bounded.seconds / free.seconds
            verdict = "the same" if is_same else "DIFFERENT"
            print(
                f"{kind}: {memory:.2f} of the memory, {slower:.2f} times the time, bytes {verdict}",
                flush=True,
            )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
