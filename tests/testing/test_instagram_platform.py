"""The local Instagram account refuses what the Graph API refuses, and knows what it accepted."""

import json
import urllib.error
import urllib.request
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from supportflow.testing.clock import FakeClock
from supportflow.testing.platforms.instagram import InstagramPlatform


@pytest.fixture
def platform():
    """Return an account with one comment of Ola's beneath its post."""
    with InstagramPlatform(clock=FakeClock()) as platform:
        platform.asked = platform.customer("ola").comment("You charged me twice!")
        platform.path = f"{platform.app.page_id}/messages"
        yield platform


def call(platform, path, method="POST", /, **given):
    """Call the Graph API, and return the answer."""
    body = json.dumps(given).encode() if method == "POST" else None
    query = f"?{urlencode(given)}" if method == "GET" and given else ""
    headers = {"Authorization": f"Bearer {platform.token}", "Content-Type": "application/json"}
    url = f"{platform.url}/v23.0/{path}{query}"
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def refused(platform, path, method="POST", /, **given):
    """Return code and subcode of a refusal."""
    error = call(platform, path, method, **given)["error"]
    return error["code"], error.get("error_subcode")


def test_a_reply_has_words(platform):
    """2,200 characters are the most; a comment that is gone has no replies."""
    path = f"{platform.asked.id}/replies"
    for text in ("", "x" * 2_201):
        assert (100, None) == refused(platform, path, message=text)
    platform.customer("ola").delete(platform.asked)
    for method in ("POST", "GET"):
        assert (100, 33) == refused(platform, path, method, message="Hi")
    assert (100, 33) == refused(platform, platform.asked.id, "GET")
    assert () == platform.posts


def test_replies_are_one_level_deep(platform):
    """An answer to an answer stands beside it; `user` is shown of our own alone."""
    ours = call(platform, f"{platform.asked.id}/replies", message="Hi")["id"]
    call(platform, f"{ours}/replies", message="Hi again")
    platform.customer("ola").comment("Thanks", platform.asked)
    fields = "text,user,username,parent_id"
    found = call(platform, f"{platform.asked.id}/replies", "GET", fields=fields)["data"]
    assert ["Hi", "Hi again", "Thanks"] == [each["text"] for each in found]
    assert [True, True, False] == ["user" in each for each in found]
    assert {platform.asked.id} == {each["parent_id"] for each in found}
    assert "Hi" == call(platform, ours, "GET", fields="text")["text"]


def test_a_mention_is_answered_where_it_is(platform):
    """Only where we were mentioned, with the ids of both."""
    mentioned = platform.customer("ola").mention("Hi @shop")
    path, ids = f"{platform.account}/mentions", {"comment_id": mentioned.id}
    assert (100, None) == refused(platform, path, message="Hi", **ids)
    wrong = {"media_id": platform.first.id}
    assert (100, None) == refused(platform, path, message="Hi", **wrong)
    gone = {"media_id": mentioned.post, "comment_id": "1"}
    assert (100, None) == refused(platform, path, message="Hi", **gone)
    assert (100, 33) == refused(platform, "me/mentions", message="Hi", media_id=mentioned.post)
    assert "id" in call(platform, path, message="Hi", media_id=mentioned.post, **ids)
    assert mentioned.id == platform.posts[0].parent
    assert (100, 33) == refused(platform, f"{mentioned.id}/replies", message="Hi")


def test_only_a_mention_can_be_read(platform):
    """Its words and its author's name, by its id and kind."""
    mentioned = platform.customer("ola").mention("Hi @shop", caption=True)
    asked = f"mentioned_media.media_id({mentioned.id}){{caption,username}}"
    found = call(platform, platform.account, "GET", fields=asked)["mentioned_media"]
    assert ("Hi @shop", "ola") == (found["caption"], found["username"])
    for fields in ("id", asked.replace(mentioned.id, "1"), asked.replace("media", "comment")):
        assert (100, None) == refused(platform, platform.account, "GET", fields=fields)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"message": {"text": "Hi"}}, (100, None)),
        ({"recipient": {"id": "1"}, "message": {"text": "Hi"}}, (100, None)),
        (
            {"recipient": {"id": "1"}, "message": {"text": "Hi"}, "messaging_type": "RESPONSE"},
            (100, 2534014),
        ),
        ({"recipient": {"comment_id": "1"}, "message": {"text": "Hi"}}, (100, 2018292)),
    ],
)
def test_a_message_has_somebody_who_wrote(platform, given, code):
    """Nobody is written to who did not write, and no comment answered that is not there."""
    assert code == refused(platform, platform.path, **given)


def test_private_words_are_counted_in_bytes(platform):
    """1,000 bytes of UTF-8, for messages and for private replies."""
    ola = platform.customer("ola")
    ola.write("Hi")
    kind = {"messaging_type": "RESPONSE"}
    long, fits = {"text": "ł" * 501}, {"text": "ł" * 500}
    to, because = {"id": ola.psid}, {"comment_id": platform.asked.id}
    for recipient in (to, because):
        given = {"recipient": recipient, **kind}
        assert (100, None) == refused(platform, platform.path, message=long, **given)
        assert "message_id" in call(platform, platform.path, message=fits, **given)
    action = {"recipient": to, "sender_action": "typing_on"}
    assert (100, None) == refused(platform, platform.path, **action)


def test_a_private_reply_comes_once_and_in_time(platform):
    """Within seven days of the comment, and no second one."""
    given = {"recipient": {"comment_id": platform.asked.id}, "message": {"text": "Hi"}}
    assert "message_id" in call(platform, platform.path, **given)
    assert (10900, None) == refused(platform, platform.path, **given)
    late = platform.customer("ala").comment("Hello?")
    platform.advance(timedelta(days=8))
    given["recipient"] = {"comment_id": late.id}
    assert (10903, None) == refused(platform, platform.path, **given)


def test_the_window_closes(platform):
    """A day after the last message; with the tag for persons, seven."""
    ola = platform.customer("ola")
    ola.write("Hi")
    platform.advance(timedelta(hours=25))
    given = {"recipient": {"id": ola.psid}, "message": {"text": "Hi"}}
    assert (10, 2018278) == refused(platform, platform.path, messaging_type="RESPONSE", **given)
    tagged = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}
    assert "message_id" in call(platform, platform.path, **tagged, **given)
    thread = call(platform, f"{platform.app.page_id}/conversations", "GET", platform="instagram")
    (name,) = [each["id"] for each in thread["data"]]
    assert 2 == len(call(platform, f"{name}/messages", "GET")["data"])
    path = f"{platform.app.page_id}/conversations"
    assert (100, None) == refused(platform, path, "GET", platform="messenger")


def test_a_test_in_another_process_may_act(platform):
    """Customers and staff act by commands, and the truth is JSON."""
    made = platform.act({"customer": "ola", "do": "comment", "text": "Hello?"})
    platform.act({"staff": "reply", "to": made["id"], "text": "Hello!"})
    platform.staff.delete(platform.asked)
    truth = json.loads(json.dumps(platform.truth()))
    assert [True, False, False] == [each["removed"] for each in truth["comments"]]
    with pytest.raises(ValueError, match="cannot act"):
        platform.act({"customer": "ola", "do": "dance", "text": ""})
