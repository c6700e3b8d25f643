"""What the Send API takes and refuses, by the documented numbers."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.testing.platforms.messenger_rules import (
    Limits,
    Send,
    read_send,
    refuse_closed,
)
from supportflow.testing.platforms.meta_graph import GraphError

WROTE = datetime(2026, 3, 1, 9, tzinfo=UTC)
URL = "https://shop.example.com/hat"
HAT = {"title": "Hat", "image_url": URL}


def call(message: object = None, **more: object) -> dict[str, object]:
    """Return the parameters of a call."""
    text = {"text": "Hello"} if message is None else message
    return {"recipient": {"id": "1"}, "messaging_type": "RESPONSE", "message": text, **more}


def template(*elements: object, **payload: object) -> dict[str, object]:
    """Return a message with a generic template."""
    content = {"template_type": "generic", "elements": list(elements), **payload}
    return {"attachment": {"type": "template", "payload": content}}


def choices(*titles: str, **more: object) -> dict[str, object]:
    """Return a message with quick replies."""
    replies = [{"content_type": "text", "title": t, "payload": t, **more} for t in titles]
    return {"text": "Which one?", "quick_replies": replies}


def button(**more: object) -> dict[str, object]:
    """Return a template whose only element has one button."""
    return template({**HAT, "buttons": [{"type": "postback", "title": "Buy", **more}]})


UTILITY = {"template": {"name": "order", "language": {"code": "en_US"}, "components": []}}
ACCEPTED = {
    "text of 2,000": call({"text": "é" * 2000}),
    "metadata of 1,000": call({"text": "x", "metadata": "m" * 1000}),
    "update": call(messaging_type="UPDATE"),
    "human agent": call(messaging_type="MESSAGE_TAG", tag="HUMAN_AGENT"),
    "utility": call(UTILITY, messaging_type="UTILITY"),
    "13 quick replies": call(choices(*["t" * 20] * 13)),
    "quick reply with a picture": call(choices("a", image_url=URL)),
    "quick reply for an address": call(
        {"text": "x", "quick_replies": [{"content_type": "user_email"}]}
    ),
    "10 elements": call(template(*[{"title": "t" * 80, "subtitle": "s" * 80}] * 10)),
    "an element to tap": call(
        template({"title": "x", "default_action": {"type": "web_url", "url": URL}})
    ),
    "3 buttons": call(
        template(
            {
                "title": "x",
                "buttons": [
                    {"type": "web_url", "title": "t" * 20, "url": URL},
                    {"type": "postback", "title": "x", "payload": "p" * 1000},
                    {"type": "phone_number", "title": "x", "payload": "+15105551234"},
                ],
            }
        )
    ),
    "a picture": call({"attachment": {"type": "image", "payload": {"url": URL}}}),
    "a known picture": call({"attachment": {"type": "image", "payload": {"attachment_id": "9"}}}),
    "strings of JSON": call('{"text": "x"}', recipient='{"id": "1"}'),
    "an unknown parameter": call(notification_type="REGULAR"),
}
REFUSED = {
    "no recipient": (call(recipient=None), "recipient is required"),
    "a recipient that is no object": (call(recipient="{"), "recipient must be a JSON object"),
    "a deep recipient": (call(recipient="[" * 100_000), "recipient"),
    "a recipient without id": (call(recipient={}), r"recipient\[id\]"),
    "a numeric id": (call(recipient={"id": 1}), r"recipient\[id\]"),
    "a comment": (call(recipient={"comment_id": "1"}), "comment_id"),
    "no type": (call(messaging_type=None), "messaging_type must be one of"),
    "a strange type": (call(messaging_type="NEWS"), "messaging_type"),
    "a tag without its type": (call(tag="HUMAN_AGENT"), "MESSAGE_TAG"),
    "a type without its tag": (call(messaging_type="MESSAGE_TAG"), "tag must be one of"),
    "a retired tag": (call(messaging_type="MESSAGE_TAG", tag="ACCOUNT_UPDATE"), "tag"),
    "no message": (call([]), "message is required"),
    "an empty message": (call({}), "exactly one of"),
    "text and attachment": (call({"text": "x", **template(HAT)}), "exactly one of"),
    "an empty text": (call({"text": ""}), r"message\[text\]"),
    "a text that is none": (call({"text": 7}), r"message\[text\]"),
    "2,001 characters": (call({"text": "x" * 2001}), "less than or equal to 2000"),
    "a lone surrogate": (call({"text": "\ud800"}), "UTF-8"),
    "an unknown key": (call({"text": "x", "meta": "x"}), 'Invalid keys "meta"'),
    "metadata of 1,001": (call({"text": "x", "metadata": "m" * 1001}), "1000"),
    "metadata that is no text": (call({"text": "x", "metadata": {}}), "metadata"),
    "14 quick replies": (call(choices(*["t"] * 14)), "the limit is 13"),
    "no quick replies": (call({"text": "x", "quick_replies": []}), "non-empty array"),
    "a long quick reply": (call(choices("t" * 21)), "equal to 20"),
    "a quick reply without payload": (call(choices("t", payload=None)), r"\[payload\]"),
    "a long payload": (call(choices("t", payload="p" * 1001)), "equal to 1000"),
    "a strange quick reply": (call(choices("t", content_type="location")), "content_type"),
    "no elements": (call(template()), "non-empty array"),
    "11 elements": (call(template(*[HAT] * 11)), "the limit is 10"),
    "an element without title": (call(template({"image_url": URL})), r"\[title\]"),
    "an element with a title alone": (call(template({"title": "x"})), "another property"),
    "a title of 81": (call(template({**HAT, "title": "t" * 81})), "equal to 80"),
    "a subtitle of 81": (call(template({**HAT, "subtitle": "t" * 81})), "equal to 80"),
    "a picture that is no address": (call(template({**HAT, "image_url": "hat.png"})), "valid URL"),
    "4 buttons": (
        call(template({**HAT, "buttons": [{"type": "web_url", "title": "x", "url": URL}] * 4})),
        "the limit is 3",
    ),
    "a long button": (call(button(title="t" * 21, payload="p")), "equal to 20"),
    "a postback without payload": (call(button()), r"\[payload\]"),
    "a link without address": (call(button(type="web_url")), r"\[url\]"),
    "a strange button": (call(button(type="share")), r"\[type\]"),
    "a default action with a title": (
        call(template({**HAT, "default_action": {"type": "web_url", "url": URL, "title": "x"}})),
        'Invalid keys "title"',
    ),
    "a strange template": (call(template(HAT, template_type="button")), "template_type"),
    "a strange attachment": (call({"attachment": {"type": "sticker"}}), r"\[type\]"),
    "a file without address": (call({"attachment": {"type": "file", "payload": {}}}), r"\[url\]"),
    "a utility text": (call({"text": "x"}, messaging_type="UTILITY"), 'Invalid keys "text"'),
    "a template outside utility": (call(UTILITY), 'Invalid keys "template"'),
    "an action with a message": (call(sender_action="typing_on"), "Cannot send both"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_the_documentation_allows_is_taken(name):
    """Each limit is taken exactly at its documented number, and the content comes out unchanged."""
    given = ACCEPTED[name]
    send = read_send(given, Limits())
    message = given["message"]
    assert (json.loads(message) if isinstance(message, str) else message) == dict(send.message)
    assert ("1", given["messaging_type"]) == (send.psid, send.messaging_type)


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_documentation_forbids_is_refused(name):
    """Each limit is refused one beyond, with code 100 and the parameter's name."""
    given, why = REFUSED[name]
    with pytest.raises(GraphError, match=why) as raised:
        read_send(given, Limits())
    assert 100 == raised.value.code


