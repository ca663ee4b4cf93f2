"""Opening a large artifact: its time beside a small one's and beside reading the file; the memory of workers.

``python -m benches.bench_open [--items N] [--neighbours M]``: by default 1 million items x 100 neighbours.
Targets: opening takes under 5 ms whatever the size, and a worker keeps under 80 MB for itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benches.synthetic_artifacts import write_catalog, write_neighbours
from recsys import _native

TARGET_OPEN_MS = 5.0
TARGET_PRIVATE_MB = 80.0
REPEATS = 50
WORKERS = 2


def median_ms(action: Callable[[], object], repeats: int) -> float:
    """Return the median wall time of an action in milliseconds, after one call that is not counted."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def memory_mb() -> dict[str, float]:
    """Return this process's private and shared megabytes, from the kernel's own accounts."""
    fields = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = float(value.split()[0]) / 1024
    return {
        "private": fields["Private_Clean"] + fields["Private_Dirty"],
        "dirty": fields["Private_Dirty"],
        "shared": fields["Shared_Clean"] + fields["Shared_Dirty"],
    }


def work(catalog_path: str, signal_path: str, channel: Connection) -> None:
    """Be a worker: map both files, rank until every page has been asked for, and report the memory."""
    idle = memory_mb()
    catalog, signal = _native.Catalog.open(catalog_path), _native.Signal.open(signal_path)
    source = _native.Source("cooc", signal, weight=1.0, weight_group="cooc")
    plan = _native.Plan(catalog, [source])
    rng = np.random.default_rng(os.getpid())
    for draw in rng.integers(0, catalog.n_items, (4000, 10)):
        plan.rank(20, 0, anchors=[f"item-{i:08d}" for i in draw])
    # A page counts as shared while another process maps it too, so all report before any leaves.
    channel.send("ready")
    channel.recv()
    channel.send((idle, memory_mb()))
    channel.recv()


def worker_memory(catalog: Path, signal: Path) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Run the workers side by side; return each one's memory before and after."""
    context = multiprocessing.get_context("spawn")
    channels, processes = [], []
    for _ in range(WORKERS):
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(str(catalog), str(signal), theirs))
        process.start()
        theirs.close()
        channels.append(ours)
        processes.append(process)
    for channel in channels:
        channel.recv()
    reports = []
    for channel in channels:
        channel.send("report")
        reports.append(channel.recv())
    for channel, process in zip(channels, processes, strict=True):
        channel.send("leave")
        process.join()
    return reports


def main() -> int:
    """Print the figures; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--neighbours", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {}
        for size, items, neighbours in (
            ("small", 1000, 10),
            ("large", options.items, options.neighbours),
        ):
            catalog, signal = folder / f"{size}-catalog", folder / f"{size}-signal"
            write_catalog(catalog, items)
            write_neighbours(signal, catalog, neighbours)
            files[size] = (catalog, signal)
        for path in files["small"]:
            _native.verify(str(path))
        opened = {}
        for size, (catalog, signal) in files.items():
            for label, reader, path in (
                ("catalog", _native.Catalog, catalog),
                ("signal", _native.Signal, signal),
            ):
                opened[size, label] = median_ms(lambda r=reader, p=path: r.open(str(p)), REPEATS)
        catalog, signal = files["large"]
        print(f"{options.items:,} items x {options.neighbours} neighbours; medians of {REPEATS} warm calls")
        for label, path in (("catalog", catalog), ("signal", signal)):
            read_ms = median_ms(path.read_bytes, 3)
            large, small = opened["large", label], opened["small", label]
            print(
                f"open {label:8} {path.stat().st_size / 2**20:8.1f} MiB {large:8.3f} ms"
                f"   {large / small:5.2f} x a small one ({small:.3f} ms)"
                f"   1/{read_ms / large:,.0f} of reading it ({read_ms:.0f} ms)"
            )
        worst_open = max(opened["large", label] for label in ("catalog", "signal"))
        print(f"target {TARGET_OPEN_MS} ms: {worst_open / TARGET_OPEN_MS:.3f} of it")
        worst_private = 0.0
        for i, (idle, busy) in enumerate(worker_memory(catalog, signal)):
            worst_private = max(worst_private, busy["private"])
            print(
                f"worker {i} of {WORKERS}: private {busy['private']:.1f} MB ({busy['dirty']:.1f} dirty)"
                f" (before opening {idle['private']:.1f}); shared {busy['shared']:.1f} MB,"
                f" {busy['shared'] / busy['private']:.1f} x the private"
            )
        print(f"target {TARGET_PRIVATE_MB} MB: {worst_private / TARGET_PRIVATE_MB:.2f} of it")
        return int(worst_open > TARGET_OPEN_MS or worst_private > TARGET_PRIVATE_MB)


if __name__ == "__main__":
    sys.exit(main())
