"""Pseudonyms against HMAC as RFC 2104 defines it, written out, and against published vectors."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.contracts.pseudonym import identify, pseudonym

BLOCK_BYTES = 64


def hmac_sha256(key: bytes, message: bytes) -> str:
    """RFC 2104, section 2: H((K xor opad) || H((K xor ipad) || message)), with SHA-256 as H."""
    if len(key) > BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key.ljust(BLOCK_BYTES, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()


@given(st.binary(min_size=16, max_size=200), st.text(min_size=1))
def test_equals_hmac_written_out(salt, user_id):
    assert pseudonym(salt, user_id) == hmac_sha256(salt, user_id.encode())


@pytest.mark.parametrize(
    ("salt", "user_id", "expected"),
    [
        # RFC 4231, test cases 1 and 2
        (b"\x0b" * 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe",
            "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
    ],
)
def test_published_vectors(salt, user_id, expected):
    assert pseudonym(salt, user_id) == expected


def test_another_salt_gives_another_pseudonym():
    assert pseudonym(b"a" * 16, "u") != pseudonym(b"b" * 16, "u")


@pytest.mark.parametrize(
    ("ids", "chosen"),
    [
        (("u", "a", "s"), "u"),
        ((None, "a", "s"), "a"),
        ((None, None, "s"), "s"),
        (("", "a", "s"), "a"),
        (("", "", "s"), "s"),
        ((None, None, None), None),
        (("", "", ""), None),
    ],
)
def test_the_first_id_that_is_given_stands_for_the_user(ids, chosen):
    assert identify(*ids) == chosen
