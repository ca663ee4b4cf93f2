"""Arrow string columns into hashes and ordinals."""

from __future__ import annotations

import struct
from array import array
from pathlib import Path

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import _native
from recsys.contracts.errors import BuildError

UNKNOWN = 0xFFFFFFFF


def arrow(strings: list[str], *, wide: bool) -> tuple[memoryview, pa.Buffer | bytes]:
    """Return the offsets, i32 or i64, and the bytes of an Arrow array."""
    column = pa.array(strings, pa.large_string() if wide else pa.string())
    _, offsets, data = column.buffers()
    count = len(strings) + 1
    # Arrow's buffers are plain bytes, which would be taken for wide offsets.
    typed = memoryview(offsets)[: count * (8 if wide else 4)].cast("B").cast("q" if wide else "i")
    return typed, data or b""


@settings(deadline=None)
@given(strings=st.lists(st.text(), min_size=1), wide=st.booleans())
def test_hashes_are_xxh3_of_each_string(strings: list[str], wide: bool) -> None:
    hashes = _native.hash_strings(*arrow(strings, wide=wide))
    assert list(struct.unpack(f"<{len(strings)}Q", hashes)) == [
        xxhash.xxh3_64_intdigest(text.encode()) for text in strings
    ]


def test_plain_bytes_are_taken_for_wide_offsets() -> None:
    assert _native.hash_strings(struct.pack("<3q", 1, 3, 3), b"xab") == struct.pack(
        "<2Q", xxhash.xxh3_64_intdigest(b"ab"), xxhash.xxh3_64_intdigest(b"")
    )


def test_no_strings_make_no_bytes() -> None:
    assert _native.hash_strings(b"", b"") == b""
    assert _native.hash_strings(array("q", [0]), b"") == b""


@settings(deadline=None)
@given(strings=st.lists(st.sampled_from(["pear", "apple", "brötchen", "quince", ""]), min_size=1))
def test_ordinals_are_places_in_byte_order(
    tmp_path_factory: pytest.TempPathFactory, strings: list[str]
) -> None:
    path = tmp_path_factory.mktemp("catalog") / "catalog"
    _native.build_catalog(str(path), ["pear", "apple", "brötchen"])
    catalog = _native.Catalog.open(str(path))
    ordinals = _native.ordinals_of(catalog, *arrow(strings, wide=False))
    places = {"apple": 0, "brötchen": 1, "pear": 2}
    assert list(array("I", ordinals)) == [places.get(text, UNKNOWN) for text in strings]


def test_bytes_that_are_no_text_are_unknown(tmp_path: Path) -> None:
    _native.build_catalog(str(tmp_path / "catalog"), ["a"])
    catalog = _native.Catalog.open(str(tmp_path / "catalog"))
    assert _native.ordinals_of(catalog, array("i", [0, 1, 2]), b"a\xff") == struct.pack("<2I", 0, UNKNOWN)


@pytest.mark.parametrize("offsets", [[0, 5], [-1, 2], [2, 1]])
def test_offsets_outside_the_data_are_refused(offsets: list[int]) -> None:
    with pytest.raises(BuildError, match="offsets: not ascending within the data"):
        _native.hash_strings(array("q", offsets), b"abcd")


def test_columns_that_are_no_buffers_are_named() -> None:
    with pytest.raises(TypeError, match="offsets: a buffer of i64 is needed"):
        _native.hash_strings([0, 1], b"a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="data: a buffer of u8 is needed"):
        _native.hash_strings(array("q", [0, 1]), "a")  # type: ignore[arg-type]
