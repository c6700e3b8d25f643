"""What the Conversations API shows of a local Messenger, late where a fault says so.

Sources: https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversations
and https://developers.facebook.com/docs/graph-api/reference/conversation. No read shows metadata.
"""

from collections.abc import Callable
from datetime import datetime

import attrs

from supportflow.testing.platforms.faults import Fault
from supportflow.testing.platforms.messenger_network import App, Customer, Message, Network
from supportflow.testing.platforms.meta_fields import Field, Node, NodeType
from supportflow.testing.platforms.meta_graph import unknown_object
from supportflow.testing.platforms.meta_payloads import written_at

MESSAGE = NodeType("Message", ("id", "created_time"))
CONVERSATION = NodeType("UnifiedThread", ("id", "updated_time"))
PAGE = NodeType("Page", ("name", "id"))


@attrs.frozen
class _Lag:
    """How long reads do not show a message: until a read of that number, or a time."""

    read: int
    until: datetime | None


class Reads:
    """Answer reads of threads and messages.

    Args:
        network: what exists.
        app: the page that reads.
        now: the platform's clock.
        readable: how many of a thread's newest messages can be read one by one.
    """

    def __init__(
        self, network: Network, app: App, now: Callable[[], datetime], readable: int
    ) -> None:
        self._network, self._app, self._now, self._readable = network, app, now, readable
        self._count = 0
        self._lags: dict[str, _Lag] = {}

    def hide(self, message: Message, fault: Fault) -> None:
        """Do not show a message for as many reads, or as long, as a fault says."""
        until = None if fault.lasts is None else message.at + fault.lasts
        self._lags[message.mid] = _Lag(self._count + fault.reads, until)

    def node(self, name: str, fields: tuple[Field, ...], url: str) -> dict[str, object]:
        """Return a page, a thread or a message.

        Args:
            name: its id.
            fields: what is asked of it.
            url: the address that ids are appended to, for `paging`.

        Raises:
            GraphError: when there is none, or it lacks a field.
        """
        if name == self._app.page_id:
            return PAGE.select({"id": name, "name": self._app.page_name}, fields)
        self._count += 1
        if customer := self._network.by_conversation(name):
            return CONVERSATION.select(self._thread(customer, url), fields)
        message = self._network.messages.get(name)
        if message is None or message not in self._shown(message.psid)[: self._readable]:
            raise unknown_object(name)
        return MESSAGE.select(self._message(message), fields)

    def messages(self, name: str, field: Field, url: str) -> dict[str, object]:
        """Return a page of a thread's messages, newest first.

        Raises:
            GraphError: when there is no such thread, cursor or field.
        """
        customer = self._network.by_conversation(name)
        if customer is None:
            raise unknown_object(name)
        self._count += 1
        return self._messages(customer, field, url)

    def conversations(self, psid: str | None, field: Field, url: str) -> dict[str, object]:
        """Return a page of threads, the last changed first.

        Args:
            psid: the only customer meant, or None.
            field: what is asked for.
            url: the address that ids are appended to, for `paging`.

        Raises:
            GraphError: when there is no such cursor or field.
        """
        self._count += 1
        customers = [
            each
            for each in self._network.customers.values()
            if psid in {None, each.psid} and self._shown(each.psid)
        ]
        newest = sorted(customers, key=lambda each: -self._shown(each.psid)[0].order)
        nodes = [self._thread(each, url) for each in newest]
        return CONVERSATION.page(nodes, field, f"{url}/{self._app.page_id}/conversations")

    def _shown(self, psid: str) -> tuple[Message, ...]:
        """Return what reads show of a thread, newest first."""
        thread = self._network.thread(psid)
        return tuple(each for each in reversed(thread) if not self._is_hidden(each))

    def _is_hidden(self, message: Message) -> bool:
        lag = self._lags.get(message.mid)
        if lag is None:
            return False
        return self._count <= lag.read if lag.until is None else self._now() < lag.until

    def _messages(self, customer: Customer, field: Field, url: str) -> dict[str, object]:
        nodes = [self._message(each) for each in self._shown(customer.psid)]
        return MESSAGE.page(nodes, field, f"{url}/{customer.conversation}/messages")

    def _thread(self, customer: Customer, url: str) -> Node:
        shown = self._shown(customer.psid)
        number = customer.conversation.removeprefix("t_")
        return {
            "id": customer.conversation,
            "link": f"/{self._app.page_id}/inbox/{number}/",
            "updated_time": written_at(shown[0].at) if shown else None,
            "message_count": len(shown),
            "participants": {"data": [_person(customer), self._page()]},
            "messages": lambda field: self._messages(customer, field, url),
        }

    def _message(self, message: Message) -> Node:
        ends = [_person(self._network.customers[message.psid]), self._page()]
        sender, receiver = reversed(ends) if message.outbound else ends
        return {
            "id": message.mid,
            "created_time": written_at(message.at),
            "from": sender,
            "to": {"data": [receiver]},
            "message": message.text,
        }

    def _page(self) -> dict[str, str]:
        return _end(self._app.page_name, self._app.page_id)


def _person(customer: Customer) -> dict[str, str]:
    return _end(customer.name, customer.psid)


def _end(name: str, number: str) -> dict[str, str]:
    return {"name": name, "email": f"{number}@facebook.com", "id": number}
