"""Refuses ids that look like what identifies a person: e-mail addresses and phone numbers.

A plain number is a common id of items and users, so digits alone are no phone number: a plus in front makes
them one, or separators as people write them. Dates, UUIDs and version numbers pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from recsys.contracts.http import RecommendRequest, SimilarRequest
from recsys.contracts.problems import ProblemCode
from recsys.service.problems import ProblemError

_SUSPECT = re.compile(r"[@+(/. -]")
"""What every e-mail address and phone number has, so that most ids need no closer look."""

_LIKE_PHONE = re.compile(r"\0[0-9]*[\s()+./-][\s0-9()+./-]*(?=\0|\Z)")
"""A text of the characters of phone numbers that is not all digits, among texts with a zero before each."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]{2,}")
_SEPARATED = re.compile(r"(?:0|\().*|\d{3}[ .-]\d{3}[ .-]\d{4}")
_PHONE_CHARACTERS = re.compile(r"\+?[0-9(][0-9 ()./-]*[0-9]")
_MIN_DIGITS, _MAX_DIGITS = 7, 15
"""The shortest numbers in use, and the longest of ITU-T E.164."""


def looks_personal(text: str) -> str | None:
    """Return what ``text`` looks like, ``an e-mail address`` or ``a phone number``, or ``None``."""
    if not _SUSPECT.search(text):
        return None
    text = text.strip()
    if _EMAIL.fullmatch(text):
        return "an e-mail address"
    if _PHONE_CHARACTERS.fullmatch(text):
        n_digits = sum(character.isdigit() for character in text)
        is_written_so = text[0] == "+" or _SEPARATED.fullmatch(text)
        if is_written_so and _MIN_DIGITS <= n_digits <= _MAX_DIGITS:
            return "a phone number"
    return None


def may_look_personal(texts: Iterable[str]) -> bool:
    """Whether one of ``texts`` may look personal: a single look at all of them, which nearly all pass."""
    joined = "\0".join(("", *texts))
    return "@" in joined or _LIKE_PHONE.search(joined) is not None


def guard_ids(body: RecommendRequest | SimilarRequest) -> None:
    """Raise 422 when an id of a request, or a text that would be logged with it, looks personal.

    The message names the field and not its value, which no log may have.
    """
    context, experiment = body.context, body.experiment
    texts = [body.segment, context.locale, context.device, context.country]
    if experiment is not None:
        texts += (experiment.id, experiment.variant)
    if isinstance(body, RecommendRequest):
        user = body.user
        texts += (user.user_id, user.anonymous_id, user.session_id)
        texts += body.anchors.item_ids
    else:
        texts.append(body.item_id)
    if may_look_personal(filter(None, texts)):
        refuse_personal(_logged_fields(body))


def _logged_fields(body: RecommendRequest | SimilarRequest) -> Iterator[tuple[str, str | None]]:
    context = body.context
    yield "segment", body.segment
    yield "context.locale", context.locale
    yield "context.device", context.device
    yield "context.country", context.country
    if body.experiment is not None:
        yield "experiment.id", body.experiment.id
        yield "experiment.variant", body.experiment.variant
    if isinstance(body, RecommendRequest):
        yield "user.user_id", body.user.user_id
        yield "user.anonymous_id", body.user.anonymous_id
        yield "user.session_id", body.user.session_id
        for index, anchor in enumerate(body.anchors.item_ids):
            yield f"anchors.item_ids[{index}]", anchor
    else:
        yield "item_id", body.item_id


def refuse_personal(fields: Iterable[tuple[str, str | None]]) -> None:
    """Raise 422 naming the first field, given as (name, text), whose text looks personal."""
    for name, text in fields:
        found = looks_personal(text) if text else None
        if found is not None:
            raise ProblemError(
                ProblemCode.UNPROCESSABLE_ENTITY,
                f"{name} looks like {found}; send an id that identifies nobody by itself",
            )
