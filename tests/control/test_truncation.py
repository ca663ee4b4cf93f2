"""A store file that has lost its end is refused with words; one that is only short is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsys.control.lmdb_store import LmdbStore
from recsys.control.plane import ControlPlane
from recsys.control.store import CorruptStoreError, Table, Writer

OPEN_AND_READ = """
import sys
from pathlib import Path
from recsys.control.lmdb_store import LmdbStore
from recsys.control.store import CorruptStoreError, Table
try:
    with LmdbStore(Path(sys.argv[1])).read() as reader:
        print(len(list(reader.scan(Table.DOCUMENTS))), "documents")
except CorruptStoreError as error:
    print(error)
"""


TRUNCATE_IN_USE = """
import os, sys
from pathlib import Path
from recsys.control.lmdb_store import LmdbStore
from recsys.control.store import CorruptStoreError, Table
store = LmdbStore(Path(sys.argv[1]))
def count(reader):
    return len(list(reader.scan(Table.DOCUMENTS)))
with store.read() as reader:
    print(count(reader), "documents")
os.truncate(Path(sys.argv[1]) / "data.mdb", int(sys.argv[2]))
def read():
    with store.read() as reader:
        count(reader)
def back_up():
    store.backup(Path(sys.argv[3]))
for use in (read, back_up, lambda: store.update(count), lambda: store.wait_for_change(0, 0.0)):
    try:
        use()
    except CorruptStoreError as error:
        print(error)
store.close()
"""


def write(folder: Path) -> Path:
    store = LmdbStore(folder)

    def fill(writer: Writer) -> None:
        for number in range(100):
            writer.put(Table.DOCUMENTS, b"%d" % number, bytes(5000))

    store.update(fill)
    store.close()
    return folder / "data.mdb"


def read(folder: Path) -> tuple[int, str]:
    """Open and read the store in a process of its own, for a missing page kills the one that reads it."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AND_READ, str(folder)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize("left", [2 * 4096, 0.3, 0.99], ids=["only-meta-pages", "a-third", "nearly-all"])
def test_truncated_file_is_an_error_and_no_crash(tmp_path: Path, left: float) -> None:
    file = write(tmp_path / "c")
    size = file.stat().st_size
    os.truncate(file, int(left if left > 1 else size * left))
    code, said = read(tmp_path / "c")
    assert code == 0
    assert said == f"{tmp_path / 'c'}: data.mdb is truncated: restore it from a backup"


def test_file_whose_last_pages_were_never_written_is_whole(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "c")

    def take_and_give_back(writer: Writer) -> None:
        writer.put(Table.DOCUMENTS, b"kept", b"1")
        writer.put(Table.DOCUMENTS, b"big", bytes(200_000))
        writer.delete(Table.DOCUMENTS, b"big")

    store.update(take_and_give_back)
    pages = store._environment.info()["last_pgno"] + 1
    store.close()
    assert (tmp_path / "c" / "data.mdb").stat().st_size < pages * 4096
    assert read(tmp_path / "c") == (0, "1 documents")


@pytest.mark.parametrize("left", [0, 4096, 40_960])
def test_file_that_is_truncated_while_it_is_open_is_an_error_and_no_crash(tmp_path: Path, left: int) -> None:
    file = write(tmp_path / "c")
    size = file.stat().st_size
    command = [sys.executable, "-c", TRUNCATE_IN_USE, str(tmp_path / "c"), str(left), str(tmp_path / "copy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *errors = done.stdout.splitlines()
    assert first == "100 documents"
    said = f"{file}: {left} bytes, {size} before: truncated or replaced while it was in use"
    assert [error.startswith(said) for error in errors] == [True] * 4


def test_file_that_is_gone_while_it_is_open_is_an_error(tmp_path: Path) -> None:
    file = write(tmp_path / "c")
    store = LmdbStore(tmp_path / "c")
    file.unlink()
    with pytest.raises(CorruptStoreError, match=r"data\.mdb: gone while it was in use"):
        store.update(lambda writer: writer.put(Table.DOCUMENTS, b"lost", b"1"))
    store.close()


def test_file_that_was_emptied_is_not_taken_for_a_new_store(tmp_path: Path) -> None:
    plane = ControlPlane.open(tmp_path / "c")
    plane.create_tenant("demo", actor="test")
    plane.close()
    os.truncate(tmp_path / "c" / "data.mdb", 0)
    with pytest.raises(CorruptStoreError, match=r"data\.mdb: empty, and was not"):
        ControlPlane.open(tmp_path / "c")
