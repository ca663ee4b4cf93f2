"""Hostile artifacts from sound ones: each attack gives the bytes of a file to refuse, or that does no harm.

Run as a script to write them out: ``python tests/hostile/attacks.py SOUND_FILE FOLDER``.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xxhash import xxh3_64_intdigest

HEADER = struct.Struct("<8sIIQQQ16sQ")
ENTRY = struct.Struct("<8sQQQ")
TABLE = HEADER.size
FIRST_SECTION = TABLE + 32 * ENTRY.size
HUGE = (1 << 64) - 64


@dataclass(frozen=True)
class Section:
    """One row of the section table."""

    row: int
    name: str
    offset: int
    length: int


@dataclass(frozen=True)
class Attack:
    """A damaged file, and whether verification or use has to refuse it."""

    name: str
    data: bytes
    is_refused: bool = True


def sections(data: bytes) -> list[Section]:
    """Read the section table of a sound file."""
    count = HEADER.unpack_from(data)[4]
    rows = [ENTRY.unpack_from(data, TABLE + i * ENTRY.size) for i in range(count)]
    return [Section(i, name.rstrip(b"\0").decode(), at, size) for i, (name, at, size, _) in enumerate(rows)]


def reseal(data: bytes | bytearray) -> bytes:
    """Make the length and every checksum right again, so that the damage is met where values are used."""
    sealed = bytearray(data)
    magic, version, kind, _, count, _, reserved, _ = HEADER.unpack_from(sealed)
    end = TABLE + min(count, 32) * ENTRY.size
    for at in range(TABLE, end, ENTRY.size):
        name, start, size, _ = ENTRY.unpack_from(sealed, at)
        if start + size <= len(sealed):
            checksum = xxh3_64_intdigest(bytes(sealed[start : start + size]))
            ENTRY.pack_into(sealed, at, name, start, size, checksum)
    table = xxh3_64_intdigest(bytes(sealed[TABLE:end]))
    HEADER.pack_into(sealed, 0, magic, version, kind, len(sealed), count, table, reserved, 0)
    struct.pack_into("<Q", sealed, 56, xxh3_64_intdigest(bytes(sealed[:56])))
    return bytes(sealed)


def _patched(data: bytes, at: int, patch: bytes) -> bytes:
    return data[:at] + patch + data[at + len(patch) :]


def _flipped(data: bytes, at: int, bit: int) -> bytes:
    return _patched(data, at, bytes([data[at] ^ 1 << bit]))


def truncated(data: bytes) -> Iterator[Attack]:
    """Yield files that end at every boundary, one byte off it, and in the middle of every section."""
    cuts = {0, 1, 63, 64, 65, FIRST_SECTION - 1, FIRST_SECTION, len(data) - 1}
    for section in sections(data):
        cuts |= {section.offset - 1, section.offset, section.offset + section.length // 2}
    for cut in sorted(cut for cut in cuts if cut < len(data)):
        yield Attack(f"cut to {cut} bytes", data[:cut])
        if cut >= FIRST_SECTION:
            yield Attack(f"cut to {cut} bytes, resealed", reseal(data[:cut]))


def oversized(data: bytes) -> Iterator[Attack]:
    """Yield files that are longer than they say, or say that they are."""
    yield Attack("one byte more", data + b"\0")
    yield Attack("a page more, resealed", reseal(data + bytes(4096)))
    yield Attack("a length of 2^64 - 1", _patched(data, 16, b"\xff" * 8))
    for count in (33, 1 << 16, (1 << 64) - 1):
        yield Attack(f"{count} sections", reseal(_patched(data, 24, struct.pack("<Q", count))))


def flipped_bits(data: bytes) -> Iterator[Attack]:
    """Yield files with one bit flipped: in every byte of the header, every table row, every section."""
    places = list(range(TABLE)) + list(range(TABLE, FIRST_SECTION, 5))
    for section in sections(data):
        places += sorted(
            {section.offset + section.length * i // 8 for i in range(8)} if section.length else ()
        )
    for at in places:
        yield Attack(f"bit {at % 8} of byte {at} flipped", _flipped(data, at, at % 8))


def foreign(data: bytes) -> Iterator[Attack]:
    """Yield files of other programs, versions and types."""
    for name, start in {
        "parquet": b"PAR1",
        "zip": b"PK\3\4",
        "json": b'{"v": 1}',
        "zeros": bytes(64),
    }.items():
        yield Attack(name, start + bytes(2048))
    for version in (0, 2, 1 << 31):
        yield Attack(f"version {version}", reseal(_patched(data, 8, struct.pack("<I", version))))
    own = struct.unpack_from("<I", data, 12)[0]
    for kind in {0, 1, 2, 3, 4, (1 << 32) - 1} - {own}:
        yield Attack(f"type {kind}", reseal(_patched(data, 12, struct.pack("<I", kind))))


def lying_tables(data: bytes) -> Iterator[Attack]:
    """Yield files with a lying table behind right checksums: sections moved, resized, renamed, doubled."""
    for section in sections(data):
        at = TABLE + section.row * ENTRY.size
        for field, values in {
            "offset": (0, 64, section.offset + 1, section.offset + 64, len(data), HUGE),
            "length": (section.length + 1, section.length + 64, len(data), HUGE),
        }.items():
            for value in values:
                patch = struct.pack("<Q", value)
                lie = _patched(data, at + (8 if field == "offset" else 16), patch)
                yield Attack(f"{section.name}: {field} {value}", reseal(lie))
        yield Attack(f"{section.name}: renamed", reseal(_patched(data, at, b"other\0\0\0")))
        yield Attack(f"{section.name}: not ASCII", reseal(_patched(data, at, b"\xff\0\xfe\n\r\x1b[m")))
        if section.row:
            first = data[TABLE : TABLE + 8]
            yield Attack(f"{section.name}: named as the first", reseal(_patched(data, at, first)))


def lying_values(data: bytes) -> Iterator[Attack]:
    """Yield files with wrong values behind right checksums: offsets, ordinals, codes, scores, JSON."""
    extremes = {
        "ones": b"\xff" * 8,
        "sign": b"\0" * 7 + b"\x80",
        "NaN": struct.pack("<d", float("nan")),
        "infinite": struct.pack("<ff", float("inf"), float("-inf")),
        "large": struct.pack("<Q", 1 << 40),
    }
    for section in sections(data):
        for step in range(0, max(section.length - 7, 0), 8):
            for name, value in extremes.items():
                lie = reseal(_patched(data, section.offset + step, value))
                yield Attack(f"{section.name}+{step}: {name}", lie, is_refused=False)
    meta = sections(data)[-1]
    for text in (
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b'{"a":' * 200,
        b"[" * 5000,
        b'{"n_items": -1}',
        b"\xff\xfe",
    ):
        body = data[: meta.offset] + text
        row = TABLE + meta.row * ENTRY.size + 16
        yield Attack(f"meta: {text[:20]!r}", reseal(_patched(body, row, struct.pack("<Q", len(text)))))
    for key in (
        b'"n_items":',
        b'"n_keys":',
        b'"n_entries":',
        b'"n_tags":',
        b'"n_brands":',
        b'"n_sessions":',
        b'"n_postings":',
    ):
        at = data.find(key, meta.offset)
        if at >= 0:
            digit = at + len(key)
            value = b"9" if data[digit : digit + 1] != b"9" else b"8"
            yield Attack(f"meta: {key!r} is {value!r}", reseal(_patched(data, digit, value)))


def attacks(data: bytes) -> Iterator[Attack]:
    """Yield every attack on a sound file."""
    for kind in (truncated, oversized, flipped_bits, foreign, lying_tables, lying_values):
        for attack in kind(data):
            if attack.data != data:
                yield Attack(f"{kind.__name__}: {attack.name}", attack.data, attack.is_refused)


def main(sound: Path, folder: Path) -> None:
    """Write every attack on ``sound`` as a file of its own, with an index of their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for i, attack in enumerate(attacks(sound.read_bytes())):
        (folder / f"{i:05}.bin").write_bytes(attack.data)
        names.append(f"{i:05}.bin\t{attack.name}\n")
    (folder / "index.tsv").write_text("".join(names), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
