"""The patterns of the contract's strings, and what they ask for in words.

A decoder's message gives the pattern; whoever sent the string is better served by the words.
"""

from __future__ import annotations

from urllib.parse import quote

PATH_SEGMENT = r"^(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]+$(?!\n)"
"""A tenant or surface: one path segment, so no separators, no control characters, not ``.`` or ``..``."""

OPTIONAL_PATH_SEGMENT = r"^(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]*$(?!\n)"
"""The same, or nothing."""

KIND = r"^[a-z][a-z0-9_]{0,63}$(?!\n)"
"""A kind of artifact."""

SHA256 = r"^[0-9a-f]{64}$(?!\n)"
"""A hex SHA-256."""

_SEGMENT_WORDS = r"one path segment: no /, \, . or .., no control characters"
_WORDS = {
    PATH_SEGMENT: _SEGMENT_WORDS,
    OPTIONAL_PATH_SEGMENT: _SEGMENT_WORDS,
    KIND: "1 to 64 of a-z, 0-9 and _, a letter first",
    SHA256: "64 lower-case hexadecimal digits",
}
_SAID = {f"`str` matching regex {pattern!r}": words for pattern, words in _WORDS.items()}


_MAX_ESCAPED = 240
"""Bytes that are left of the 255 of a file name, beside ``surface=`` and its like."""


def fits_file_name(name: str) -> bool:
    """Return whether a folder can be called by ``name``, escaped: 128 characters may be 1,536 bytes then."""
    return len(quote(name, safe="")) <= _MAX_ESCAPED


def in_words(message: str) -> str:
    """Return a decoder's message with words in place of a pattern; the place of the field stays."""
    for said, words in _SAID.items():
        if said in message:
            return message.replace(said, words)
    return message
