"""Prove that what was written is read back as it was, and that everything else is refused by name."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supportflow.errors import InvalidValue, SchemaTooNew, StoreCorrupt
from supportflow.events import EVENTS, Closed, Linked
from supportflow.model import (
    OUTCOMES,
    Agent,
    Attachment,
    Author,
    Base,
    ChannelState,
    Conversation,
    Mark,
    Marked,
    Message,
    Outgoing,
    Progress,
    Reading,
    Receipt,
    Refund,
    Secret,
    State,
    Step,
    Unread,
    conversation_id,
)
from supportflow.stores import Posting, Row, Settlement, Stored
from supportflow.stores.codec import (
    VERSION,
    decode,
    decode_event,
    decode_parts,
    encode,
    encode_event,
    encode_parts,
    storable,
)
from supportflow.testing.strategies import channel_states, events, messages, values

AT = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)
CONVERSATION = Conversation(
    conversation_id("mastodon", "109", "ola"),
    "mastodon",
    "109",
    "ola",
    0,
    AT,
    Progress(State.received, 2, AT),
    "complaint",
    marks=(Mark(AT, Marked.asked, "status:1", steps=(Step.acknowledge,)),),
    last_key=("status", "1"),
)
TEXT = encode(CONVERSATION)
KINDS = [Conversation, Outgoing, ChannelState, Message, Stored, Posting, Row, Settlement]
KINDS += [*EVENTS.values(), *OUTCOMES.values()]


def changed(**fields):
    """Return the text of the conversation with some JSON fields changed."""
    return json.dumps(json.loads(TEXT) | fields)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=settings().max_examples // 5)  # of each of three dozen kinds
@given(data=st.data())
def test_every_value_comes_back(kind, data):
    """Whatever fits into a class is the same after writing and reading, also as text."""
    value = data.draw(values(kind))
    text = encode(value)
    back = decode(kind, text)
    assert value == back
    assert kind is type(back)
    assert text == encode(back)
    assert VERSION == json.loads(text)["v"]


@given(events)
def test_events_come_back_by_their_name(event):
    """An event is kept as name and text, and both together give it back."""
    name, text = encode_event(event)
    assert type(event).__name__ == name
    assert event == decode_event(name, text)


@given(messages)
def test_parts_come_back(message):
    """Attachments and tags are kept apart from the text that they came with."""
    assert (message.attachments, message.tags) == decode_parts(encode_parts(message))


def test_no_parts_are_no_text():
    """Most messages have neither attachments nor tags, and cost nothing."""
    assert "" == encode_parts(Message("archive", "post", "1", Author("ola"), "Hello", AT))
    assert ((), ()) == decode_parts("")
    parts = '{"v":1,"attachments":[{"kind":"image","url":"https://example.com/a.png"}]}'
    assert ((Attachment("image", "https://example.com/a.png"),), ()) == decode_parts(parts)


def test_the_format_is_stable():
    """Stores that exist hold exactly these texts: whoever changes them raises `VERSION`."""
    assert (
        '{"v":2,"id":"mastodon/109/ola#0","channel":"mastodon","thread":"109","customer":"ola",'
        '"number":0,"opened_at":1772442000123456,"progress":{"state":"received","version":2,'
        '"since":1772442000123456},"playbook":"complaint","last_key":["status","1"],'
        '"marks":[{"at":1772442000123456,"what":"asked","key":"status:1",'
        '"steps":["acknowledge"]}]}'
    ) == TEXT
    closed = Closed(AT, Refund("49.90", "EUR"), Agent("mia"))
    assert (
        '{"v":2,"at":1772442000123456,"outcome":{"is":"Refund","amount":"49.90",'
        '"currency":"EUR"},"by":{"id":"mia"}}'
    ) == encode(closed)
    state = ChannelState("m", credentials={"token": Secret("s3cret")}, learned={"max": 500})
    assert (
        '{"v":2,"channel":"m","credentials":{"token":"s3cret"},"learned":{"max":500}}'
    ) == encode(state)


def test_what_version_1_wrote_is_read():
    """It knew neither files nor templates in what goes out; all else is as it was."""
    assert CONVERSATION == decode(Conversation, TEXT.replace('{"v":2', '{"v":1'))


def test_what_is_default_is_left_out():
    """A value equal to its default costs no text, even if it is another object."""
    same = attrs.evolve(CONVERSATION, reading=Reading(), base=Base(), tags=())
    assert TEXT == encode(same)
    assert Unread == decode(Conversation, TEXT).reading


def test_numbers_keep_their_digits():
    """Money is decimal text, never a float."""
    refund = Refund(Decimal("0.10"), "EUR")
    assert "0.10" == str(decode(Refund, encode(refund)).amount)


def test_instants_are_kept_to_the_microsecond():
    """Far instants are exact too, and every zone becomes UTC."""
    for at in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)):
        assert at == decode(Receipt, encode(Receipt("1", at))).at
    oslo = timezone(timedelta(hours=1))
    back = decode(Linked, encode(Linked(AT.astimezone(oslo), "a/b/c#0"))).at
    assert (AT, UTC) == (back, back.tzinfo)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "\udcff"])
@pytest.mark.parametrize("before", ["", "\\", "\\\\", "é"])
def test_unstorable_texts_are_refused(before, text):
    """NUL and lone surrogates are found wherever they stand in a value."""
    author = Author("1", name=before + text)
    with pytest.raises(InvalidValue, match="name is bytes, not str"):
        storable(text.encode(errors="replace"), "name")
    for refused in (lambda: encode(author), lambda: storable(before + text, "name")):
        with pytest.raises(InvalidValue, match="holds a"):
            refused()


@given(st.text(st.sampled_from("\\u0aé\ud800\0"), max_size=12))
def test_only_unstorable_texts_are_refused(text):
    """Backslashes before something that looks like an escaped NUL confuse nobody."""
    bad = "\0" in text or "\ud800" in text
    try:
        assert text == decode(Author, encode(Author(text))).id
        assert text == storable(text, "text")
    except InvalidValue:
        assert bad
    else:
        assert not bad


@pytest.mark.parametrize(
    "value",
    [
        attrs.evolve(CONVERSATION, id=5),
        attrs.evolve(CONVERSATION, number="0"),
        attrs.evolve(CONVERSATION, opened_at="2026-03-02"),
        attrs.evolve(CONVERSATION, opened_at=AT.replace(tzinfo=None)),
        attrs.evolve(CONVERSATION, last_key=("status",)),
        attrs.evolve(CONVERSATION, outcome="refunded"),
        attrs.evolve(CONVERSATION, visibility="private"),
        attrs.evolve(CONVERSATION, marks=({"at": AT},)),
        ChannelState("m", learned={"max": float("nan")}),
        ChannelState("m", learned={"what": object()}),
        ChannelState("m", credentials={"token": "not a Secret"}),
    ],
    ids=range(11),
)
def test_wrong_types_are_refused_in_writing(value):
    """What could not be read back as it is, is not written."""
    with pytest.raises(InvalidValue, match=f"{type(value).__name__} cannot be stored"):
        encode(value)


def test_secrets_are_revealed_in_the_text_only():
    """An error about a channel's state does not print its credentials."""
    state = ChannelState("m", credentials={"token": Secret("s3cret")}, learned={"x": object()})
    with pytest.raises(InvalidValue) as refused:
        encode(state)
    text = '{"v":1,"channel":"m","credentials":{"token":"s3cret"},"cursor":5}'
    with pytest.raises(StoreCorrupt) as corrupt:
        decode(ChannelState, text)
    assert "s3cret" not in f"{refused.value}{corrupt.value}"


