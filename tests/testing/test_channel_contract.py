"""The contract of channels catches what is wrong with a channel, and passes one that is right.

A small channel is written out as a third party would write it. One mistake at a time is planted
into it; one run of pytest, in a process and a directory of its own, tries them all.
"""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.xdist_group("kit")  # they share the one run of pytest

CHANNEL = """'A channel as a third party writes it; it asserts nothing itself: PYTEST_DONT_REWRITE.'

from datetime import timedelta

import attrs
import pytest

from supportflow.channels import (
    Ambiguous, Delivery, Found, Health, NeedsAuth, NotSent, Page, RateLimited, Refused, Traits, Unreadable,
)
from supportflow.channels.powers import check_powers
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, PayloadError, TransportError, WebhookRejected
from supportflow.http import Request, Response, read_json, retry_at
from supportflow.model import (
    AgentKind, Author, Edit, Inbound, Message, Outbound, Outgoing, Receipt, Removal, Secret, Visibility,
)
from supportflow.signing import hmac_sha256, verify_hex
from supportflow.testing import ChannelContract, PageCase, SendCase, WebhookCase
from supportflow.text.fields import compact, mapping, mappings, word
from supportflow.text.moments import from_text

HOST = "https://chatter.example"
TRAITS = Traits(
    "chatter", max_text=200, reconcile="read", inbound=("webhook", "poll"), counting="utf16",
    settle=timedelta(seconds=10), powers=("announcement",), signature="X-Signature",
    visibilities=("public", "private"), window=timedelta(hours=24),
)
SETUP = Setup(
    "Chat.", (Need("secret", "of the hook", True), Need("token", "of the shop", True)), ("Copy them.",),
)


@attrs.frozen
class Chatter:
    secret: Secret = attrs.field(converter=Secret)
    token: Secret = attrs.field(converter=Secret)
    name: str = "chatter"
    traits = TRAITS
    setup = SETUP

    def using(self, state):
        return self

    def receive(self, hook):
        sent = hook.headers.get("X-Sent") or ""
        stale = not sent.isdecimal() or abs(int(sent) - hook.at.timestamp()) > 300
        if not sent.isascii() or len(sent) > 10 or stale:
            raise WebhookRejected("X-Sent is missing, malformed or stale")
        verify_hex(self.secret, sent.encode() + hook.body, hook.headers.get("X-Signature"))
        return Delivery(*self.read(read_json(hook.body)))

    def poll(self, cursor):
        response = yield self.ask("GET", f"/messages?after={cursor or 0}")
        said = f"the server answered {response.status}"
        if response.status == 401:
            raise NeedsAuth(said)
        if response.status == 429:
            raise RateLimited(said, retry_at(response, response.at))
        if response.status != 200:
            raise TransportError(said, sent=True)
        facts, unreadable = self.read(response.json())
        return Page(facts, str(len(facts)), unreadable)

    def read(self, body):
        facts, unreadable = [], []
        if "messages" not in mapping(body, "the body"):
            raise PayloadError("no messages in it")
        for item in body["messages"] if isinstance(body["messages"], list) else ():
            try:
                facts.append(self.fact(mapping(item, "a message")))
            except (PayloadError, InvalidValue) as error:
                unreadable.append(Unreadable(compact(item).encode("utf-8", "replace"), str(error)))
        return tuple(facts), tuple(unreadable)

    def fact(self, item):
        at, name = from_text(item.get("at")), word(item, "id")
        if item.get("event") == "edit":
            return Edit(self.name, "message", name, word(item, "at"), word(item, "text"), at)
        if item.get("event") == "delete":
            return Removal(self.name, "message", name, at)
        author = Author(word(item, "from"))
        message = Message(self.name, "message", name, author, word(item, "text"), at)
        mark = item.get("mark") if isinstance(item.get("mark"), str) else None
        return Outbound(message, mark=mark) if author.id == "shop" else Inbound(message)

    def reread(self, raw):
        return Delivery((self.fact(mapping(read_json(raw), "a message")),))

    def ask(self, method, path, body=b"", posts=False):
        headers = {"Authorization": f"Bearer {self.token.reveal()}"}
        return Request(method, HOST + path, headers, body, posts=posts)

    def send(self, message):
        check_powers(message, self.traits)
        thread = yield self.ask("GET", f"/threads/{message.thread}")
        if thread.status != 200:
            raise NotSent(f"the thread cannot be read: {thread.status}")
        text = message.text
        body = compact({"thread": message.thread, "text": text}).encode("utf-8", "replace")
        try:
            response = yield self.ask("POST", "/messages", body, posts=True)
        except TransportError as error:
            raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None
        return self.receipt(response, message)

    def receipt(self, response, message):
        status, now = response.status, response.at or message.queued_at
        said = f"the server answered {status}"
        if status in (401, 403):
            raise NeedsAuth(said)
        if status == 429:
            raise RateLimited(said, retry_at(response, now))
        if 300 <= status < 500 and status != 408:
            raise Refused(said)
        if status != 200:
            raise Ambiguous(said)
        try:
            return Receipt(word(mapping(response.json(), "the answer"), "id"), now)
        except PayloadError as error:
            raise Ambiguous(str(error)) from None

    def check(self):
        response = yield self.ask("GET", "/me")
        well = response.status == 200
        return Health(well, () if well else ("the token is not accepted; make a new one",))

    def find_sent(self, message):
        for page in (1, 2):
            try:
                response = yield self.ask("GET", f"/threads/{message.thread}?page={page}")
            except TransportError as error:
                return Found(looked=False, why=str(error))
            if response.status != 200:
                return Found(looked=False, why=f"the server answered {response.status}")
            try:
                thread = mapping(response.json(), "the thread")
                if "posts" not in thread:
                    raise PayloadError("the thread has no posts")
                posts = mappings(thread, "posts")
            except PayloadError as error:
                return Found(looked=False, why=str(error))
            mine = [post for post in posts if post.get("text") == message.text]
            if mine:
                return Found(Receipt(word(mine[0], "id"), from_text(mine[0].get("at"))))
        return Found()


def item(number):
    at = f"2026-03-02T08:00:0{number}Z"
    return {"id": f"m{number}", "from": "ola", "text": "Where is my parcel?", "at": at}


OURS = {**item(3), "from": "shop", "text": "We are sorry.", "mark": "mark"}
EDIT, GONE = {**item(1), "event": "edit"}, {**item(2), "event": "delete"}
BODY = compact({"messages": [item(1), item(2), OURS, EDIT, GONE]}).encode()
AUTHORIZED = {"Authorization": "Bearer t0ken-of-the-shop"}
SAID = Outgoing(
    "row", "mark", "We are sorry.", Author("ola"), "t1", ("message", "m1"), Visibility.public,
    AgentKind.person, ChannelContract.at,
)


class TestChatter(ChannelContract):
    @pytest.fixture
    def channel(self):
        return Chatter("s3cret-of-the-shop", "t0ken-of-the-shop")

    @pytest.fixture
    def sign(self):
        secret = Secret("s3cret-of-the-shop")
        sent = str(int(ChannelContract.at.timestamp()))
        return lambda body: {
            "X-Signature": "sha256=" + hmac_sha256(secret, sent.encode() + body).hex(),
            "X-Sent": sent,
        }

    @pytest.fixture
    def inbound_cases(self):
        one, two, ours = (
            Message(
                "chatter", "message", each["id"], Author(each["from"]), each["text"],
                from_text(each["at"]),
            )
            for each in (item(1), item(2), OURS)
        )
        edit = Edit("chatter", "message", "m1", item(1)["at"], one.text, one.at)
        gone = Removal("chatter", "message", "m2", two.at)
        facts = (Inbound(one), Inbound(two), Outbound(ours, mark="mark"), edit, gone)
        page = PageCase("page", (Response(200, body=BODY),), facts, "0", items=("messages",))
        return [WebhookCase("batch", BODY, facts, items=("messages",)), page]

    @pytest.fixture
    def send_cases(self):
        body = compact({"thread": "t1", "text": "We are sorry."}).encode()
        requests = (
            Request("GET", f"{HOST}/threads/t1", AUTHORIZED),
            Request("POST", f"{HOST}/messages", AUTHORIZED, body, posts=True),
        )
        responses = (Response(200, body=b"{}"), Response(200, body=b'{"id": "m9"}'))
        receipt = Receipt("m9", ChannelContract.at)
        ours = {"id": "m9", "text": "We are sorry.", "at": "2026-03-02T09:00:00Z"}
        some, none = (
            Response(200, body=compact({"posts": posts}).encode()) for posts in ([ours], [])
        )
        found, absent = (none, some), (none, none)
        news = attrs.evolve(SAID, reply_to=None)
        quiet = attrs.evolve(SAID, visibility=Visibility.private)
        late = Response(410, body=b'{"error": "too late"}')
        return [
            SendCase("reply", SAID, requests, responses, receipt, found, absent),
            SendCase("private", quiet, requests, responses, receipt),
            SendCase("news", news, requests, responses, receipt),
            SendCase("late", quiet, requests, (responses[0], late), Refused),
        ]
"""

