"""Request ids: taken from the caller when sound, else made here."""

import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.service.request_ids import choose_request_id


def test_a_made_id_is_a_uuid_of_version_7_that_tells_when_it_was_made():
    before = time.time_ns() // 1_000_000
    made = [choose_request_id(None) for _ in range(5000)]
    after = time.time_ns() // 1_000_000
    for text in made:
        uuid = UUID(text)
        assert (str(uuid), uuid.version, uuid.variant) == (text, 7, "specified in RFC 4122")
        assert before <= uuid.int >> 80 <= after
    assert sorted(set(made)) == made


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128))
def test_a_sound_id_of_the_caller_is_kept(text):
    assert choose_request_id(text) == text


@pytest.mark.parametrize("text", ["", "a b", "a\n", "é", "x" * 129])
def test_any_other_is_replaced(text):
    assert UUID(choose_request_id(text)).version == 7
