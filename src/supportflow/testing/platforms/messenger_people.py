"""What customers and staff do in Messenger's own apps, past the API that is under test.

Unless the platform holds its webhooks back, each thing done is said to them before the call returns.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import attrs

from supportflow.testing.platforms.messenger_events import Stage, done, echoed, written
from supportflow.testing.platforms.messenger_network import Customer, Json, Message
from supportflow.testing.platforms.meta_payloads import milliseconds

# "The user cannot edit a message more than five times": …/webhook-events/message-edits
MAX_EDITS = 5
# …/webhook-events/message-reactions names these eight; the emoji of "other" is any other one.
REACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "smile": "\U0001f606",
        "angry": "\U0001f620",
        "sad": "\U0001f622",
        "wow": "\U0001f62e",
        "love": "\u2764\ufe0f",
        "like": "\U0001f44d",
        "dislike": "\U0001f44e",
        "other": "\U0001f389",
    }
)


@attrs.frozen
class Person:
    """A customer in the app.

    Args:
        record: who it is.
        stage: where they act.
    """

    record: Customer
    stage: Stage = attrs.field(repr=False)

    @property
    def psid(self) -> str:
        """Return the page-scoped id."""
        return self.record.psid

    @property
    def messages(self) -> tuple[Message, ...]:
        """Return the thread with the page, oldest first."""
        with self.stage.lock:
            return self.stage.network.thread(self.psid)

    def write(
        self,
        text: str = "",
        *,
        attachments: Sequence[Json] = (),
        reply_to: Message | str | None = None,
        ad: str | None = None,
    ) -> Message:
        """Write to the page, which opens its messaging window.

        Args:
            text: what is written.
            attachments: such as `{"type": "image", "payload": {"url": …}}`.
            reply_to: the message that is answered.
            ad: the id of the advertisement that led here.
        """
        content: dict[str, object] = {"text": text} if text else {}
        if attachments:
            content["attachments"] = list(attachments)
        more: dict[str, object] = {}
        if reply_to is not None:
            answered = self._found(reply_to)
            more["reply_to"] = {"mid": answered.mid, "is_self_reply": not answered.outbound}
        if ad is not None:
            more["referral"] = {"source": "ADS", "type": "OPEN_THREAD", "ad_id": ad}
        return self._write(content, more)

    def choose(self, message: Message | str, title: str) -> Message:
        """Tap one of a message's quick replies, whose title is then written as a message.

        Raises:
            ValueError: when the message has no such quick reply.
            KeyError: when there is no such message in the thread.
        """
        replies = self._found(message).content.get("quick_replies", ())
        payload = _titled(replies, title)["payload"]
        return self._write({"text": title}, {"quick_reply": {"payload": payload}})

    def tap(self, message: Message | str, title: str) -> None:
        """Tap a postback button of a template, which opens the window too.

        Raises:
            ValueError: when the message has no such button.
        """
        found = self._found(message)
        payload = _titled(_buttons(found.content), title)["payload"]
        postback = {"mid": found.mid, "title": title, "payload": payload}
        with self.stage.lock:
            self.record.wrote_at = self.stage.now()
            self._do("messaging_postbacks", {"postback": postback})
        self.stage.hooks.flush()

    def edit(self, message: Message | str, text: str) -> Message:
        """Change one's own message.

        Raises:
            ValueError: when it is not one's own, or was changed five times already.
        """
        with self.stage.lock:
            found = self._found(message)
            if found.outbound:
                raise ValueError(f"message {found.mid} is not {self.record.name}'s to change")
            if len(found.texts) > MAX_EDITS:
                raise ValueError(f"message {found.mid} was already changed {MAX_EDITS} times")
            texts = (*found.texts, text)
            content = {**found.content, "text": text}
            changed = attrs.evolve(found, text=text, content=content, texts=texts)
            self.stage.network.messages[found.mid] = changed
            about = {"mid": found.mid, "text": text, "num_edit": len(texts) - 1}
            self._do("message_edits", {"message_edit": about})
        self.stage.hooks.flush()
        return changed

    def react(
        self, message: Message | str, reaction: str = "love", *, take_back: bool = False
    ) -> None:
        """React to a message with an emoji, or take that back.

        Raises:
            ValueError: for a reaction that does not exist.
        """
        if reaction not in REACTIONS:
            raise ValueError(f"reaction is one of {', '.join(REACTIONS)}, not {reaction!r}")
        about = {"mid": self._found(message).mid, "action": "unreact" if take_back else "react"}
        shown = {} if take_back else {"reaction": reaction, "emoji": REACTIONS[reaction]}
        with self.stage.lock:
            self._do("message_reactions", {"reaction": {**about, **shown}})
        self.stage.hooks.flush()

    def receive(self) -> None:
        """Have the phone on: all that the page wrote so far is delivered."""
        with self.stage.lock:
            sent = [each for each in self.stage.network.thread(self.psid) if each.outbound]
            mids = [each.mid for each in sent]
            about = {"mids": mids, "watermark": milliseconds(self.stage.now())}
            self._do("message_deliveries", {"delivery": about})
        self.stage.hooks.flush()

    def read(self) -> None:
        """Look at the thread: all that the page wrote so far is read."""
        with self.stage.lock:
            about = {"watermark": milliseconds(self.stage.now())}
            self._do("message_reads", {"read": about})
        self.stage.hooks.flush()

    def block(self, *, lift: bool = False) -> None:
        """Block the page, or lift that."""
        with self.stage.lock:
            self.record.blocked = not lift

    def _write(self, content: Json, more: Json) -> Message:
        with self.stage.lock:
            now, network = self.stage.now(), self.stage.network
            message = network.add(self.psid, now, content, outbound=False)
            self.record.wrote_at = now
            if "referral" in more:
                self.record.ad_at = now
            self.stage.say(written(network.page_id, message, **more))
        self.stage.hooks.flush()
        return message

    def _found(self, message: Message | str) -> Message:
        """Return the newest form of a message of this thread."""
        mid = message if isinstance(message, str) else message.mid
        with self.stage.lock:
            return {each.mid: each for each in self.stage.network.thread(self.psid)}[mid]

    def _do(self, field: str, content: Json) -> None:
        page_id, now = self.stage.network.page_id, self.stage.now()
        self.stage.say(done(field, page_id, self.psid, now, content))


@attrs.frozen
class PageInbox:
    """The page's own inbox, where staff answer past every app.

    Args:
        stage: where they act.
        app_id: the inbox's own app id, or None to leave it out of echoes.
    """

    stage: Stage = attrs.field(repr=False)
    app_id: int | None

    def reply(self, customer: Person, text: str) -> Message:
        """Answer a customer; apps learn of it by an echo without our app id and metadata."""
        with self.stage.lock:
            network = self.stage.network
            added = network.add(customer.psid, self.stage.now(), {"text": text}, outbound=True)
            message = attrs.evolve(added, app_id=self.app_id)
            network.messages[message.mid] = message
            self.stage.say(echoed(network.page_id, message))
        self.stage.hooks.flush()
        return message


DOES: Mapping[str, Callable[..., object]] = MappingProxyType(
    {
        "write": Person.write,
        "choose": Person.choose,
        "tap": Person.tap,
        "edit": Person.edit,
        "react": Person.react,
        "receive": Person.receive,
        "read": Person.read,
        "block": Person.block,
    }
)


def _buttons(content: Json) -> list[object]:
    """Return all buttons of a template's elements."""
    match content:
        case {"attachment": {"payload": {"elements": [*elements]}}}:
            return [button for element in elements for button in element.get("buttons", ())]
        case _:
            return []


def _titled(choices: object, title: str) -> Mapping[str, object]:
    """Return the choice of this title that has a payload."""
    for choice in choices if isinstance(choices, Sequence) else ():
        match choice:
            case {"title": str(found), "payload": _} if found == title:
                return dict(choice)
            case _:
                continue
    raise ValueError(f"the message offers no {title!r}")
