"""The local Facebook page refuses what the Graph API refuses, and knows what it accepted."""

import json
import urllib.error
import urllib.request
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.facebook import FacebookPlatform


@pytest.fixture
def platform():
    """Return a page with one comment of Ola's beneath its post."""
    with FacebookPlatform(clock=FakeClock()) as platform:
        platform.asked = platform.customer("ola").comment("You charged me twice!")
        yield platform


def call(platform, method, path, token="page-token-for-tests", /, **given):
    """Call the Graph API, and return status and answer."""
    body = json.dumps(given).encode() if method == "POST" else None
    query = f"?{urlencode(given)}" if method == "GET" and given else ""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"{platform.url}/v23.0/{path}{query}"
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def refused(platform, method, path, /, **given):
    """Return code and subcode of a refusal."""
    _, answer = call(platform, method, path, **given)
    return answer["error"]["code"], answer["error"].get("error_subcode")


@pytest.mark.parametrize("token", ["wrong", ""])
def test_only_the_pages_token_is_taken(platform, token):
    """Another one, or none, changes nothing."""
    status, _ = call(platform, "POST", f"{platform.asked.id}/comments", token, message="Hi")
    assert status in {400, 401}
    assert () == platform.posts


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"message": ""},
        {"message": 7},
        {"message": "x" * 8_001},
        {"message": "Hi", "attachment_url": "file:///etc/passwd"},
        {"message": "Hi", "is_hidden": True},
    ],
)
def test_a_comment_has_words_and_nothing_else(platform, given):
    """Empty, too long, with another address or parameter: refused with code 100."""
    assert (100, None) == refused(platform, "POST", f"{platform.asked.id}/comments", **given)
    assert () == platform.posts


def test_nothing_is_answered_that_is_not_there(platform):
    """An id of nothing, or of what was taken away."""
    ola = platform.customer("ola")
    ola.delete(platform.asked)
    for name in ("1_2", platform.asked.id):
        assert (100, 33) == refused(platform, "POST", f"{name}/comments", message="Hi")
        assert (100, 33) == refused(platform, "GET", f"{name}/comments")
        assert (100, 33) == refused(platform, "GET", name)


def test_an_answer_to_an_answer_stands_beside_it(platform):
    """Threads are one level deep, for calls and for people."""
    ours = call(platform, "POST", f"{platform.asked.id}/comments", message="Hi")[1]["id"]
    below = call(platform, "POST", f"{ours}/comments", message="Hi again")[1]["id"]
    _, found = call(platform, "GET", f"{platform.asked.id}/comments", order="reverse_chronological")
    assert [below, ours] == [each["id"] for each in found["data"]]
    _, shown = call(platform, "GET", below, fields="parent{id,message},is_hidden")
    assert {"id": platform.asked.id, "message": platform.asked.text} == shown["parent"]
    assert (100, None) == refused(platform, "GET", f"{platform.asked.id}/comments", order="best")


@pytest.mark.parametrize(
    ("recipient", "message", "kind"),
    [
        ({}, {"text": "Hi"}, "RESPONSE"),
        ({"id": "1"}, {"text": "Hi"}, "RESPONSE"),
        ({"comment_id": "1_2", "post_id": "1_2"}, {"text": "Hi"}, "RESPONSE"),
        ({"comment_id": "1_2"}, {"text": "x" * 2_001}, "RESPONSE"),
        ({"comment_id": "1_2"}, {"text": "Hi"}, "MESSAGE_TAG"),
        ({"comment_id": "1_2"}, {}, "RESPONSE"),
    ],
)
def test_a_private_reply_has_one_recipient_and_a_text(platform, recipient, message, kind):
    """Anything else is refused with code 100."""
    path = f"{platform.app.page_id}/messages"
    given = {"recipient": recipient, "message": message, "messaging_type": kind}
    assert (100, None) == refused(platform, "POST", path, **given)


