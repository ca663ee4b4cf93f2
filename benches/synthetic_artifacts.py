"""Catalogs and signals of any size for benchmarks, written straight from ``docs/format.md``."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64, xxh3_64_intdigest

from recsys import _native
from recsys.artifacts.atomic_files import read_pieces
from recsys.artifacts.cache_files import FilePool

SECTION_ROWS = 32
FIRST_SECTION = 64 + SECTION_ROWS * 32
SIGNAL = 2
ROWS_AT_ONCE = 50_000


def write_catalog(path: Path, n_items: int) -> None:
    """Write a catalog of items ``item-00000000`` and so on, with tags, brands, categories and prices."""
    rng = np.random.default_rng(1)
    _native.build_catalog(
        str(path),
        [f"item-{i:08d}" for i in range(n_items)],
        tags=[[f"tag-{t:03d}"] for t in rng.integers(0, 500, n_items)],
        brands=[f"brand-{b:04d}" for b in rng.integers(0, 2000, n_items)],
        categories=[f"category-{c:02d}" for c in rng.integers(0, 60, n_items)],
        prices=rng.uniform(1, 100, n_items).round(2).tolist(),
    )


def write_neighbours(path: Path, catalog_path: Path, n_neighbours: int) -> None:
    """Write an item-keyed signal with ``n_neighbours`` neighbours for each item of a catalog."""
    catalog = _native.Catalog.open(str(catalog_path))
    n = catalog.n_items
    metadata = {
        "artifact_type": "cooc",
        "key_type": "item",
        "score_type": "f32",
        "n_keys": n,
        "n_entries": n * n_neighbours,
        "n_items": n,
        "ids_digest": catalog.ids_digest,
    }
    scores = (1 / (1 + np.arange(n_neighbours))).astype("<f4")
    repeated = np.tile(scores, ROWS_AT_ONCE)
    _write(
        path,
        [
            ("list.off", [np.arange(n + 1, dtype="<u8") * np.uint64(n_neighbours)]),
            ("items", _neighbours(n, n_neighbours)),
            ("scores", (repeated[: rows * n_neighbours] for rows in _row_counts(n))),
            ("meta", [np.frombuffer(json.dumps(metadata).encode(), dtype="u1")]),
        ],
    )


def cached(path: Path) -> Path:
    """Return a copy of a file as the cache of a service writes it, in blocks that large pages can keep."""
    pool = FilePool(path.parent / "cache", 1 << 40, set)
    with pool.new_file(path.stat().st_size) as file:
        file.write(read_pieces(path), path.name)
        file.keep(path.name)
    return path.parent / "cache" / "files" / path.name


def _row_counts(n_items: int) -> Iterator[int]:
    for start in range(0, n_items, ROWS_AT_ONCE):
        yield min(ROWS_AT_ONCE, n_items - start)


def _neighbours(n_items: int, n_neighbours: int) -> Iterator[NDArray[np.uint32]]:
    # Steps of a seventh of the catalog or so from a random start, never the same item twice in a list.
    rng = np.random.default_rng(2)
    step = n_items // 7
    while np.gcd(step, n_items) != 1:
        step += 1
    steps = np.arange(n_neighbours, dtype=np.int64) * step
    for rows in _row_counts(n_items):
        starts = rng.integers(0, n_items, (rows, 1))
        yield ((starts + steps) % n_items).astype("<u4").ravel()


def _write(path: Path, sections: list[tuple[str, Iterable[NDArray[np.generic]]]]) -> None:
    with path.open("wb") as out:
        out.write(bytes(FIRST_SECTION))
        table = b"".join(_write_section(out, name, chunks) for name, chunks in sections)
        header = struct.pack(
            "<8sIIQQQ16x",
            b"\x93RECSYS\n",
            _native.FORMAT_VERSION,
            SIGNAL,
            out.tell(),
            len(sections),
            xxh3_64_intdigest(table),
        )
        out.seek(0)
        out.write(header + struct.pack("<Q", xxh3_64_intdigest(header)) + table)


def _write_section(out: BinaryIO, name: str, chunks: Iterable[NDArray[np.generic]]) -> bytes:
    out.write(bytes(-out.tell() % 64))
    start, checksum = out.tell(), xxh3_64()
    for chunk in chunks:
        data = chunk.tobytes()
        checksum.update(data)
        out.write(data)
    return struct.pack("<8sQQQ", name.encode(), start, out.tell() - start, checksum.intdigest())
