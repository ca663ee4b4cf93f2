"""The store under kill -9, a full map, and several processes and threads."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path

import pytest

from recsys.control.lmdb_store import LmdbStore
from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane
from recsys.control.rows import RowSetName, find_row_set, read_chunks
from recsys.control.store import Table

WRITER = Path(__file__).with_name("writer_process.py")
KILLS = int(os.environ.get("RECSYS_TEST_KILLS", "8"))


@pytest.mark.slow
def test_what_was_acknowledged_survives_kills_at_random_moments(location: StoreLocation) -> None:
    command = [sys.executable, str(WRITER), str(location.secret_folder), location.url or ""]
    plane = ControlPlane.open(location)
    plane.create_tenant("demo", actor="test")
    plane.close()
    moments = random.Random(4)
    for _ in range(KILLS):
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip()]
        time.sleep(moments.uniform(0.0, 0.05))
        writer.kill()
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        writer.wait()

        plane = ControlPlane.open(location)
        plane.verify()
        audited = [entry.after for entry in plane.audit_entries("demo", limit=1_000_000)][::-1]
        # At most one change was committed and not yet told when the kill came.
        told = len(acknowledged)
        assert acknowledged in (audited[-told:], audited[-told - 1 : -1])
        versions = [after for after in audited if not str(after).startswith("rows ")]
        assert plane.document("demo", "config").revision.version == versions[-1]
        loads = [int(str(after)[5:]) for after in audited if str(after).startswith("rows ")]
        with plane.read() as reader:
            for number in loads[-20:]:
                name = RowSetName("popularity", "home", "default", date(2026, 1, number % 28 + 1))
                last = max(one for one in loads if (one - number) % 28 == 0)
                found = find_row_set(reader, "demo", name)
                assert found is not None
                assert next(read_chunks(reader, "demo", found)) == b"%d-0" % last * 500
        plane.put("demo", "config", b"{}", author="after")
        plane.close()


def test_a_change_that_does_not_fit_grows_the_map(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "c", initial_map_bytes=256 * 1024)
    before = store.map_bytes
    for number in range(20):
        store.update(lambda writer, n=number: writer.put(Table.DOCUMENTS, b"%d" % n, bytes(100_000)))
    assert store.map_bytes > before
    with store.read() as reader:
        assert len(list(reader.scan(Table.DOCUMENTS))) == 20
    store.close()


def test_a_map_grown_by_another_process_is_taken_over(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "c", initial_map_bytes=256 * 1024)
    program = (
        "import sys; from pathlib import Path; from recsys.control.lmdb_store import LmdbStore\n"
        "from recsys.control.store import Table\n"
        "store = LmdbStore(Path(sys.argv[1]), initial_map_bytes=256 * 1024)\n"
        "store.update(lambda w: w.put(Table.DOCUMENTS, b'big', bytes(5_000_000)))\n"
        "store.close()"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "c")], check=True)
    with store.read() as reader:
        assert len(reader.get(Table.DOCUMENTS, b"big") or b"") == 5_000_000
    store.update(lambda writer: writer.put(Table.DOCUMENTS, b"more", b"1"))
    store.close()


def test_reads_of_other_threads_go_on_while_the_map_grows(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "c", initial_map_bytes=256 * 1024)
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            with store.read() as reader:
                seen.append(len(list(reader.scan(Table.DOCUMENTS))))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for number in range(30):
            store.update(lambda writer, n=number: writer.put(Table.DOCUMENTS, b"%03d" % n, bytes(50_000)))
    finally:
        done.set()
        thread.join()
    store.close()
    assert seen == sorted(seen)
