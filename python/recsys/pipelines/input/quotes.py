"""Quotes of CSV text: whether they are as RFC 4180 has them, and where records end when they are not.

A quote that opens a value and is never closed would let a parser take the lines after it for part of that
value, and their rows would be lost without a word. One inside a value that does not begin with a quote stands
for itself: ``5" pipe``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

_INSIDE = rb'"[^"]*+(?:""[^"]*+)*+'
_VALUE = rb"(?:" + _INSIDE + rb'"|[^",\r\n][^,\r\n]*+|)'
_RECORD = re.compile(_VALUE + rb"(?:," + _VALUE + rb")*+\r?(?:\n|\Z)")
_OPEN_RECORD = re.compile(rb"(?:" + _VALUE + rb",)*+" + _INSIDE + rb'"?\Z')
_QUOTE, _COMMA, _LINE_FEED, _RETURN = b'",\n\r'


def are_quotes_sound(data: bytes) -> bool:
    """Tell whether every quote opens or closes a value or is doubled, and every CR is before a line feed.

    Then a newline ends a record when the number of quotes before it is even.
    """
    if data.count(b"\r") != data.count(b"\r\n"):
        return False
    if b'"' not in data:
        return True
    text = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    before = text[opening[opening > 0] - 1]
    after = text[closing[closing + 1 < len(text)] + 1]
    return bool(
        np.isin(before, (_COMMA, _LINE_FEED, _QUOTE)).all()
        and np.isin(after, (_COMMA, _LINE_FEED, _QUOTE, _RETURN)).all()
    )


def split_unsound(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield begin, end (both with the line end) and soundness of each record.

    A record whose quotes are not sound gives up its first line only; the next is tried from the next line on.
    """
    begin = 0
    while begin < len(data):
        match = _RECORD.match(data, begin)
        end = match.end() if match else data.find(b"\n", begin) + 1 or len(data)
        yield begin, end, match is not None
        begin = end


def last_record_end(data: bytes, *, most: int) -> int:
    """Return where the last record that is whole ends, 0 if none is.

    A value that is still open after ``most`` bytes is a stray quote, and its first line a record.
    """
    end = data.rfind(b"\n") + 1
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        previous = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', previous, end)
        end = previous
    if end and are_quotes_sound(data[:end]):
        return end
    for begin, end, is_sound in split_unsound(data):
        is_last = end == len(data) and not data.endswith(b"\n")
        is_open = not is_sound and len(data) - begin < most and _OPEN_RECORD.match(data, begin)
        if is_last or is_open:
            return begin
    return len(data)
