"""A store file that has lost its end is refused with words; one that is only short is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsys.control.lmdb_store import LmdbStore
from recsys.control.store import Table, Writer

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
