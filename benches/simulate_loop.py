"""The whole loop through a real service: users arrive, get arms and click by a position-based model.

``python -m benches.simulate_loop``: four parts, each beside what is true (``tests/experiments/shop.py``).
Takes some minutes. The exit code is 1 when one is not as it should be.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from scipy import stats
from tests.experiments.loop import (
    LEVEL,
    N_SPLITS,
    count_false_positives,
    estimate_new_mode,
    known_effect,
    stop_broken_arm,
    users_of,
)
from tests.experiments.shop import build_shop, open_shop

N_USERS, N_VISITS, N_GUARDS = 3000, 2, 3


def main() -> int:
    """Print what was found beside what is true."""
    started = time.monotonic()
    users = users_of(N_USERS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = [_effect(folder / "effect", users), _guard(folder, users), _off_policy(folder, users)]
    verdict = "as it should be" if all(results) else "NOT as it should be"
    print(f"{verdict}; {time.monotonic() - started:.0f} s")
    return 0 if all(results) else 1


def _effect(folder: Path, users: list[str]) -> bool:
    folder.mkdir()
    build_shop(folder)
    with open_shop(folder, workers=2) as shop:
        effect = known_effect(shop, users, N_VISITS)
        n_found = count_false_positives(shop)
    gap = effect.interval
    print(f"known effect on the click-through rate ({len(users)} users, {N_VISITS} requests each)")
    print(f"  true {gap.truth:+.4f}, found {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] at {LEVEL:.1%}")
    print(f"  join rate {effect.join_rate:.1%}; sample ratio {'broken' if effect.is_mismatch else 'sound'}")
    share = stats.binomtest(n_found, N_SPLITS, 0.05)
    around = share.proportion_ci(0.95)
    print(f"equal arms: of {N_SPLITS} experiments on the control's users, {n_found} find a difference at 5 %")
    print(f"  {n_found / N_SPLITS:.1%}, 95 % interval {around.low:.1%} to {around.high:.1%}", flush=True)
    return gap.holds and gap.low > 0 and not effect.is_mismatch and share.pvalue > 1e-3


def _guard(folder: Path, users: list[str]) -> bool:
    print("an arm with empty lists, beside `recsys experiment guard --every 0.2`")
    is_sound = True
    for number in range(N_GUARDS):
        data = folder / f"guard-{number}"
        data.mkdir()
        build_shop(data)
        with open_shop(data, workers=2) as shop:
            done = stop_broken_arm(shop, users)
        print(
            f"  rolled back after {done.stopped_s:.1f} s ({done.n_asked} requests, {done.n_empty} empty);"
            f" no arm served {done.gone_s:.2f} s later",
            flush=True,
        )
        is_sound &= done.exit_code == 3 and "empty_list_rate of broken" in done.told
    return is_sound


def _off_policy(folder: Path, users: list[str]) -> bool:
    data = folder / "off-policy"
    data.mkdir()
    done = estimate_new_mode(data, users, N_VISITS)
    truth = next(iter(done.estimates.values())).truth
    print(f"a mode that was not served, from logs with exploration: clicks per list, true {truth:.3f}")
    print(f"  served {done.served:.3f}")
    for name, one in done.estimates.items():
        print(f"  {name} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}] at {LEVEL:.1%}")
    return all(done.estimates[name].holds for name in ("standard_ips", "reward_interaction_ips"))


if __name__ == "__main__":
    sys.exit(main())
