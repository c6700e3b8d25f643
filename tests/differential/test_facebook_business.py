"""Meta's own Business SDK reads what our doubles serve, and knows every call that we make.

It is generated from the schema of the Graph API: a parameter or a field that it does not know is
none. Install `facebook-business` to run these.
"""

import json
import warnings
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from supportflow.channels.facebook import FacebookPage
from supportflow.channels.instagram import Instagram
from supportflow.http import Response
from supportflow.model import AgentKind, Attachment, Author, Outgoing, Visibility
from supportflow.testing.channel_cases import drive
from supportflow.testing.platforms.facebook import FacebookPlatform
from supportflow.testing.platforms.instagram import InstagramPlatform

pytest.importorskip("facebook_business", reason="Meta's Business SDK is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    from facebook_business.adobjects.comment import Comment
    from facebook_business.adobjects.igcomment import IGComment
    from facebook_business.adobjects.iguser import IGUser
    from facebook_business.adobjects.page import Page
    from facebook_business.adobjects.unifiedthread import UnifiedThread
    from facebook_business.api import FacebookAdsApi
    from facebook_business.exceptions import FacebookRequestError
    from facebook_business.session import FacebookSession

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEYS = {"token": "t0ken", "app_secret": "s3cret", "verify_token": "v3rify"}
ANSWERED = Response(200, body=b'{"id": "9", "message_id": "m_9"}', at=NOON)


def api_of(platform):
    """Return the SDK's API, with the token and the secret of a local platform."""
    given = platform.credentials()
    session = FacebookSession(given["app_id"], given["app_secret"], given["token"])
    session.GRAPH = platform.url
    return FacebookAdsApi(session, api_version="v23.0")


def outgoing(**changes):
    """Return an answer to a comment of Ola's."""
    base = Outgoing(
        "row-1",
        "abcdefghijklmnopqrstuv23",
        "We see it.",
        Author("5"),
        "1_2",
        ("comment", "1_2"),
        Visibility.public,
        AgentKind.person,
        NOON,
        last_inbound_at=NOON - timedelta(days=2),
    )
    return attrs.evolve(base, **changes)


def requested(flow):
    """Return the path and parameters of the last request of a flow."""
    request = drive(flow, [ANSWERED] * 9).requests[-1]
    parts = urlsplit(request.url)
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    asked.pop("appsecret_proof")
    return parts.path.removeprefix("/v23.0"), asked | json.loads(request.body or b"{}")


PICTURE = (Attachment("image", "https://example.com/1.png"),)
PRIVATE = {"visibility": Visibility.private}
DIRECT = {"reply_to": ("message", "m_1"), "thread": "5", **PRIVATE}


@pytest.mark.parametrize(
    ("flow", "made"),
    [
        (FacebookPage("77", **KEYS).send(outgoing()), Comment("1_2").create_comment),
        (
            FacebookPage("77", **KEYS).send(outgoing(attachments=PICTURE)),
            Comment("1_2").create_comment,
        ),
        (FacebookPage("77", **KEYS).send(outgoing(reply_to=None)), Page("77").create_feed),
        (FacebookPage("77", **KEYS).send(outgoing(**PRIVATE)), Page("77").create_message),
        (Instagram("77", "88", **KEYS).send(outgoing()), IGComment("1_2").create_reply),
        (
            Instagram("77", "88", **KEYS).send(outgoing(reply_to=("mention", "3:4"))),
            IGUser("88").create_mention,
        ),
        (Instagram("77", "88", **KEYS).send(outgoing(**PRIVATE)), Page("77").create_message),
        (Instagram("77", "88", **KEYS).send(outgoing(**DIRECT)), Page("77").create_message),
        (FacebookPage("77", **KEYS).find_sent(outgoing(**PRIVATE)), Page("77").get_conversations),
    ],
)
def test_every_call_is_one_of_the_sdks(flow, made):
    """The same edge, with parameters that its checker of names, types and enums lets pass."""
    path, given = requested(flow)
    given.pop("fields", None)
    if "platform" in given:
        given["platform"] = given["platform"].upper()
    assert given.pop("tag", "HUMAN_AGENT") == "HUMAN_AGENT"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pending = made(params=given, pending=True)
    assert "/".join(("", *pending._path)).replace("//", "/") == path


def test_the_fields_of_a_search_are_the_sdks():
    """What a search asks of comments are fields that comments have."""
    ours = FacebookPage("77", **KEYS)
    found = [Response(200, body=b'{"id": "1_2"}', at=NOON)] * 2
    asked = drive(ours.find_sent(outgoing()), found).requests[-1]
    (fields,), (order,) = (
        parse_qs(urlsplit(asked.url).query)[name] for name in ("fields", "order")
    )
    assert {*fields.split(",")} <= {*vars(Comment.Field).values()}
    assert order in vars(Comment.Order).values()
    asked = drive(Instagram("77", "88", **KEYS).find_sent(outgoing()), found).requests[-1]
    (fields,) = parse_qs(urlsplit(asked.url).query)["fields"]
    assert {*fields.split(",")} <= {*vars(IGComment.Field).values()}
    assert {"messenger", "instagram"} <= {*map(str.lower, vars(UnifiedThread.Platform))}
    assert "can_reply_privately" in vars(Comment.Field).values()


def test_it_reads_and_answers_on_our_page():
    """Comments, a reply, a private reply and its refusal, through the SDK alone."""
    with FacebookPlatform(proof_required=True) as platform:
        api = api_of(platform)
        asked = platform.customer("ola").comment("You charged me twice!")
        made = Comment(asked.id, api=api).create_comment(params={"message": "We see it."})
        fields = ["id", "message", "created_time", "from", "parent"]
        (shown,) = Comment(asked.id, api=api).get_comments(fields=fields)
        assert (made["id"], "We see it.") == (shown["id"], shown["message"])
        assert asked.id == shown["parent"]["id"]
        private = {"recipient": {"comment_id": asked.id}, "message": {"text": "Hi"}}
        page = Page(platform.app.page_id, api=api)
        page.create_message(params=private)
        with pytest.raises(FacebookRequestError) as refused:
            page.create_message(params=private)
        assert 10900 == refused.value.api_error_code()
        assert ["We see it.", "Hi"] == [post.text for post in platform.posts]
        apps = page.get_subscribed_apps()
        assert {"feed", "mention"} <= {*apps[0]["subscribed_fields"]}


def test_it_reads_and_answers_on_our_account():
    """Replies and an answer to a mention, through the SDK alone."""
    with InstagramPlatform() as platform:
        api = api_of(platform)
        asked = platform.customer("ola").comment("You charged me twice!")
        IGComment(asked.id, api=api).create_reply(params={"message": "We see it."})
        (shown,) = IGComment(asked.id, api=api).get_replies(fields=["text", "username", "user"])
        assert ("We see it.", platform.account) == (shown["text"], shown["user"]["id"])
        mentioned = platform.customer("ola").mention("Hi @shop")
        ids = {"media_id": mentioned.post, "comment_id": mentioned.id}
        IGUser(platform.account, api=api).create_mention(params={"message": "Hello!", **ids})
        assert ["We see it.", "Hello!"] == [post.text for post in platform.posts]