def test_a_newer_format_says_upgrade():
    """What a newer version wrote is named as that, whatever else is in it."""
    for text in (changed(v=VERSION + 1), changed(v=99, unheard_of=True)):
        with pytest.raises(
            SchemaTooNew, match=r"^conversation 7 has format \d+, .*: upgrade the package"
        ):
            decode(Conversation, text, "conversation 7")
    with pytest.raises(SchemaTooNew, match="event Foreseen has format 3"):
        decode_event("Foreseen", '{"v":3}')


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        (TEXT[:-9], "Unterminated string"),
        (TEXT + "}", "it goes on after position"),
        (TEXT + " ", "it goes on after position"),
        ("null", "AttributeError"),
        ("[1]", "TypeError"),
        ('{"id":"1"}', "KeyError: 'v'"),
        (changed(v="1"), "its format is '1'"),
        (changed(v=0), "its format is 0"),
        (changed(v=True), "its format is True"),
        ('{"v":1}', "KeyError: 'id'"),
        (changed(colour="red"), r"Conversation has no field \['colour'\]"),
        (changed(id=5), "Conversation.id is int"),
        (changed(number=True), "Conversation.number is bool"),
        (changed(number=1.0), "Conversation.number is float"),
        (changed(opened_at="today"), "TypeError"),
        (changed(opened_at=10**30), "OverflowError"),
        (changed(progress=[]), "TypeError"),
        (changed(progress={"state": "asleep", "version": 1, "since": 0}), "KeyError: 'asleep'"),
        (changed(marks="none"), "str where a list belongs"),
        (changed(tags=[1]), "Conversation.tags is int"),
        (changed(last_key=["status"]), "1 items where 2 belong"),
        (changed(last_key=["status", 1]), "Conversation.last_key is int"),
        (changed(outcome={"is": "Bribed" * 9000}), "KeyError: 'Bribed"),
        (
            changed(outcome={"is": "Refund", "amount": "much", "currency": "EUR"}),
            "ConversionSyntax",
        ),
        ("[" * 100_000, "RecursionError"),
        ("9" * 10_000, "ValueError"),
    ],
)
def test_what_cannot_be_read_is_named(text, why):
    """Broken JSON, missing or unknown fields and wrong types say what, where, and what to do."""
    with pytest.raises(StoreCorrupt, match=why) as error:
        decode(Conversation, text, "conversation 7")
    assert str(error.value).startswith("conversation 7 cannot be read (")
    assert len(str(error.value)) < 300
    assert str(error.value).endswith("restore it from a backup")


@given(
    st.text()
    | st.binary().map(repr)
    | st.recursive(st.none() | st.text(), st.lists).map(json.dumps)
)
def test_garbage_is_only_corrupt(text):
    """No text whatever makes reading fail in another way."""
    with pytest.raises((StoreCorrupt, SchemaTooNew)):
        decode(Conversation, text)


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_one_wrong_character_is_survived(place, character):
    """A text with one character changed is read as something or refused, and never crashes."""
    text = TEXT[:place] + character + TEXT[place + 1 :]
    with suppress(StoreCorrupt, SchemaTooNew):
        assert isinstance(decode(Conversation, text), Conversation)


def test_an_unknown_event_is_named():
    """An event of a kind that nobody knows is corrupt, in the format that we know."""
    with pytest.raises(StoreCorrupt, match="no event is called 'Foreseen'"):
        decode_event("Foreseen", '{"v":1}', "event 3 of a/b/c#0")
    with pytest.raises(StoreCorrupt, match="event Received cannot be read"):
        decode_event("Received", "{}")


@given(channel_states)
def test_read_values_are_as_immutable_as_made_ones(state):
    """A mapping that was read cannot be changed either."""
    back = decode(ChannelState, encode(state))
    for mapping in (back.credentials, back.learned):
        with pytest.raises(TypeError):
            mapping["new"] = "value"
