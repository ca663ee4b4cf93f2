"""What users have seen: counts, windows, bounds, and forgetting."""

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.contracts.config import SeenPolicy
from recsys.eventlog.seen import MAX_ENTRIES, SeenItems, Sight

HOUR_US = 3_600_000_000
NOW_US = 1_000 * HOUR_US
POLICY = SeenPolicy(action="drop", window_hours=24, min_shown=2, min_taken=1)


def shown(at_us: int, *items: str, user: str = "u", surface: str | None = "home") -> Sight:
    return Sight("t", user, surface, at_us, f"r{at_us}", list(items))


def taken(at_us: int, item: str) -> Sight:
    return shown(at_us, item, surface=None)


@pytest.fixture
def seen(tmp_path):
    store = SeenItems(tmp_path / "seen")
    yield store
    store.close()


def find(
    store: SeenItems, now_us: int = NOW_US, policy: SeenPolicy = POLICY, surface: str = "home"
) -> list[str]:
    return store.find("t", "u", surface, policy, now_us)


def test_nothing_is_made_before_something_is_recorded(seen, tmp_path):
    assert find(seen) == []
    seen.forget_user("t", "u")
    assert not (tmp_path / "seen").exists()


def test_an_item_counts_at_so_many_lists_or_outcomes(seen):
    seen.add([shown(NOW_US - 2, "a", "b"), shown(NOW_US - 1, "a"), taken(NOW_US - 3, "c")])
    assert find(seen) == ["a", "c"]
    assert find(seen, surface="other") == ["c"]
    assert seen.find("t", "v", "home", POLICY, NOW_US) == []
    assert seen.find("s", "u", "home", POLICY, NOW_US) == []


def test_one_event_counts_once(seen):
    for _ in range(3):
        seen.add([shown(NOW_US - 1, "a")])
    assert find(seen) == []


def test_only_the_latest_lists_are_looked_at(seen):
    first = [shown(NOW_US - 10 * MAX_ENTRIES, "old"), shown(NOW_US - 10 * MAX_ENTRIES + 1, "old")]
    seen.add([*first, *(shown(NOW_US - MAX_ENTRIES + n, "new") for n in range(MAX_ENTRIES))])
    assert find(seen) == ["new"]


def test_a_user_is_forgotten_and_nobody_else(seen):
    seen.add([taken(NOW_US - 1, "a"), shown(NOW_US - 1, "b", user="v"), shown(NOW_US - 2, "b", user="v")])
    seen.forget_user("t", "u")
    assert find(seen) == []
    assert seen.find("t", "v", "home", POLICY, NOW_US) == ["b"]


@settings(max_examples=50, deadline=None)
@given(
    events=st.lists(
        st.tuples(st.integers(1, 60), st.sampled_from("abc"), st.booleans()), max_size=30, unique=True
    ),
    window=st.integers(1, 40),
    min_shown=st.integers(1, 4),
    min_taken=st.integers(1, 3),
)
def test_counts_are_those_of_the_window_up_to_the_clock(
    tmp_path_factory, events, window, min_shown, min_taken
):
    store = SeenItems(tmp_path_factory.mktemp("seen"), max_bytes=1 << 22)
    start = NOW_US - 50 * HOUR_US  # so that some are after the clock
    store.add(
        [
            Sight("t", "u", None if is_taken else "home", start + hour * HOUR_US, item, [item])
            for hour, item, is_taken in events
        ]
    )
    policy = SeenPolicy("drop", float(window), min_shown, min_taken)

    def count(item: str, is_taken: bool) -> int:
        within = [hour for hour, *what in events if what == [item, is_taken] and 50 - window <= hour <= 50]
        return len(within)

    expected = [i for i in "abc" if count(i, False) >= min_shown or count(i, True) >= min_taken]
    assert find(store, policy=policy) == expected
    store.close()


def test_room_is_bounded_and_the_latest_is_kept(tmp_path):
    store = SeenItems(tmp_path, max_bytes=1 << 20)
    items = [f"item-{n:04}" for n in range(20)]
    for n in range(20_000):
        store.add([Sight("t", f"u{n}", "home", NOW_US - 1, "r", items)])
    policy = SeenPolicy("drop", min_shown=1)
    assert store.find("t", "u19999", "home", policy, NOW_US) == items
    assert store.find("t", "u19500", "home", policy, NOW_US) == items
    assert store.find("t", "u0", "home", policy, NOW_US) == []
    store.close()


def _record(folder: Path, worker: int) -> None:
    store = SeenItems(folder)
    store.add([shown(NOW_US - 10 + worker, "a")])
    store.close()


def test_workers_share_it_and_a_restart_keeps_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_record, args=(tmp_path, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    store = SeenItems(tmp_path)
    assert find(store) == ["a"]
    store.close()