VERIFY = (
    '        verify_hex(self.secret, sent.encode() + hook.body, hook.headers.get("X-Signature"))\n'
)
#: What is planted: the text that is replaced, what replaces it, and a test that must fail.
BUGS = {
    "takes_anything": (
        VERIFY,
        "",
        "test_what_is_not_signed_is_refused",
    ),
    "takes_a_missing_signature": (
        "        verify_hex(self",
        '        if hook.headers.get("X-Signature"): verify_hex(self',
        "test_what_is_not_signed_is_refused",
    ),
    "signs_json_instead_of_bytes": (
        "sent.encode() + hook.body, hook",
        "sent.encode() + hook.body.strip(), hook",
        "test_what_was_changed_is_refused",
    ),
    "reads_before_it_proves": (
        VERIFY + "        return Delivery(*self.read(read_json(hook.body)))\n",
        "        read = self.read(read_json(hook.body))\n"
        + VERIFY
        + "        return Delivery(*read)\n",
        "test_what_was_changed_is_refused",
    ),
    "compares_text": (
        VERIFY,
        (
            "        import hmac\n"
            "        from supportflow.errors import WebhookRejected\n"
            '        right = "sha256=" + hmac_sha256(self.secret, sent.encode() + hook.body).hex()\n'
            '        if not hmac.compare_digest(right, hook.headers.get("X-Signature") or ""):\n'
            '            raise WebhookRejected("wrong")\n'
        ),
        "test_hostile_headers_are_refused_in_time",
    ),
    "tells_the_answer": (
        VERIFY,
        (
            "        from supportflow.errors import WebhookRejected\n"
            '        right = "sha256=" + hmac_sha256(self.secret, sent.encode() + hook.body).hex()\n'
            '        if hook.headers.get("X-Signature") != right:\n'
            '            raise WebhookRejected(f"not {right}")\n'
        ),
        "test_a_refusal_shows_no_signature",
    ),
    "loses_the_batch": (
        "            except (PayloadError, InvalidValue) as error:\n",
        "            except ZeroDivisionError as error:\n",
        "test_one_bad_item_leaves_its_neighbours",
    ),
    "drops_what_it_cannot_read": (
        "                unreadable.append(",
        "                (",
        "test_one_bad_item_leaves_its_neighbours",
    ),
    "trusts_a_field": (
        'author, word(item, "text"), at',
        'author, item["text"].strip(), at',
        "test_every_field_may_be_missing_or_wrong",
    ),
    "reads_json_as_it_comes": (
        "read_json(hook.body)",
        "__import__('json').loads(hook.body)",
        "test_hostile_bodies_raise_our_errors_in_time",
    ),
    "reads_differently_each_time": (
        'from_text(item.get("at")), word(item, "id")',
        'from_text(item.get("at")), word(item, "id") + str(id(item))',
        "test_reads_the_same_twice",
    ),
    "names_another_channel": (
        'Message(self.name, "message"',
        'Message("another", "message"',
        "test_facts_name_the_channel",
    ),
    "takes_a_refusal_for_an_empty_page": (
        "            raise TransportError(said, sent=True)\n",
        "            return Page()\n",
        "test_a_refused_poll_is_an_error",
    ),
    "posts_in_secret": (
        "body, posts=True)\n        except",
        "body)\n        except",
        "test_one_request_posts_and_it_is_the_last",
    ),
    "sends_in_clear": (
        'HOST = "https:',
        'HOST = "http:',
        "test_requests_are_encrypted",
    ),
    "sends_something_else": (
        '"text": text}).encode("utf-8", "replace")\n        try',
        '"text": text, "silent": True}).encode("utf-8", "replace")\n        try',
        "test_sends_as_recorded",
    ),
    "takes_5xx_for_not_sent": (
        "        if status != 200:\n            raise Ambiguous(said)\n",
        "        if status != 200:\n            raise NotSent(said)\n",
        "test_each_status_means_what_it_means",
    ),
    "takes_408_for_refused": (
        " and status != 408",
        "",
        "test_each_status_means_what_it_means",
    ),
    "follows_redirects": (
        "if 300 <= status < 500",
        "if 400 <= status < 500",
        "test_each_status_means_what_it_means",
    ),
    "fails_once_a_reply_without_a_token": (
        "(401, 403):\n            raise NeedsAuth(said)",
        "(401, 403):\n            raise Refused(said)",
        "test_each_status_means_what_it_means",
    ),
    "takes_any_200_for_posted": (
        'word(mapping(response.json(), "the answer"), "id")',
        'str(mapping(response.json(), "the answer").get("id"))',
        "test_an_answer_without_an_id_is_ambiguous",
    ),
    "sends_again_what_was_lost": (
        (
            "raise (NotSent if error.sent is False else Ambiguous)(str(error)) from None\n"
            "        return self.receipt"
        ),
        "raise NotSent(str(error)) from None\n        return self.receipt",
        "test_a_lost_answer_is_ambiguous",
    ),
    "fails_for_good_before_it_posts": (
        "raise NotSent(f",
        "raise Refused(f",
        "test_trouble_before_the_post_is_not_sent",
    ),
    "swallows_cancellation": (
        "        except TransportError as error:\n            raise (NotSent if error.sent is",
        (
            "        except BaseException as error:\n"
            "            raise (NotSent if getattr(error, 'sent', None) is"
        ),
        "test_being_cancelled_is_no_answer",
    ),
    "waits_as_long_as_it_is_told": (
        "retry_at(response, now)",
        'now + timedelta(seconds=float(response.headers.get("Retry-After") or 0))',
        "test_a_rate_limit_says_when_to_go_on",
    ),
    "cuts_long_texts": (
        "text = message.text\n",
        "text = message.text[:199]\n",
        "test_a_text_at_the_limit_is_sent_whole",
    ),
    "shows_its_token": (
        "    token: Secret = attrs.field(converter=Secret)\n",
        "    token: Secret = attrs.field(converter=Secret, repr=lambda token: token.reveal())\n",
        "test_no_secret_is_shown",
    ),
    "repeats_what_it_was_told": (
        'said = f"the server answered {status}"',
        'said = f"the server answered {response.body.decode()}"',
        "test_no_secret_is_shown",
    ),
    "takes_a_failed_read_for_absence": (
        'return Found(looked=False, why=f"the server answered {response.status}")\n',
        "return Found()\n",
        "test_a_failed_look_is_not_absence",
    ),
    "takes_an_empty_object_for_absence": (
        'if "posts" not in thread:\n',
        'if "posts" not in thread and not thread.keys() <= {"error"}:\n',
        "test_a_failed_look_is_not_absence",
    ),
    "takes_a_broken_search_for_absence": (
        'return Found(looked=False, why=f"the',
        'return Found(looked=page > 1, why=f"the',
        "test_a_search_that_breaks_off_is_not_absence",
    ),
    "cannot_look": (
        "    def find_sent(",
        "    def look(",
        "test_a_search_is_recorded",
    ),
    "never_finds": (
        "            if mine:\n",
        "            if mine and page > 2:\n",
        "test_what_was_sent_is_found",
    ),
    "finds_something_else": (
        'Found(Receipt(word(mine[0], "id")',
        "Found(Receipt(message.thread",
        "test_what_was_sent_is_found",
    ),
    "is_never_sure": (
        "        return Found()\n",
        '        return Found(looked=False, why="?")\n',
        "test_what_was_not_sent_is_absent",
    ),
    "posts_while_it_looks": (
        'self.ask("GET", f"/threads/{message.thread}?page={page}")',
        'self.ask("POST", "/search", posts=True)',
        "test_a_search_only_reads",
    ),
    "is_always_well": (
        "return Health(well, ",
        "return Health(True, ",
        "test_a_check_that_fails_is_no_good_health",
    ),
    "can_be_changed": (
        "@attrs.frozen\nclass Chatter",
        "@attrs.define\nclass Chatter",
        "test_it_is_frozen",
    ),
    "holds_plain_secrets": (
        (
            "    secret: Secret = attrs.field(converter=Secret)\n"
            "    token: Secret = attrs.field(converter=Secret)\n"
        ),
        (
            "    plain: str\n    plain_token: str\n"
            "    secret = property(lambda self: Secret(self.plain))\n"
            "    token = property(lambda self: Secret(self.plain_token))\n"
        ),
        "test_it_has_secrets",
    ),
    "says_it_takes_no_webhooks": (
        'inbound=("webhook", "poll")',
        'inbound=("poll",)',
        "test_traits_are_sane",
    ),
    "forgets_itself": (
        "        return self\n",
        '        return attrs.evolve(self, name="another")\n',
        "test_it_takes_its_state",
    ),
    "knows_no_staleness": (
        "or stale:",
        "or sent.isalpha():",
        "test_what_is_stale_is_refused_and_a_replay_tells_nothing_new",
    ),
    "proves_only_the_beginning": (
        {"+ hook.body, hook": "+ hook.body[:400], hook", "+ body).hex()": "+ body[:400]).hex()"},
        "test_what_was_changed_is_refused",
    ),
    "takes_the_first_alone": (
        'for item in body["messages"] if isinstance(body["messages"], list) else ()',
        'for item in body["messages"][:1] if isinstance(body["messages"], list) else ()',
        "test_one_bad_item_leaves_its_neighbours",
    ),
    "answers_itself": (
        {
            'if author.id == "shop" else': "if mark else",
            "OURS, EDIT": 'OURS, {**item(4), "from": "shop"}, EDIT',
            "edit, gone)": (
                'Inbound(Message("chatter", "message", "m4", Author("shop"), one.text, '
                'from_text(item(4)["at"]))), edit, gone)'
            ),
        },
        "test_we_are_never_our_own_customer",
    ),
    "loses_the_mark_of_an_echo": (
        {
            'reconcile="read"': 'reconcile="echo"',
            "Outbound(ours, mark=": "Outbound(ours, customer=",
        },
        "test_an_echo_is_known_for_ours",
    ),
    "passes_edits_over": (
        {"EDIT, GONE]}": "GONE]}", "edit, gone)": "gone)"},
        "test_what_the_platform_tells_is_recorded",
    ),
    "keeps_edits_apart": (
        {
            'Edit(self.name, "message"': 'Edit(self.name, "edit"',
            '"chatter", "message", "m1"': '"chatter", "edit", "m1"',
        },
        "test_facts_are_about_messages_that_there_are",
    ),
    "names_what_is_polled_otherwise": (
        'page = PageCase("page", (Response(200, body=BODY),), facts',
        'page = PageCase("page", (Response(200, body=BODY),), facts[3:]',
        "test_a_message_has_one_key_whichever_way_it_comes",
    ),
    "threads_what_is_polled_otherwise": (
        'page = PageCase("page", (Response(200, body=BODY),), facts',
        'page = PageCase("page", (), (Inbound(attrs.evolve(one, thread="t")),)',
        "test_a_message_has_one_key_whichever_way_it_comes",
    ),
    "follows_the_redirect_of_a_poll": (
        "        if response.status == 401:\n",
        (
            '        if response.headers.get("Location"):\n'
            '            response = yield Request("GET", response.headers.get("Location"))\n'
            "        if response.status == 401:\n"
        ),
        "test_no_redirect_is_followed",
    ),
    "checks_in_clear": (
        'self.ask("GET", "/me")',
        'Request("GET", "http://chatter.example/me")',
        "test_every_request_is_encrypted",
    ),
    "posts_to_see_whether_it_can": (
        'self.ask("GET", "/me")',
        'self.ask("POST", "/messages", posts=True)',
        "test_what_only_asks_posts_nothing",
    ),
    "repeats_what_a_poll_was_told": (
        'said = f"the server answered {response.status}"\n',
        'said = f"the server answered {response.body}"\n',
        "test_no_secret_is_shown",
    ),
    "does_not_say_what_is_wrong": (
        '("the token is not accepted; make a new one",)',
        '("",)',
        "test_a_check_that_fails_is_no_good_health",
    ),
    "pauses_for_no_poll": (
        "if response.status == 429:",
        "if response.status == 420:",
        "test_a_refused_poll_is_an_error",
    ),
    "polls_on_without_a_token": (
        "if response.status == 401:",
        "if response.status == 402:",
        "test_a_refused_poll_is_an_error",
    ),
    "lets_a_card_vanish": (
        "        check_powers(message, self.traits)\n",
        "",
        "test_what_it_cannot_express_is_refused_unasked",
    ),
    "asks_before_it_refuses": (
        {
            "        check_powers(message, self.traits)\n": "",
            "        text = message.text\n": (
                "        check_powers(message, self.traits)\n        text = message.text\n"
            ),
        },
        "test_what_it_cannot_express_is_refused_unasked",
    ),
    "boasts": (
        'powers=("announcement",)',
        'powers=("announcement", "card")',
        "test_what_it_can_express_is_recorded",
    ),
    "whispers_in_public": (
        'visibilities=("public", "private")',
        'visibilities=("public",)',
        "test_a_closed_window_is_recorded",
    ),
    "loses_other_letters": (
        '"text": text}).encode("utf-8", "replace")\n        try',
        '"text": text}).encode("ascii", "ignore")\n        try',
        "test_a_text_at_the_limit_is_sent_whole",
    ),
    "cuts_an_emoji_in_two": (
        "text = message.text\n",
        'text = message.text.encode("utf-16-le")[:398].decode("utf-16-le", "ignore")\n',
        "test_a_text_at_the_limit_is_sent_whole",
    ),
    "stumbles_over_a_list": (
        'item.get("event") == "edit"',
        'item.get("event") in {"edit"}',
        "test_every_field_may_be_missing_or_wrong",
    ),
    "trusts_the_envelope": (
        'for item in body["messages"] if isinstance(body["messages"], list) else ()',
        'for item in body["messages"]',
        "test_what_is_around_the_items_may_be_missing_or_wrong",
    ),
    "chokes_on_what_is_new": (
        '        at, name = from_text(item.get("at"))',
        (
            '        {"id", "from", "text", "at", "mark", "event", "kit"} & {*item} == {*item} or 1 / 0\n'
            '        at, name = from_text(item.get("at"))'
        ),
        "test_whatever_is_changed_raises_our_errors_in_time",
    ),
    "reads_byte_by_byte": (
        "        return Delivery(*self.read(",
        (
            "        for _ in range(5):\n            sum(1 for byte in hook.body)\n"
            "        return Delivery(*self.read("
        ),
        "test_hostile_bodies_raise_our_errors_in_time",
    ),
    "copies_without_end": (
        "        return Delivery(*self.read(",
        "        copies = [[*hook.body] for _ in range(3)]\n        return Delivery(*self.read(",
        "test_hostile_bodies_take_little_memory",
    ),
    "trusts_its_quarantine": (
        "mapping(read_json(raw), ",
        "mapping(__import__('json').loads(raw), ",
        "test_what_is_read_again_raises_our_errors",
    ),
    "asks_for_what_it_does_not_take": (
        'Need("token"',
        'Need("tokn"',
        "test_its_setup_fits_its_class",
    ),
    "hides_how_it_is_proved": (
        'signature="X-Signature",',
        "",
        "test_traits_are_sane",
    ),
}
#: The tests that only a channel with webhooks has.
SIGNATURES = {
    "test_what_is_stale_is_refused_and_a_replay_tells_nothing_new",
    "test_what_is_not_signed_is_refused",
    "test_what_was_changed_is_refused",
    "test_hostile_headers_are_refused_in_time",
    "test_a_refusal_shows_no_signature",
}
#: What an author can forget: the name of a fixture, and the words that remind them.
FORGOTTEN = {
    "channel": "override the fixture `channel`",
    "sign": "override the fixture `sign`",
    "inbound_cases": "override the fixture `inbound_cases`",
    "send_cases": "override the fixture `send_cases`",
}


