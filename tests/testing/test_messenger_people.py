"""What customers and staff do on a local Messenger, and what its webhooks say of it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from supportflow.testing.platforms.messenger import App, MessengerPlatform
from supportflow.testing.platforms.messenger_network import Message, Network
from supportflow.testing.platforms.messenger_people import REACTIONS

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
MS = 1772355600000
APP = App(page_id="77", app_id=42, inbox_app_id=9)
PICTURE = {"type": "image", "payload": {"url": "https://cdn.example.com/cat.png"}}


@attrs.define
class Stand:
    """A platform, and everything that its webhook was told."""

    platform: MessengerPlatform
    told: list[dict[str, object]]

    def last(self) -> dict[str, object]:
        """Return the last event, which must be the only one of its request."""
        entry = self.told[-1]["entry"]
        assert ("page", "77", 1) == (self.told[-1]["object"], entry[0]["id"], len(entry))
        (event,) = entry[0]["messaging"]
        return event


@pytest.fixture
def stand() -> Iterator[Stand]:
    """Return a platform of page 77 whose webhook listens in this process."""
    with MessengerPlatform(app=APP, clock=lambda: START) as platform:
        told: list[dict[str, object]] = []

        def hear(method, headers, query, body):
            told.append(json.loads(body))
            return 200

        platform.deliver_to(hear)
        yield Stand(platform, told)


def sent(stand: Stand, psid: str, **content: object) -> Message:
    """Accept a message of the page without going through HTTP."""
    return stand.platform.network.add(psid, START, content, outbound=True)


def ends(psid: str, **more: object) -> dict[str, object]:
    """Return what every event of a customer begins with."""
    return {"sender": {"id": psid}, "recipient": {"id": "77"}, **more}


def test_a_text(stand):
    """`messages` has sender, recipient, time, mid and text."""
    ola = stand.platform.customer("ola")
    message = ola.write("Dwa razy zapłaciłam")
    content = {"mid": message.mid, "text": "Dwa razy zapłaciłam"}
    assert ends(ola.psid, timestamp=MS, message=content) == stand.last()
    assert (message,) == ola.messages


def test_attachments_and_an_answer(stand):
    """An attachment needs no text; a reply names the message and whose it was."""
    ola = stand.platform.customer("ola")
    question = sent(stand, ola.psid, text="Do you have a picture?")
    picture = ola.write(attachments=[PICTURE], reply_to=question)
    about = {"mid": question.mid, "is_self_reply": False}
    content = {"mid": picture.mid, "attachments": [PICTURE], "reply_to": about}
    assert content == stand.last()["message"]
    ola.write("and this", reply_to=picture.mid)
    assert stand.last()["message"]["reply_to"]["is_self_reply"]


def test_an_advertisement_is_said_to_have_led_here(stand):
    """The referral of a click-to-message advertisement comes with the first message."""
    ola = stand.platform.customer("ola")
    ola.write("Is it still there?", ad="120")
    referral = {"source": "ADS", "type": "OPEN_THREAD", "ad_id": "120"}
    assert referral == stand.last()["message"]["referral"]
    assert START == ola.record.ad_at


def test_a_quick_reply_is_written_as_a_message(stand):
    """The title becomes the text, the payload comes beside it."""
    ola = stand.platform.customer("ola")
    reply = {"content_type": "text", "title": "Red", "payload": "RED"}
    question = sent(stand, ola.psid, text="Which?", quick_replies=[reply])
    chosen = ola.choose(question, "Red")
    content = {"mid": chosen.mid, "text": "Red", "quick_reply": {"payload": "RED"}}
    assert content == stand.last()["message"]
    with pytest.raises(ValueError, match="offers no 'Blue'"):
        ola.choose(question, "Blue")


def test_a_postback_is_no_message(stand):
    """A button's title and payload are said, with the id of the template, and the window opens."""
    ola = stand.platform.customer("ola")
    buttons = [
        {"type": "web_url", "title": "Look", "url": "https://shop.example.com/"},
        {"type": "postback", "title": "Buy", "payload": "BUY-7"},
    ]
    elements = [{"title": "Hat", "subtitle": "new"}, {"title": "Cap", "buttons": buttons}]
    payload = {"template_type": "generic", "elements": elements}
    card = sent(stand, ola.psid, attachment={"type": "template", "payload": payload})
    ola.tap(card, "Buy")
    postback = {"mid": card.mid, "title": "Buy", "payload": "BUY-7"}
    assert ends(ola.psid, timestamp=MS, postback=postback) == stand.last()
    assert (START, (card,)) == (ola.record.wrote_at, ola.messages)
    for title in ("Look", "Sell"):
        with pytest.raises(ValueError, match="offers no"):
            ola.tap(card, title)
    with pytest.raises(ValueError, match="offers no"):
        ola.tap(sent(stand, ola.psid, text="no buttons"), "Buy")


