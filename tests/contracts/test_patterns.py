"""A string that does not fit a pattern is answered in words, with its place."""

import msgspec
import pytest

from recsys.contracts.config import read_config
from recsys.contracts.documents import InvalidDocument
from recsys.contracts.experiments import Version
from recsys.contracts.http import Name
from recsys.contracts.manifest import Kind, Sha256
from recsys.contracts.patterns import in_words


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Name, "one path segment: no /, \\, . or .., no control characters"),
        (Kind, "1 to 64 of a-z, 0-9 and _, a letter first"),
        (Sha256, "64 lower-case hexadecimal digits"),
        (Version, "64 lower-case hexadecimal digits"),
    ],
)
def test_patterns_are_told_in_words(kind, words):
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(["A/\n"], list[kind])
    assert in_words(str(caught.value)) == f"Expected {words} - at `$[0]`"


def test_other_messages_stay_as_they_are():
    assert (
        in_words("Expected `str`, got `int` - at `$.surface`") == "Expected `str`, got `int` - at `$.surface`"
    )


def test_documents_say_it_too():
    with pytest.raises(InvalidDocument, match="one path segment"):
        read_config({"surfaces": {"a/b": {}}})