@pytest.mark.parametrize("action", ["typing_on", "typing_off", "mark_seen"])
def test_an_action_needs_no_message(action):
    """Typing and seen are calls of their own."""
    send = read_send({"recipient": {"id": "1"}, "sender_action": action}, Limits())
    assert Send("1", "", action=action) == send


def test_an_unknown_action_is_refused():
    """Only the three documented actions exist here."""
    with pytest.raises(GraphError, match="sender_action"):
        read_send({"recipient": {"id": "1"}, "sender_action": "wave"}, Limits())


def test_limits_are_configuration():
    """A test may narrow a limit, or bring back a tag."""
    narrow = Limits(text=3, tags=("ACCOUNT_UPDATE",))
    with pytest.raises(GraphError, match="equal to 3"):
        read_send(call(), narrow)
    tagged = call({"text": "x"}, messaging_type="MESSAGE_TAG", tag="ACCOUNT_UPDATE")
    assert "ACCOUNT_UPDATE" == read_send(tagged, narrow).tag


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "text", "type", "payload", "attachment", "elements", "title"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(call(tag=1, sender_action=1))), anything))
def test_no_parameters_break_the_rules(given):
    """Whatever JSON is sent, it is taken or refused with a Graph error."""
    code = 100
    try:
        read_send(given, Limits())
    except GraphError as error:
        code = error.code
    assert 100 == code


# The window.

PLAIN = Send("1", "RESPONSE")
AGENT = Send("1", "MESSAGE_TAG", "HUMAN_AGENT")
DAY = timedelta(hours=24)
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("send", "ad_at", "after", "open_"),
    [
        (PLAIN, None, DAY, True),
        (PLAIN, None, DAY + SECOND, False),
        (Send("1", "UPDATE"), None, DAY + SECOND, False),
        (AGENT, None, WEEK, True),
        (AGENT, None, WEEK + SECOND, False),
        (PLAIN, WROTE, WEEK, True),
        (PLAIN, WROTE, WEEK + SECOND, False),
        (PLAIN, WROTE - WEEK, DAY, True),
        (Send("1", "UTILITY"), None, WEEK * 9, True),
        (Send("1", "MESSAGE_TAG", "ACCOUNT_UPDATE"), None, WEEK * 9, True),
    ],
)
def test_the_window_closes_to_the_second(send, ad_at, after, open_):
    """24 hours, 7 days after an advertisement or for a human agent, and never for utility."""
    refused = None
    try:
        refuse_closed(send, WROTE, ad_at, WROTE + after, Limits())
    except GraphError as error:
        refused = (error.code, error.subcode)
    assert (None if open_ else (10, 2018278)) == refused