def test_an_edit_says_the_new_text_and_its_number(stand):
    """`message_edits` names the message; the sixth edit is impossible, as in the app."""
    ola = stand.platform.customer("ola")
    message = ola.write("Where is my parcl")
    changed = ola.edit(message, "Where is my parcel?")
    about = {"mid": message.mid, "text": "Where is my parcel?", "num_edit": 1}
    assert ends(ola.psid, timestamp=MS, message_edit=about) == stand.last()
    assert ("Where is my parcl", "Where is my parcel?") == changed.texts
    for number in range(4):
        ola.edit(message, f"again {number}")
    with pytest.raises(ValueError, match="5 times"):
        ola.edit(message.mid, "once more")


def test_only_ones_own_messages_can_be_edited(stand):
    """Neither the page's messages nor another customer's."""
    ola, jan = stand.platform.customer("ola"), stand.platform.customer("jan")
    with pytest.raises(ValueError, match="ola's to change"):
        ola.edit(sent(stand, ola.psid, text="ours"), "mine")
    with pytest.raises(KeyError):
        ola.edit(jan.write("Jan's"), "mine")


@pytest.mark.parametrize("reaction", REACTIONS)
def test_a_reaction_and_its_end(stand, reaction):
    """`message_reactions` names the reaction and the emoji; taking it back names neither."""
    ola = stand.platform.customer("ola")
    answer = sent(stand, ola.psid, text="It is on its way")
    ola.react(answer, reaction)
    about = {"mid": answer.mid, "action": "react", "reaction": reaction}
    assert {**about, "emoji": REACTIONS[reaction]} == stand.last()["reaction"]
    ola.react(answer, reaction, take_back=True)
    gone = {"reaction": {"mid": answer.mid, "action": "unreact"}}
    assert ends(ola.psid, timestamp=MS, **gone) == stand.last()
    assert ola.record.wrote_at is None


def test_an_unknown_reaction_does_not_exist(stand):
    """The app offers the documented ones only."""
    ola = stand.platform.customer("ola")
    with pytest.raises(ValueError, match="reaction is one of"):
        ola.react(ola.write("x"), "shrug")


def test_delivery_and_reading_say_up_to_when(stand):
    """Delivery has mids, watermark and no timestamp; reading has a watermark alone."""
    ola = stand.platform.customer("ola")
    ola.write("hello")
    mids = [sent(stand, ola.psid, text=text).mid for text in ("one", "two")]
    ola.receive()
    assert ends(ola.psid, delivery={"mids": mids, "watermark": MS}) == stand.last()
    ola.read()
    assert ends(ola.psid, timestamp=MS, read={"watermark": MS}) == stand.last()


def test_staff_answer_past_our_app(stand):
    """The echo of the page's inbox has its own app id and no metadata; it is no post of the API."""
    ola = stand.platform.customer("ola")
    answer = stand.platform.page_inbox.reply(ola, "I will look, Ola. – Ida")
    echo = {"mid": answer.mid, "is_echo": True, "app_id": 9, "text": "I will look, Ola. – Ida"}
    expected = {"sender": {"id": "77"}, "recipient": {"id": ola.psid}, "timestamp": MS}
    assert {**expected, "message": echo} == stand.last()
    assert ((), (answer,)) == (stand.platform.posts, ola.messages)


def test_the_inbox_may_have_no_app_id():
    """Where echoes of the inbox carry none, the field is left out."""
    with MessengerPlatform(app=attrs.evolve(APP, inbox_app_id=None)) as platform:
        platform.page_inbox.reply(platform.customer("ola"), "hello")
        (event,) = platform.hooks.pending
        assert {"mid", "is_echo", "text"} == set(event.content["message"])


def test_what_nobody_subscribed_to_is_not_said(stand):
    """Without the field there is no event, although it happened."""
    stand.platform.subscribed.discard("message_edits")
    ola = stand.platform.customer("ola")
    message = ola.write("x")
    ola.edit(message, "y")
    assert (1, "y") == (len(stand.told), ola.messages[0].text)


def test_a_burst_arrives_as_a_batch(stand):
    """Held together, events of two customers make one request of several entries."""
    ola, jan = stand.platform.customer("ola"), stand.platform.customer("jan")
    with stand.platform.hold():
        ola.write("1")
        ola.write("2")
        jan.write("3")
    (batch,) = stand.told
    texts = [[m["message"]["text"] for m in entry["messaging"]] for entry in batch["entry"]]
    assert [["1", "2"], ["3"]] == texts


def test_people_are_the_same_in_every_run():
    """Ids come from names and order alone, so that two runs can be compared."""
    one, two = Network("77"), Network("77")
    assert one.customer("ola") == two.customer("ola")
    assert one.customer("ola") is one.customer("ola")
    assert (
        one.customer("ola").psid != one.customer("jan").psid != Network("78").customer("jan").psid
    )
    first = one.add("1", START, {"text": "x"}, outbound=False)
    assert first == two.add("1", START, {"text": "x"}, outbound=False)
    assert first.mid != one.add("1", START, {"text": "x"}, outbound=False).mid
    assert None is one.by_conversation("t_0")


def test_time_is_the_platforms_own(stand):
    """What happens after `advance` carries the later time."""
    stand.platform.advance(timedelta(hours=1))
    stand.platform.customer("ola").write("later")
    assert MS + 3_600_000 == stand.last()["timestamp"]
