"""What both stores promise: order, prefixes, whole changes, one after the other, and word of each."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane
from recsys.control.store import ControlError, Store, Table, Writer, after_prefix


@pytest.fixture
def store(location: StoreLocation) -> Iterator[Store]:
    opened = location.open_store()
    yield opened
    opened.close()


def test_a_failed_change_leaves_nothing_behind(store: Store) -> None:
    def change(writer: Writer) -> None:
        writer.put(Table.DOCUMENTS, b"a", b"1")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        store.update(change)
    with store.read() as reader:
        assert reader.get(Table.DOCUMENTS, b"a") is None
        with pytest.raises(ControlError, match="inside another"):
            store.update(lambda writer: None)


def test_scan_keeps_to_its_prefix_in_both_directions(store: Store) -> None:
    names = [b"a\0\x01", b"a\0\xff", b"ab\0\x01", b"b", b"\xff", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff1"]
    for name in names:
        store.update(lambda writer, n=name: writer.put(Table.REVISIONS, n, b""))
    with store.read() as reader:
        assert [key for key, _ in reader.scan(Table.REVISIONS, b"a\0")] == names[:2]
        assert [key for key, _ in reader.scan(Table.REVISIONS, b"a\0", reverse=True)] == names[1::-1]
        assert [key for key, _ in reader.scan(Table.REVISIONS, reverse=True)] == names[::-1]
        assert [key for key, _ in reader.scan(Table.REVISIONS, b"\xff", reverse=True)] == names[:3:-1]
        assert list(reader.scan(Table.REVISIONS, b"zz", reverse=True)) == []


def test_a_random_history_reads_as_a_dict_does(store: Store) -> None:
    chance = random.Random(7)
    model: dict[bytes, bytes] = {}
    keys = [bytes(chance.choices(b"\0\x01a\xfe\xff", k=chance.randint(1, 4))) for _ in range(200)]

    def change(writer: Writer) -> None:
        for _ in range(chance.randint(1, 60)):
            key = chance.choice(keys)
            if chance.random() < 0.3:
                writer.delete(Table.DOCUMENTS, key)
                model.pop(key, None)
            else:
                model[key] = chance.randbytes(chance.randint(0, 20))
                writer.put(Table.DOCUMENTS, key, model[key])
            if chance.random() < 0.05:
                assert writer.get(Table.DOCUMENTS, key) == model.get(key)
                assert dict(writer.scan(Table.DOCUMENTS)) == model

    for _ in range(20):
        store.update(change)
        with store.read() as reader:
            for prefix in (b"", b"\xff", chance.choice(keys)[:2]):
                below = chance.choice([None, *keys])
                expected = sorted(
                    item
                    for item in model.items()
                    if item[0].startswith(prefix) and (not below or item[0] < below)
                )
                assert list(reader.scan(Table.DOCUMENTS, prefix, below=below)) == expected
                backwards = list(reader.scan(Table.DOCUMENTS, prefix, below=below, reverse=True))
                assert backwards == expected[::-1]
    store.update(lambda writer: writer.clear(Table.DOCUMENTS))
    with store.read() as reader:
        assert list(reader.scan(Table.DOCUMENTS)) == []


def test_bound_of_a_prefix() -> None:
    assert after_prefix(b"") is None
    assert after_prefix(b"\xff\xff") is None
    assert after_prefix(b"a\xff") == b"b"


def test_changes_of_many_threads_come_one_after_the_other(store: Store) -> None:
    def add(writer: Writer) -> None:
        value = writer.get(Table.DOCUMENTS, b"n") or b"0"
        writer.put(Table.DOCUMENTS, b"n", b"%d" % (int(value) + 1))

    threads = [threading.Thread(target=lambda: [store.update(add) for _ in range(10)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as reader:
        assert reader.get(Table.DOCUMENTS, b"n") == b"60"


def test_a_view_does_not_move_while_it_is_open(store: Store) -> None:
    store.update(lambda writer: writer.put(Table.DOCUMENTS, b"a", b"1"))
    with store.read() as reader:
        assert reader.get(Table.DOCUMENTS, b"a") == b"1"
        other = threading.Thread(
            target=store.update, args=(lambda writer: writer.put(Table.DOCUMENTS, b"a", b"2"),)
        )
        other.start()
        other.join()
        assert reader.get(Table.DOCUMENTS, b"a") == b"1"


def test_a_change_of_another_process_wakes_who_waits(location: StoreLocation) -> None:
    plane = ControlPlane.open(location)
    known = plane.wait_for_change(0, 0.0)
    assert plane.wait_for_change(known, 0.1) == known
    program = (
        "import sys; from pathlib import Path; from recsys.control.locations import StoreLocation\n"
        "from recsys.control.plane import ControlPlane\n"
        "plane = ControlPlane.open(StoreLocation(Path(sys.argv[1]), sys.argv[2] or None))\n"
        "plane.create_tenant('demo', actor='other')"
    )
    arguments = [sys.executable, "-c", program, str(location.secret_folder), location.url or ""]
    other = subprocess.Popen(arguments)
    assert plane.wait_for_change(known, 30.0) == known + 1
    assert plane.wait_for_change(known + 1, 0.0) == known + 1
    plane.set_tenant_state("demo", "suspended", actor="here")
    started = time.monotonic()
    assert plane.wait_for_change(known + 1, 30.0) == known + 2
    assert time.monotonic() - started < 20
    assert other.wait() == 0
    plane.close()


def test_a_lock_is_held_by_one_and_given_back_by_the_killed(location: StoreLocation) -> None:
    store = location.open_store()
    program = (
        "import sys, time; from pathlib import Path; from recsys.control.locations import StoreLocation\n"
        "with StoreLocation(Path(sys.argv[1]), sys.argv[2] or None).open_store().try_lock('x') as held:\n"
        "    print(held, flush=True); time.sleep(60)"
    )
    arguments = [sys.executable, "-c", program, str(location.secret_folder), location.url or ""]
    other = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    with store.try_lock("x") as held, store.try_lock("y") as held_too:
        assert (held, held_too) == (False, True)
    other.kill()
    other.communicate()
    deadline = time.monotonic() + 20
    while True:
        with store.try_lock("x") as held:
            if held or time.monotonic() > deadline:
                break
        time.sleep(0.05)
    assert held
    store.close()


def test_a_copy_of_either_store_is_an_lmdb_store(store: Store, tmp_path: Path) -> None:
    rows = {b"%05d" % number: b"v" * (number % 7) for number in range(3000)}

    def change(writer: Writer) -> None:
        for key, value in rows.items():
            writer.put(Table.DOCUMENTS, key, value)

    store.update(change)
    store.backup(tmp_path / "copy")
    copy = StoreLocation(tmp_path / "copy").open_store()
    with copy.read() as reader:
        assert dict(reader.scan(Table.DOCUMENTS)) == rows
    copy.close()
    with pytest.raises(ControlError, match="could not be written"):
        store.backup(tmp_path / "copy")
