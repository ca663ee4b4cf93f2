"""Files appear whole or not at all, and a disk that is full is told with the name of the file."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.artifacts.atomic_files import named_errors, write_atomically


def full_disk() -> Iterator[bytes]:
    """Give a piece, then fail as a write to a full disk does: without the name of a file."""
    yield b"half"
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_write_that_fails_leaves_what_was_there_and_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    write_atomically(path, [b"before"])
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, full_disk())
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_that_names_its_file_keeps_that_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, named_errors(tmp_path):
        (tmp_path / "absent").read_bytes()
    assert caught.value.filename == str(tmp_path / "absent")
