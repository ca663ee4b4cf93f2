"""Seconds and memory of building signals natively and on Spark in local mode, from the same canonical days.

``python -m benches.bench_spark [--rows 1000000 10000000] [--page FILE]``: interactions of 100 thousand
items by Zipf's law with exponent 1.05, in sessions of 2 to 30, are ingested into a workspace; then ``recsys
pipeline build`` makes each kind, with either engine, in processes of its own. Memory is the peak of all of
them together (resident, so scratch files that are mapped count too). Both start from nothing, the JVM
included. The signals are compared: the same keys, and lists of the same length. ``--page`` replaces the
table of a document. Needs the extra ``spark`` and Java.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from benches.bench_spill import N_ITEMS, write_interactions
from recsys._native import Signal, build_catalog

KINDS = ("popularity", "cooc", "session_seq")
ENGINES = ("native", "spark")
DAYS = ["--from", "2026-01-01", "--to", "2026-01-30"]
OF = ["--tenant", "bench", "--surface", "home"]
NATIVE_MEMORY = "1G"
SPARK_MEMORY = "4g"
POLL_S = 0.1
MARKER = re.compile(r"(<!-- spark -->\n).*?(<!-- end -->)", re.DOTALL)


class Run(NamedTuple):
    """One build: seconds, and the peak of all processes in MB."""

    seconds: float
    peak_mb: float


def recsys(*words: str) -> Run:
    """Run a command and watch the memory of its processes; raises when it fails."""
    environment = os.environ | {"PYSPARK_SUBMIT_ARGS": f"--driver-memory {SPARK_MEMORY} pyspark-shell"}
    started = time.perf_counter()
    command = [sys.executable, "-c", "from recsys.cli.main import main; main()", *words]
    with tempfile.TemporaryFile() as printed:
        process = psutil.Popen(command, env=environment, stdout=printed, stderr=subprocess.STDOUT)
        peak = 0
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(POLL_S):
                peak = max(peak, _resident_bytes(process))

        thread = threading.Thread(target=watch)
        thread.start()
        code = process.wait()
        done.set()
        thread.join()
        if code:
            printed.seek(0)
            raise SystemExit(f"{' '.join(words)}: {printed.read().decode(errors='replace')[-2000:]}")
    return Run(time.perf_counter() - started, peak / 1e6)


def _resident_bytes(process: psutil.Process) -> int:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:  # it ended while it was looked at
        return total
    return total


def measure(folder: Path, rows: int) -> dict[tuple[str, str], Run]:
    """Ingest so many interactions and build every kind with either engine."""
    raw, data = folder / "rows", folder / "data"
    raw.mkdir(parents=True)
    write_interactions(raw, rows)
    build_catalog(str(folder / "catalog.rsa"), [f"item-{n:06d}" for n in range(N_ITEMS)])
    at = [*OF, *DAYS, "--data-dir", str(data)]
    mapping = ["--map", "session_id=session_id", "--set", "tenant=bench", "--set", "surface=home"]
    ingested = recsys("pipeline", "ingest", *at, "--interactions", str(raw), *mapping)
    print(f"{rows:,} interactions, ingested in {ingested.seconds:.0f} s", flush=True)
    build = ["pipeline", "build"]
    recsys(*build, "catalog", *at, "--catalog", str(folder / "catalog.rsa"))
    runs: dict[tuple[str, str], Run] = {}
    for kind in KINDS:
        found = []
        for engine in ENGINES:
            words = [*build, kind, *at, "--engine", engine, "--memory", NATIVE_MEMORY]
            runs[kind, engine] = run = recsys(*words)
            found.append(_shape(data / "pipeline" / "bench" / "home" / "build" / f"{kind}.rsa"))
            print(f"{kind} {engine}: {run.seconds:.1f} s, peak {run.peak_mb:,.0f} MB", flush=True)
        if found[0] != found[1]:
            raise SystemExit(f"{kind}: {found[0]} natively, {found[1]} on Spark")
    return runs


def _shape(path: Path) -> tuple[int, int]:
    """Return how many keys a signal has, and the entries of its lists."""
    lengths = Signal.open(str(path)).list_lengths()
    return len(lengths), sum(lengths)


def table_of(measured: dict[int, dict[tuple[str, str], Run]]) -> str:
    """Return the runs as a Markdown table."""
    lines = [
        "| interactions | kind | native: seconds | peak MB | Spark: seconds | peak MB | Spark takes |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for rows, runs in measured.items():
        for kind in KINDS:
            native, spark = runs[kind, "native"], runs[kind, "spark"]
            times = f"{spark.seconds / native.seconds:.1f} x, {spark.peak_mb / native.peak_mb:.1f} x"
            lines.append(
                f"| {rows:,} | {kind} | {native.seconds:.1f} | {native.peak_mb:,.0f} "
                f"| {spark.seconds:.1f} | {spark.peak_mb:,.0f} | {times} |"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure every size and print the table."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    options.add_argument("--page", type=Path)
    chosen = options.parse_args()
    measured: dict[int, dict[tuple[str, str], Run]] = {}
    for rows in chosen.rows:
        with tempfile.TemporaryDirectory(prefix="recsys-spark-") as scratch:
            measured[rows] = measure(Path(scratch), rows)
    table = table_of(measured)
    print(table)
    if chosen.page is not None:
        chosen.page.write_text(MARKER.sub(rf"\g<1>{table}\g<2>", chosen.page.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
