"""What is refused as an e-mail address or a phone number, and what passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.service.pii import looks_personal, may_look_personal


@pytest.mark.parametrize(
    "text", ["ann@example.com", "a.b+c@sub.example.co.uk", " ann@example.com ", "ü@exämple.de"]
)
def test_an_address_is_refused(text):
    assert looks_personal(text) == "an e-mail address"


@pytest.mark.parametrize(
    "text",
    [
        "+436601234567",
        "+43 660 1234567",
        "+1 (555) 123-4567",
        "(555) 123-4567",
        "555-123-4567",
        "0660/1234567",
        "01 5123456",
    ],
)
def test_a_phone_number_is_refused(text):
    assert looks_personal(text) == "a phone number"


@pytest.mark.parametrize(
    "text",
    [
        "1098066",
        "4366012345678",
        "0660123456",
        "2026-01-31",
        "550e8400-e29b-41d4-a716-446655440000",
        "12345-678",
        "1.2.3",
        "a@b",
        "@handle",
        "+5",
        "sku/1234567",
        "de-AT",
        "+" + "1" * 16,
    ],
)
def test_an_id_passes(text):
    assert looks_personal(text) is None


@given(st.integers(min_value=0, max_value=10**18))
def test_a_plain_number_always_passes(number):
    assert looks_personal(str(number)) is None


@given(st.uuids())
def test_a_uuid_always_passes(uuid):
    assert looks_personal(str(uuid)) is None


@given(
    st.lists(
        st.text("019 \t\n\0()+./-@a") | st.from_regex(r" ?\+?[0-9(][0-9 ()./-]{6,}[0-9]\n?", fullmatch=True)
    )
)
def test_the_look_at_all_texts_overlooks_none(texts):
    if any(looks_personal(text) for text in texts):
        assert may_look_personal(texts)


def test_plain_ids_need_no_closer_look():
    uuid = "550e8400-e29b-41d4-a716-446655440000"
    assert not may_look_personal(["12345", "0660123456", "item-00001", "a.b", "de-AT", uuid, "12-pack"])


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("user.user_id", {"user": {"user_id": "ann@example.com"}}),
        ("user.session_id", {"user": {"user_id": "u", "session_id": "+43 660 1234567"}}),
        ("anchors.item_ids[1]", {"anchors": {"item_ids": ["i00", "ann@example.com"]}}),
        ("context.device", {"context": {"device": "ann@example.com"}}),
        ("segment", {"segment": "ann@example.com"}),
        ("experiment.id", {"experiment": {"id": "ann@example.com", "variant": "b"}}),
    ],
)
def test_the_field_is_named_its_value_is_not_and_nothing_is_logged(client, field, fields):
    answer = client.recommend(**fields)
    assert (answer.status, answer.json()["code"]) == (422, "RECSYS_UNPROCESSABLE_ENTITY")
    assert field in answer.json()["detail"]
    assert b"example.com" not in answer.body
    assert client.exposures() == []


def test_the_flag_lets_them_through(make_client):
    client = make_client(config="[config.flags]\nguard_pii = false")
    assert client.recommend(user={"user_id": "ann@example.com"}).status == 200
    assert client.similar("i00").status == 200