def planted(old: str | dict[str, str], new: str = "") -> str:
    """Return the channel with something replaced in it, or several things."""
    source = CHANNEL
    for there, instead in (old if isinstance(old, dict) else {old: new}).items():
        assert 1 == source.count(there), f"{there!r} is there {source.count(there)} times"
        source = source.replace(there, instead)
    return source


def variants() -> dict[str, str]:
    """Return every file that is tried: the right one, those with a bug, and forgetful ones."""
    files = {"right": CHANNEL}
    files |= {f"bug_{name}": planted(*where) for name, (*where, _) in BUGS.items()}
    for name in FORGOTTEN:
        line = f"    @pytest.fixture\n    def {name}(self):\n"
        files[f"forgot_{name}"] = planted(line, f"    def other_{name}(self):\n")
    files["no_items"] = CHANNEL.replace('items=("messages",)', "items=None")
    files["no_webhook"] = planted(
        'return [WebhookCase("batch", BODY, facts, items=("messages",)), page]', "return [page]"
    )
    reply = 'SendCase("reply", SAID, requests, responses, receipt, found, absent),'
    files["nothing_posted"] = planted(
        {
            reply: 'SendCase("reply", SAID, requests[:1], (Response(404),), NotSent),',
            'SendCase("private", quiet, requests, responses, receipt),': "",
            'SendCase("news", news, requests, responses, receipt),': "",
        }
    )
    files["nothing_found"] = planted("receipt, found, absent)", "receipt, found)")
    files["found_unsent"] = planted(
        "responses, receipt, found, absent)", "responses, NotSent, found, absent)"
    )
    late = 'SendCase("late", quiet, requests, (responses[0], late), Refused),'
    files["no_window"] = planted(late, "")
    files["signs_nothing"] = planted(
        "hmac_sha256(secret, sent.encode() + body)", "secret.reveal().encode()"
    )
    files["shared_secret"] = planted(
        {
            VERIFY: (
                '        if not verified(hook.headers.get("X-Signature"), self.secret):\n'
                '            raise WebhookRejected("X-Signature does not match")\n'
            ),
            '"sha256=" + hmac_sha256(secret, sent.encode() + body).hex()': "secret.reveal()",
            '            "X-Sent": sent,\n': "",
            'hook.headers.get("X-Sent") or ""': "str(int(hook.at.timestamp()))",
            "class TestChatter(ChannelContract):\n": (
                "def verified(given, secret):\n"
                '    given = (given or "").encode("utf-8", "surrogatepass")\n'
                '    return __import__("hmac").compare_digest(given, secret.reveal().encode())\n'
                "\n\nclass TestChatter(ChannelContract):\n    signs_body = False\n\n"
            ),
        }
    )
    files["says_only"] = planted(
        {
            'inbound=("webhook", "poll")': "inbound=()",
            'signature="X-Signature",': "",
            "    def receive(": "    def _receive(",
            "    def poll(": "    def _poll(",
            "    def sign(": "    def _sign(",
            'return [WebhookCase("batch", BODY, facts, items=("messages",)), page]': "return []",
        }
    )
    unsigned, signing = CHANNEL.split("    @pytest.fixture\n    def sign(self):\n")
    sign, rest = signing.split("\n\n", 1)
    files["adds_sign"] = (
        f"{unsigned}{rest}\n\nclass TestSigned(TestChatter):\n"
        f"    @pytest.fixture\n    def sign(self):\n{sign}\n"
    )
    return files


