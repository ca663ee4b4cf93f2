"""What abi3 costs: the extension built with it and for this interpreter alone, the same calls in turn.

Both are built below ``target/abi3``, unless they are there already, and loaded into one process. Needs a
Rust toolchain. Microseconds; the ratio is of neighbouring calls.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from benches.synthetic_artifacts import write_catalog, write_neighbours

ROOT = Path(__file__).parent.parent
BUILDS = {"abi3": (), "this CPython": ("--no-default-features",)}
N_ITEMS, N_NEIGHBOURS = 10_000, 50
ROUNDS = 400
CALLS = 25
K = 20


def main() -> None:
    """Print a line for each call: both times, and the ratio of abi3 to the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_catalog(folder / "catalog", N_ITEMS)
        write_neighbours(folder / "cooc", folder / "catalog", N_NEIGHBOURS)
        calls = [_calls(_load(_build(build, *options)), folder) for build, options in BUILDS.items()]
        print(f"{'call':>20} {'abi3':>8} {'without':>8} {'ratio':>6}")
        for call in calls[0]:
            times = [[_time(each[call]) for each in calls] for _ in range(ROUNDS)]
            medians = [statistics.median(column) for column in zip(*times, strict=True)]
            ratio = statistics.median(ours / other for ours, other in times)
            print(f"{call:>20} {medians[0]:>8.2f} {medians[1]:>8.2f} {ratio:>6.2f}")


def _build(build: str, *options: str) -> Path:
    """Build the extension with cargo; return a copy of it."""
    target = ROOT / "target" / "abi3"
    command = ["cargo", "build", "--release", "--locked", "--package", "recsys-python", *options]
    subprocess.run(
        [*command, "--features", "pyo3/extension-module"],
        cwd=ROOT,
        env=os.environ | {"CARGO_TARGET_DIR": str(target), "PYO3_PYTHON": sys.executable},
        check=True,
    )
    folder = target / build.replace(" ", "-")
    folder.mkdir(exist_ok=True)
    return Path(shutil.copy(target / "release" / "lib_native.so", folder / "_native.so"))


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}._native", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"not an extension: {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _calls(native: ModuleType, folder: Path) -> dict[str, Callable[[], object]]:
    catalog = native.Catalog.open(str(folder / "catalog"))
    signal = native.Signal.open(str(folder / "cooc"))
    plan = native.Plan(catalog, [native.Source("cooc", signal, weight=1.0, weight_group="cooc")])
    drawn = np.random.default_rng(2).integers(0, N_ITEMS, 60)
    ids = [f"item-{number:08d}" for number in drawn]
    asked = {"anchors": ids[:10], "exclude": ids[10:], "forbidden_tags": ["tag-007"]}
    ranked = plan.rank(K, 0, **asked)

    def rank_and_encode() -> bytes:
        return bytes(plan.rank(K, 0, **asked).encode_items(b"{", b"}"))

    return {
        "rank and encode": rank_and_encode,
        "rank": lambda: plan.rank(K, 0, **asked),
        "encode": lambda: ranked.encode_items(b"{", b"}"),
        "item ids": lambda: ranked.item_ids,
    }


def _time(call: Callable[[], object]) -> float:
    """Microseconds of one of ``CALLS`` calls."""
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - started) / CALLS * 1e6


if __name__ == "__main__":
    main()