def test_a_private_reply_comes_once_and_in_time(platform):
    """To a comment that is there, within seven days, and not to the page itself."""
    path, message = f"{platform.app.page_id}/messages", {"text": "Hi", "metadata": "ours"}
    ours = platform.staff.reply(platform.asked, "Hello")
    late = platform.customer("ala").comment("Hello?")

    def private(name):
        return {"recipient": {"comment_id": name}, "message": message}

    assert (100, 2018292) == refused(platform, "POST", path, **private("1_2"))
    assert (10903, None) == refused(platform, "POST", path, **private(ours.id))
    _, shown = call(platform, "GET", platform.asked.id, fields="can_reply_privately")
    assert shown["can_reply_privately"]
    assert 200 == call(platform, "POST", path, **private(platform.asked.id))[0]
    assert (10900, None) == refused(platform, "POST", path, **private(platform.asked.id))
    _, shown = call(platform, "GET", platform.asked.id, fields="can_reply_privately")
    assert not shown["can_reply_privately"]
    platform.advance(timedelta(days=7, seconds=1))
    assert (10903, None) == refused(platform, "POST", path, **private(late.id))
    assert [("Hi", "ours")] == [(post.text, post.metadata) for post in platform.posts]
    thread = call(platform, "GET", f"{platform.app.page_id}/conversations", fields="id")[1]
    (name,) = [each["id"] for each in thread["data"]]
    assert 1 == len(call(platform, "GET", f"{name}/messages")[1]["data"])
    found = refused(platform, "GET", f"{platform.app.page_id}/conversations", platform="telegram")
    assert (100, None) == found


def test_reads_may_lag_or_break_off(platform):
    """An accepted comment is not shown for some reads, or for a time; a page may be missing."""
    path = f"{platform.asked.id}/comments"

    def shown():
        return len(call(platform, "GET", path)[1]["data"])

    platform.fault_next("lag", match="POST *", reads=1)
    call(platform, "POST", path, message="One")
    assert [0, 1] == [shown(), shown()]
    platform.fault_next("lag", match="POST *", lasts=timedelta(minutes=1))
    call(platform, "POST", path, message="Two")
    assert 1 == shown()
    platform.advance(timedelta(minutes=1))
    assert 2 == shown()
    platform.fault_next("missing_page", match="GET *")
    assert [0, 2] == [shown(), shown()]


def test_the_page_posts_on_its_own_page_alone(platform):
    """What it announces is among its posts; another page's are not its own."""
    made = call(platform, "POST", "me/feed", message="We moved.")[1]["id"]
    platform.customer("ola").mention("I love it")
    found = call(platform, "GET", f"{platform.app.page_id}/feed", fields="id,message")[1]
    assert [made, platform.first.id] == [each["id"] for each in found["data"]]
    assert (100, 33) == refused(platform, "POST", "77/feed", message="We moved.")


def test_what_is_subscribed_to_is_told(platform):
    """A field that nobody wants is silent; a reaction that is none does not exist."""
    call(platform, "POST", "me/subscribed_apps", subscribed_fields="mention")
    before = len(platform.hooks.pending)
    platform.customer("ola").comment("Hello?")
    platform.customer("ola").post("Are you open?")
    assert before == len(platform.hooks.pending)
    platform.customer("ola").mention("I love it")
    assert before + 1 == len(platform.hooks.pending)
    with pytest.raises(ValueError, match="clap"):
        platform.customer("ola").react(platform.asked, "clap")


def test_a_test_in_another_process_may_act(platform):
    """Customers and staff act by commands, and the truth is JSON."""
    made = platform.act({"customer": "ola", "do": "comment", "text": "Hello?"})
    platform.act({"staff": "reply", "to": made["id"], "text": "Hello!"})
    truth = json.loads(json.dumps(platform.truth()))
    texts = ["You charged me twice!", "Hello?", "Hello!"]
    assert texts == [each["text"] for each in truth["comments"]]
    with pytest.raises(ValueError, match="cannot act"):
        platform.act({"customer": "ola", "do": "dance", "text": ""})


def test_people_of_the_page_hide_and_show(platform):
    """Each is told with the author's name; a removal with the page's, unless it is not known."""
    platform.staff.hide(platform.asked)
    platform.staff.hide(platform.asked, show=True)
    platform.names_remover = False
    platform.staff.delete(platform.asked)
    told = [event.content["value"] for event in platform.hooks.pending][1:]
    assert ["hide", "unhide", "remove"] == [value["verb"] for value in told]
    assert {"ola"} == {value["from"]["name"] for value in told}
    assert platform.asked.removed
    assert (platform.customer("ola").messages, platform.asked.hidden) == ((), False)