#: What runs of a variant in which no bug is planted, where that is not everything.
CHOSEN = {
    "forgot_channel": "TestChatter::test_it_is_frozen",
    "forgot_inbound_cases": "TestChatter::test_reads_as_recorded",
    "forgot_send_cases": "TestChatter::test_sends_as_recorded",
    "no_items": "TestChatter::test_a_batch_is_recorded",
    "no_webhook": "TestChatter::test_something_is_recorded_for_every_way_in",
    "nothing_posted": "TestChatter::test_a_posted_message_is_recorded",
    "nothing_found": "TestChatter::test_a_search_is_recorded",
    "found_unsent": "TestChatter::test_a_search_is_recorded",
    "no_window": "TestChatter::test_a_closed_window_is_recorded",
    "signs_nothing": "TestChatter::test_what_was_changed_is_refused",
    "adds_sign": "TestSigned",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str | None]]:
    """Run the contract on every variant; return what each test said, None where it passed.

    Where a bug is planted, only the test that is about it runs.
    """
    folder = tmp_path_factory.mktemp("third_party")
    chosen = {f"bug_{name}": f"TestChatter::{test}" for name, (*_, test) in BUGS.items()}
    chosen |= CHOSEN
    files = variants()
    for name, source in files.items():
        (folder / f"test_{name}.py").write_text(source, "utf-8")
    tests = [f"{folder}/test_{name}.py::{chosen.get(name, 'TestChatter')}" for name in files]
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    options = ["--rootdir", str(folder), "-W", "error", f"--junitxml={report}", *tests]
    # The plugins of whoever runs this have no part in it, and take their time.
    # What Hypothesis found out about the kit's source is kept there: it takes seconds to find out.
    known = {"HYPOTHESIS_STORAGE_DIRECTORY": str(Path(__file__).parents[2] / ".hypothesis")}
    env = {**os.environ, **known, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, cwd=folder, env=env
    )
    assert 1 == done.returncode, done.stdout + done.stderr
    return read_report(report)


