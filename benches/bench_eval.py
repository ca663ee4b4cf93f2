"""The check of logs: its lines a second, beside plain decoding of the exposures by msgspec.

``python -m benches.bench_eval [--exposures N]``: by default 300 thousand exposures of five items, 10 % of
them with an outcome. Target: lines are checked at 300 thousand a second or more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from recsys.contracts.records import Exposure
from recsys.evaluation.inputs import Role
from recsys.evaluation.validate import validate_logs

TARGET_LINES_S = 300_000
REPEATS = 3
USERS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(5000)]


def write_logs(folder: Path, n_exposures: int) -> tuple[Path, Path]:
    """Write exposures of five items and an outcome for each tenth of them; the same bytes each time."""
    exposures, outcomes = folder / "exposures.jsonl", folder / "outcomes.jsonl"
    with exposures.open("w") as served, outcomes.open("w") as came:
        for number in range(n_exposures):
            ts = f"2026-01-{1 + number % 28:02d}T10:00:00.{number % 1_000_000:06d}Z"
            ids = {"request_id": f"01a20d34-a472-75c8-a5da-{number:012d}", "user_id": USERS[number % 5000]}
            items = [{"item_id": str((number * 7 + rank) % 90_000), "rank": rank} for rank in range(1, 6)]
            context = {"tenant_id": "demo", "surface": "home", "algo_version": "recsys-0.1.0"}
            record = {**ids, "ts": ts, "items": items, "context": context, "latency_ms": 1.5, "error": False}
            served.write(json.dumps(record, separators=(",", ":")) + "\n")
            if number % 10 == 0:
                click = {**ids, "item_id": items[0]["item_id"], "event_type": "click", "ts": ts}
                came.write(json.dumps(click, separators=(",", ":")) + "\n")
    return exposures, outcomes


def decode_plainly(file: Path) -> None:
    decode = msgspec.json.Decoder(Exposure).decode
    with file.open("rb") as lines:
        for line in lines:
            decode(line)


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main(arguments: list[str] | None = None) -> int:
    """Print the rates and their ratio; return 1 when lines are checked slower than the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exposures", type=int, default=300_000)
    n_exposures = parser.parse_args(arguments).exposures
    now = datetime(2026, 2, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        exposures, outcomes = write_logs(Path(folder), n_exposures)
        logs: dict[Role, list[str]] = {"exposures": [str(exposures)], "outcomes": [str(outcomes)]}
        # In turn, so that both see the same noise of the machine.
        pairs = [
            (seconds(lambda: decode_plainly(exposures)), seconds(lambda: validate_logs(logs, now=now)))
            for _ in range(REPEATS)
        ]
    plain_s, whole_s = min(plain for plain, _ in pairs), min(whole for _, whole in pairs)
    ratio = statistics.median(whole / plain for plain, whole in pairs)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    n_lines = n_exposures + (n_exposures + 9) // 10
    print(f"plain msgspec decoding     {n_exposures / plain_s:>12,.0f} exposures/s")
    print(
        f"validate with its join     {n_lines / whole_s:>12,.0f} lines/s, {ratio:.2f}x the time of decoding"
    )
    print(f"peak memory                {peak_mb:>12,.0f} MB")
    return int(n_lines / whole_s < TARGET_LINES_S)


if __name__ == "__main__":
    sys.exit(main())
