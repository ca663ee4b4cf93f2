"""Runs the benchmarks one after the other: ``python -m benches [NAME ...]``, each named as its file is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main(wanted: list[str]) -> int:
    """Run the named benchmarks, by default all; return 1 if any of them failed, 2 for an unknown name."""
    known = {path.stem.removeprefix("bench_"): path for path in sorted(FOLDER.rglob("bench_*.py"))}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = []
    for name in wanted or known:
        print(f"\n== {name}", flush=True)
        module = ".".join(known[name].relative_to(FOLDER.parent).with_suffix("").parts)
        # A process each: none inherits another's caches, threads or peak memory.
        if subprocess.run([sys.executable, "-m", module], cwd=FOLDER.parent, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