def read_report(report: Path) -> dict[str, dict[str, str | None]]:
    """Return the words of every failure, by variant and test."""
    found: dict[str, dict[str, str | None]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        variant = case.attrib["classname"].split(".")[-2].removeprefix("test_")
        trouble = [case.find("failure"), case.find("error")]
        words = [f"{each.get('message')}\n{each.text}" for each in trouble if each is not None]
        found.setdefault(variant, {})[case.attrib["name"]] = words[0] if words else None
    return found


def test_a_channel_that_is_right_passes(outcomes):
    """Not one test of the contract is wrong about it, and none is left out."""
    assert {None} == set(outcomes["right"].values())
    assert 25 < len(outcomes["right"])


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(outcomes, bug):
    """The test that is about it fails."""
    assert outcomes[f"bug_{bug}"][BUGS[bug][-1]] is not None


@pytest.mark.parametrize("name", FORGOTTEN)
def test_what_is_forgotten_is_asked_for(outcomes, name):
    """A fixture that was not overridden says what it should be."""
    said = [words for words in outcomes[f"forgot_{name}"].values() if words]
    assert any(FORGOTTEN[name] in words for words in said)


@pytest.mark.parametrize(
    ("variant", "test", "words"),
    [
        ("no_items", "test_a_batch_is_recorded", "give one of `inbound_cases` its `items`"),
        ("no_webhook", "test_something_is_recorded_for_every_way_in", "has no WebhookCase"),
        ("nothing_posted", "test_a_posted_message_is_recorded", "whose outcome is a Receipt"),
        ("nothing_found", "test_a_search_is_recorded", "its `found` and `absent`"),
        ("found_unsent", "test_a_search_is_recorded", "only a case whose outcome is a Receipt"),
        ("no_window", "test_a_closed_window_is_recorded", "what the platform refuses after it"),
        ("signs_nothing", "test_what_was_changed_is_refused", "say `signs_body = False`"),
    ],
)
def test_recordings_that_prove_nothing_are_noticed(outcomes, variant, test, words):
    """What the tests need is asked for, instead of passing with nothing to test."""
    assert words in (outcomes[variant][test] or "")


def test_without_a_signature_there_are_no_tests_of_signatures(outcomes):
    """They are not there for a channel that is polled alone; one that is not is told."""
    left = {name for name in outcomes["right"] if name not in outcomes["forgot_sign"]}
    assert SIGNATURES == left
    assert outcomes["forgot_sign"]["test_webhooks_are_tested"] is not None


@pytest.mark.parametrize("variant", ["shared_secret", "says_only"])
def test_a_platform_of_another_kind_passes(outcomes, variant):
    """One that signs no body and one that tells us nothing have the contract too."""
    assert {None} == set(outcomes[variant].values())


def test_a_subclass_that_adds_a_signature_has_the_tests_of_signatures(outcomes):
    """Regression: its parent takes none and has left them out, which must not be inherited."""
    assert outcomes["right"].keys() == outcomes["adds_sign"].keys()
    assert {None} == set(outcomes["adds_sign"].values())


def test_a_failure_explains_itself(outcomes):
    """The kit's asserts show case, input and values in somebody else's project too."""
    said = outcomes["bug_takes_5xx_for_not_sent"]["test_each_status_means_what_it_means"]
    assert "reply: 408 with 0 bytes: NotSent instead of Ambiguous" in said
    said = outcomes["bug_sends_something_else"]["test_sends_as_recorded"]
    assert "silent" in said
