"""The local Mastodon refuses what Mastodon refuses, and knows what it accepted.

One file, in the order of `mastodon.py`: all of it needs the same few lines of set-up.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.testing.platforms.mastodon import Limits, MastodonPlatform
from supportflow.testing.platforms.mastodon_network import Network, Page

START = datetime(2026, 11, 2, 9, 31, 10, tzinfo=UTC)
STATUSES, NOTIFICATIONS = "/api/v1/statuses", "/api/v1/notifications"


def running(**options) -> MastodonPlatform:
    """Return a platform whose clock stands still until it is advanced."""
    return MastodonPlatform(clock=lambda: START, **options)


def client_of(platform: MastodonPlatform, token: str | None = None) -> httpx.Client:
    """Return a client with the shop's token."""
    headers = {"Authorization": f"Bearer {token or platform.shop.token}"}
    return httpx.Client(base_url=platform.url, headers=headers, timeout=30, verify=False)


@pytest.fixture
def platform() -> Iterator[MastodonPlatform]:
    """Give a running platform."""
    with running() as made:
        yield made


@pytest.fixture
def client(platform: MastodonPlatform) -> Iterator[httpx.Client]:
    """Give a client of it."""
    with client_of(platform) as made:
        yield made


@pytest.fixture
def compatible() -> Iterator[tuple[MastodonPlatform, httpx.Client]]:
    """Give a server of another make, and its client."""
    with running(compatible=True, rate_limit=2) as platform, client_of(platform) as client:
        yield platform, client


def say(client: httpx.Client, text: str = "Hello", key: str | None = None, **fields):
    """Post a status."""
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(STATUSES, json={"status": text, **fields}, headers=headers)


def ids(answer: httpx.Response) -> list[str]:
    """Return the ids of a list answered."""
    return [item["id"] for item in answer.json()]


def told(client: httpx.Client, **query) -> httpx.Response:
    """Ask for notifications."""
    return client.get(NOTIFICATIONS, params=query)


# Who may.


@pytest.mark.parametrize("header", [None, "Bearer nonsense", "Bearer", "Basic abc", "Bearer \xe9"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", NOTIFICATIONS),
        ("POST", STATUSES),
        ("GET", "/api/v1/accounts/verify_credentials"),
        ("GET", "/api/v2/search?q=a"),
        ("PUT", f"{STATUSES}/1"),
        ("DELETE", f"{STATUSES}/1"),
    ],
)
def test_no_token_and_a_wrong_token_are_401(platform, header, method, path):
    """https://docs.joinmastodon.org/methods/statuses/#401-unauthorized, word for word."""
    headers = {"Authorization": header.encode("latin-1")} if header else {}
    with httpx.Client(base_url=platform.url, headers=headers, verify=False) as stranger:
        answer = stranger.request(method, path)
    assert (401, {"error": "The access token is invalid"}) == (answer.status_code, answer.json())
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("state", "error"),
    [("revoked", "The access token was revoked"), ("expired", "The access token expired")],
)
def test_a_token_that_ended_is_401_even_for_what_anybody_may_read(platform, client, state, error):
    """A nonsensical token reads a public post as a stranger; a revoked one does not."""
    post = platform.customer("ola").post("@shop Hello")
    stranger = httpx.get(
        f"{platform.url}{STATUSES}/{post.id}", headers={"Authorization": "Bearer x"}, verify=False
    )
    platform.shop.mark_token(state)
    ended = [client.get(f"{STATUSES}/{post.id}"), told(client)]
    assert [200, (401, error), (401, error)] == [
        stranger.status_code,
        *((answer.status_code, answer.json()["error"]) for answer in ended),
    ]
    platform.shop.mark_token("valid")
    assert 200 == told(client).status_code


@pytest.mark.parametrize(
    ("scopes", "method", "path", "status"),
    [
        (("read",), "POST", STATUSES, 403),
        (("write:statuses",), "GET", NOTIFICATIONS, 403),
        (("read:statuses",), "GET", NOTIFICATIONS, 403),
        (("read:notifications",), "GET", NOTIFICATIONS, 200),
        (("read",), "GET", NOTIFICATIONS, 200),
        (("profile",), "GET", "/api/v1/accounts/verify_credentials", 200),
        (("write",), "GET", "/api/v1/accounts/verify_credentials", 403),
        (("write",), "GET", f"{STATUSES}/1", 403),
        ((), "GET", "/api/v2/instance", 200),
    ],
)
def test_a_scope_that_lacks_is_403(platform, scopes, method, path, status):
    """https://docs.joinmastodon.org/api/oauth-scopes/: a parent scope grants its children."""
    with client_of(platform, platform.shop.new_token(*scopes)) as client:
        answer = client.request(method, path)
    assert status == answer.status_code
    if status == 403:
        assert {"error": "This action is outside the authorized scopes"} == answer.json()


def test_the_token_is_shown_nowhere(platform, client):
    """Neither the log nor a representation tells it; only `credentials` does, on purpose."""
    say(client)
    shown = f"{platform.requests!r}{platform.shop!r}{platform.truth()!r}"
    assert platform.shop.token not in shown
    assert platform.shop.token == platform.credentials()["token"]


# Paths.


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/v1/nothing"), ("PATCH", STATUSES), ("GET", "/"), ("GET", "/api/v1/statuses/")],
)
def test_unknown_paths_and_methods_are_404_in_html_unless_json_is_asked_for(client, method, path):
    """Rails has no 405 here; `application_controller.rb` answers in the format asked for."""
    page = client.request(method, path)
    said = client.request(method, path, headers={"Accept": "application/json"})
    assert (404, "text/html; charset=utf-8") == (page.status_code, page.headers["Content-Type"])
    assert (404, {"error": "Not Found"}) == (said.status_code, said.json())


# How often.


def test_requests_are_counted_in_fixed_windows_with_iso_times():
    """X-RateLimit-Reset is an ISO time, not a number; 429 has no Retry-After."""
    with running(rate_limit=2) as platform, client_of(platform) as client:
        first, second, third = told(client), told(client), told(client)
        assert ["1", "0", "0"] == [
            answer.headers["X-RateLimit-Remaining"] for answer in (first, second, third)
        ]
        assert (429, {"error": "Too many requests"}) == (third.status_code, third.json())
        assert "2026-11-02T09:35:00.000000Z" == third.headers["X-RateLimit-Reset"]
        assert ("2", False) == (
            third.headers["X-RateLimit-Limit"],
            "Retry-After" in third.headers,
        )
        platform.advance(timedelta(minutes=3, seconds=49))
        assert 429 == told(client).status_code
        platform.advance(timedelta(seconds=1))
        assert 200 == told(client).status_code


def test_each_token_has_a_window_of_its_own():
    """One client's haste does not stop another."""
    with running(rate_limit=1) as platform, client_of(platform) as client:
        told(client)
        with client_of(platform, platform.shop.new_token("read")) as other:
            assert [429, 200] == [told(client).status_code, told(other).status_code]


def test_posts_have_a_limit_of_their_own_over_three_hours():
    """`RateLimiter`: its headers are shown where it is the nearer one; edits are not counted."""
    with running(posts_limit=2) as platform, client_of(platform) as client:
        last = [say(client, str(number)) for number in range(2)][-1]
        refused = say(client, "too many")
        assert ("0", 429) == (last.headers["X-RateLimit-Remaining"], refused.status_code)
        assert ("2", "2026-11-02T12:00:00.000000Z") == (
            refused.headers["X-RateLimit-Limit"],
            refused.headers["X-RateLimit-Reset"],
        )
        assert ["0", "1"] == [post.text for post in platform.posts]
        assert 200 == told(client).status_code


# What it says of itself.


def test_the_instance_says_its_limits_and_they_can_be_changed(platform, client):
    """Both versions agree; what is configured is what is enforced."""
    platform.limits = Limits(10, 5)
    for version in (1, 2):
        said = client.get(f"/api/v{version}/instance").json()["configuration"]["statuses"]
        assert (10, 5) == (said["max_characters"], said["characters_reserved_per_url"])
    assert [200, 422] == [say(client, text).status_code for text in ("x" * 10, "x" * 11)]
    assert 200 == say(client, "1234 https://example.com/very/long").status_code


def test_verify_credentials_is_the_shop(platform, client):
    """The account that the token acts for, with its source."""
    me = client.get("/api/v1/accounts/verify_credentials").json()
    assert ("shop", "shop", platform.shop.id) == (me["username"], me["acct"], me["id"])
    assert "public" == me["source"]["privacy"]


# Posting.


@pytest.mark.parametrize("way", ["json", "data"])
def test_a_post_is_accepted_from_json_and_from_a_form(platform, client, way):
    """The ground truth has the text, the visibility and the key that it came with."""
    fields = {"status": " Hello <b>\n", "visibility": "unlisted", "spoiler_text": "careful"}
    answer = client.post(STATUSES, headers={"Idempotency-Key": "k"}, **{way: fields}).json()
    (post,) = platform.posts
    assert (1, "shop", "Hello <b>", "unlisted", "careful", "k", answer["id"]) == (
        post.order,
        post.author,
        post.text,
        post.visibility,
        post.warning,
        post.key,
        post.id,
    )
    assert ("<p>Hello &lt;b&gt;</p>", "unlisted", "2026-11-02T09:31:10.000Z", None) == (
        answer["content"],
        answer["visibility"],
        answer["created_at"],
        answer["edited_at"],
    )


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "Text can't be blank"),
        ({"status": " \n\t"}, "Text can't be blank"),
        ({"status": "x" * 501}, "Text character limit of 500 exceeded"),
        ({"status": "x" * 500, "spoiler_text": "w"}, "Text character limit of 500 exceeded"),
        ({"status": "x", "visibility": "secret"}, "Visibility is not included in the list"),
        ({"status": {"a": "b"}}, "Text can't be blank"),
    ],
)
def test_what_is_not_valid_is_422_and_not_accepted(platform, client, fields, error):
    """https://docs.joinmastodon.org/methods/statuses/#422-unprocessable-entity."""
    answer = client.post(STATUSES, json=fields)
    assert (422, {"error": f"Validation failed: {error}"}) == (answer.status_code, answer.json())
    assert () == platform.posts


@pytest.mark.parametrize(
    "text",
    [
        "x" * 500,
        "e\u0301" * 500,
        "https://example.com/" + "y" * 900,
        "@ola@" + "d" * 600 + ".example",
    ],
)
def test_length_is_counted_in_graphemes_urls_and_names(client, text):
    """What looks too long by code points is not."""
    assert 200 == say(client, text).status_code


def test_a_lone_warning_becomes_the_text(platform, client):
    """As `preprocess_attributes!` does."""
    client.post(STATUSES, json={"spoiler_text": "only this"})
    assert ("only this", "") == (platform.posts[0].text, platform.posts[0].warning)


@pytest.mark.parametrize(
    ("content", "body", "status"),
    [
        ("application/json", b"{not json", 400),
        ("application/json", b"[" * 100_000, 400),
        ("application/json", b'"text"', 422),
        ("application/x-www-form-urlencoded", b"status=\xff", 400),
        ("text/plain", b"status=hello", 422),
        ("application/json", b'{"status": "x", "media_ids": ["1"]}', 501),
        ("application/json", b'{"status": "x", "scheduled_at": "2026-12-01T00:00:00Z"}', 501),
    ],
)
def test_a_body_that_cannot_be_read_posts_nothing(platform, client, content, body, status):
    """And what is not modelled here says so instead of passing."""
    answer = client.post(STATUSES, content=body, headers={"Content-Type": content})
    assert (status, ()) == (answer.status_code, platform.posts)


def test_a_reply_needs_a_post_that_is_there_and_may_be_seen(platform, client):
    """404 in the server's own words: missing, deleted, or another's private post."""
    ola = platform.customer("ola")
    deleted, hidden = ola.post("@shop oh"), ola.post("for nobody", visibility="direct")
    ola.delete(deleted)
    for parent in ("1", "nonsense", deleted.id, hidden.id):
        answer = say(client, "Hello", in_reply_to_id=parent)
        assert (404, "The post you are trying to reply to does not appear to exist.") == (
            answer.status_code,
            answer.json()["error"],
        )
    assert [deleted.id, hidden.id] == [post.id for post in platform.posts]


def test_a_reply_stands_under_its_parent(platform, client):
    """Ids of parent and of its author; whoever answers himself goes on answering the other."""
    ola = platform.customer("ola")
    question = ola.post("@shop Where is it?")
    first = say(client, "@ola Soon", in_reply_to_id=question.id).json()
    second = say(client, "@ola Today", in_reply_to_id=first["id"]).json()
    assert (question.id, ola.id) == (first["in_reply_to_id"], first["in_reply_to_account_id"])
    assert (first["id"], ola.id) == (second["in_reply_to_id"], second["in_reply_to_account_id"])


def test_visibility_is_public_unless_said_whatever_the_parent_is(platform, client):
    """The server does not guard a private conversation: the adapter has to."""
    private = platform.customer("ola").post("@shop My IBAN is …", visibility="direct")
    assert "public" == say(client, "@ola Thanks", in_reply_to_id=private.id).json()["visibility"]


# Idempotency.


def test_a_key_posts_once_within_the_hour(platform, client):
    """The first post is answered again, whatever is asked for now; then the key is forgotten."""
    first = say(client, "One", "key").json()["id"]
    platform.advance(timedelta(minutes=59, seconds=59))
    assert first == say(client, "", "key").json()["id"]
    platform.advance(timedelta(seconds=1))
    assert first != say(client, "One", "key").json()["id"]
    assert ["key", "key"] == [post.key for post in platform.posts]


def test_another_key_and_no_key_post_again(platform, client):
    """Only the same key is the same post."""
    for key in ("a", "b", None, None):
        say(client, "Same text", key)
    assert ["a", "b", None, None] == [post.key for post in platform.posts]


def test_the_key_of_a_deleted_post_is_404(platform, client):
    """The server looks for what it remembers, and does not find it."""
    post = say(client, "One", "key").json()["id"]
    client.delete(f"{STATUSES}/{post}")
    answer = say(client, "One", "key")
    assert (404, {"error": "Record not found"}) == (answer.status_code, answer.json())


def test_a_refused_post_leaves_its_key_unused(platform, client):
    """A key is remembered with the post that it made, not before."""
    assert [422, 200] == [say(client, text, "key").status_code for text in ("", "Now")]


def test_a_key_can_expire_early_by_a_fault(platform, client):
    """Redis may forget: a retry with the key then posts twice."""
    say(client, "One", "key")
    platform.fault_next("key_expired")
    say(client, "One", "key")
    assert 2 == len(platform.posts)


# Reading.


def test_min_id_goes_forward_and_since_id_gives_the_newest(platform, client):
    """Following since_id over a full page loses messages; min_id loses none."""
    ola = platform.customer("ola")
    for number in range(5):
        ola.post(f"@shop {number}")
    everything = ids(told(client))
    oldest = everything[-1]
    assert [everything[0]] == ids(told(client, since_id=oldest, limit=1))
    assert [everything[-2]] == ids(told(client, min_id=oldest, limit=1))
    assert everything[1:3] == ids(told(client, max_id=everything[0], limit=2))
    assert everything[2:4] == ids(told(client, min_id=oldest, max_id=everything[1], limit=2))
    assert [] == ids(told(client, min_id=everything[0]))


@given(st.integers(0, 30), st.integers(1, 7), st.booleans(), st.sets(st.integers(0, 29)))
def test_min_id_reads_everything_wanted_once_and_in_order(count, limit, ulids, unwanted):
    """Whatever the page, the kind of id and the filter, following min_id loses nothing."""
    network = Network("social.example", lambda: START, ulids=ulids, edits_notify=False)
    network.account("ola")
    posts = [network.add("ola", str(number), "public") for number in range(count)]
    seen: list[str] = []
    cursor = "0"
    while page := network.page(
        posts, Page(limit, min_id=cursor), lambda post: int(post.text) not in unwanted
    ):
        assert len(page) <= limit
        seen += [post.text for post in reversed(page)]
        cursor = page[0].id
    assert [str(number) for number in range(count) if number not in unwanted] == seen


@pytest.mark.parametrize(
    ("given", "shown"), [(None, 40), ("80", 80), ("500", 80), ("0", 0), ("-3", 3), ("x", 0)]
)
def test_a_page_of_notifications_is_40_and_at_most_80(platform, client, given, shown):
    """https://docs.joinmastodon.org/methods/notifications/#get; Rails reads text as 0."""
    ola = platform.customer("ola")
    for number in range(81):
        ola.post(f"@shop {number}")
    query = {} if given is None else {"limit": given}
    assert shown == len(told(client, **query).json())


def test_types_filter_only_with_brackets(platform, client):
    """`types[]=mention` keeps favourites, boosts and updates out; `types=mention` does nothing."""
    ola, own = platform.customer("ola"), platform.shop.post_natively("News")
    ola.follow("shop")
    ola.favourite(own)
    ola.boost(own)
    ola.post("@shop Hello")
    everything = told(client).json()
    assert ["mention", "reblog", "favourite", "follow"] == [item["type"] for item in everything]
    assert "status" not in everything[-1]
    assert ["mention"] == [i["type"] for i in told(client, **{"types[]": ["mention"]}).json()]
    assert ["reblog", "favourite", "follow"] == [
        item["type"] for item in told(client, **{"exclude_types[]": "mention"}).json()
    ]
    assert 4 == len(told(client, types="mention").json())


def test_notifications_can_be_those_of_one_account(platform, client):
    """`account_id` keeps the others out."""
    ola, bo = platform.customer("ola"), platform.customer("bo@other.example")
    ola.post("@shop one")
    bo.post("@shop two")
    (item,) = told(client, account_id=bo.id).json()
    assert ("bo@other.example", "bo") == (item["account"]["acct"], item["account"]["username"])


def test_the_link_header_leads_to_the_neighbours(platform, client):
    """`next` is older by max_id, `prev` newer by min_id; the rest of the query is kept."""
    ola = platform.customer("ola")
    for number in range(3):
        ola.post(f"@shop {number}")
    newest, middle, oldest = ids(told(client))
    page = told(client, **{"types[]": "mention", "limit": 1, "max_id": newest})
    links = dict(re.findall(r'<([^>]+)>; rel="(\w+)"', page.headers["Link"]))
    by_name = {name: url for url, name in links.items()}
    assert [middle] == ids(page)
    assert [oldest] == ids(client.get(by_name["next"]))
    assert [newest] == ids(client.get(by_name["prev"]))
    assert "types%5B%5D=mention&limit=1&max_id=" in by_name["next"]
    assert "Link" not in told(client, min_id=newest).headers


def test_a_mention_carries_the_post_as_html_with_its_mentions(platform, client):
    """What the adapter has to turn back into a text."""
    platform.customer("ola@other.example").post("@shop Two\nlines & <tags>", visibility="direct")
    (item,) = told(client).json()
    assert (
        '<p><span class="h-card" translate="no"><a href="https://social.example/@shop" '
        'class="u-url mention">@<span>shop</span></a></span> Two<br />lines &amp; &lt;tags&gt;</p>'
    ) == item["status"]["content"]
    assert ("mention", "direct", ["shop"], "https://other.example/@ola") == (
        item["type"],
        item["status"]["visibility"],
        [each["acct"] for each in item["status"]["mentions"]],
        item["account"]["url"],
    )


def test_our_own_posts_tell_us_nothing(platform, client):
    """Neither the API's nor the staff's posts are notifications of the shop."""
    say(client, "@shop to ourselves")
    platform.shop.post_natively("@shop too")
    assert [] == told(client).json()


def test_a_context_has_what_is_above_and_below(platform, client):
    """Ancestors from the first; descendants with their own answers; the hidden left out."""
    ola, bo = platform.customer("ola"), platform.customer("bo")
    root = ola.post("@shop root")
    answer = platform.shop.post_natively("@ola answer", in_reply_to=root)
    aside = bo.post("@ola aside", in_reply_to=root)
    private = bo.post("@ola psst", in_reply_to=answer, visibility="direct")
    follow = ola.post("@shop thanks", in_reply_to=answer.id)
    context = client.get(f"{STATUSES}/{root.id}/context").json()
    assert ([], [answer.id, follow.id, aside.id]) == (
        context["ancestors"],
        [item["id"] for item in context["descendants"]],
    )
    above = client.get(f"{STATUSES}/{follow.id}/context").json()["ancestors"]
    assert [root.id, answer.id] == [item["id"] for item in above]
    assert 404 == client.get(f"{STATUSES}/{private.id}").status_code


def test_the_posts_of_an_account_are_the_newest_first(platform, client):
    """20 a page, at most 40; replies to others can be left out; direct ones show to their author."""
    root = platform.customer("ola").post("@shop root")
    made = [say(client, f"@ola {number}", in_reply_to_id=root.id) for number in range(2)]
    direct = say(client, "@ola psst", visibility="direct").json()["id"]
    replies = [answer.json()["id"] for answer in made]
    path = f"/api/v1/accounts/{platform.shop.id}/statuses"
    assert [direct, *reversed(replies)] == ids(client.get(path))
    assert [direct] == ids(client.get(path, params={"exclude_replies": "true"}))
    assert list(reversed(replies)) == ids(httpx.get(platform.url + path, verify=False))
    assert [replies[0]] == ids(client.get(path, params={"limit": 1, "max_id": replies[1]}))
    assert 404 == client.get("/api/v1/accounts/1/statuses").status_code
    assert 'rel="next"' not in client.get(path).headers["Link"]


def test_search_finds_words_of_posts_that_may_be_seen(platform, client):
    """For untagged mentions of the brand."""
    ola = platform.customer("ola")
    found = ola.post("The Shop on the corner")
    ola.post("shop, but only for her", visibility="direct")
    answer = client.get("/api/v2/search", params={"q": "SHOP", "type": "statuses"}).json()
    assert ([found.id], [], []) == (
        [post["id"] for post in answer["statuses"]],
        answer["accounts"],
        answer["hashtags"],
    )
    assert 400 == client.get("/api/v2/search").status_code
    named = client.get("/api/v2/search", params={"q": "ol", "type": "accounts"}).json()
    assert (["ola"], []) == ([each["acct"] for each in named["accounts"]], named["statuses"])


# Editing and deleting.


def test_a_customers_edit_changes_the_post_and_tells_nobody(platform, client):
    """The notification stays as it was, its status shows `edited_at`; no `update` comes."""
    ola = platform.customer("ola")
    post = ola.post("@shop fast")
    before = ids(told(client))
    platform.advance(timedelta(minutes=1))
    ola.edit(post, "@shop slow")
    (item,) = told(client).json()
    assert before == [item["id"]]
    assert ("2026-11-02T09:32:10.000Z", True) == (
        item["status"]["edited_at"],
        "slow" in item["status"]["content"],
    )
    assert ("@shop fast", "@shop slow") == platform.posts[0].texts


@pytest.mark.parametrize("edits_notify", [False, True])
def test_who_boosted_is_told_of_an_edit_and_elsewhere_who_is_mentioned(edits_notify):
    """`notify_about_update!` goes to boosters; an older `update` of the same post is replaced."""
    with running(edits_notify=edits_notify) as platform, client_of(platform) as client:
        ola = platform.customer("ola")
        post = ola.post("@shop one")
        if not edits_notify:
            platform.shop.boost(post)
        for text in ("@shop two", "@shop three"):
            ola.edit(post, text)
        assert ["update", "mention"] == [item["type"] for item in told(client).json()]


def test_an_edit_that_adds_a_mention_tells_of_it(platform, client):
    """The first time that we are named is a mention, whenever it is."""
    ola = platform.customer("ola")
    ola.edit(ola.post("hello"), "hello @shop")
    assert ["mention"] == [item["type"] for item in told(client).json()]


def test_what_is_deleted_is_gone_for_readers_and_kept_in_the_truth(platform, client):
    """404, its notification vanishes, its answers lose the link; the truth forgets nothing."""
    ola = platform.customer("ola")
    post = ola.post("@shop oops")
    reply = say(client, "@ola Yes?", in_reply_to_id=post.id).json()["id"]
    ola.delete(post)
    gone = client.get(f"{STATUSES}/{post.id}")
    assert (404, {"error": "Record not found"}) == (gone.status_code, gone.json())
    assert [] == told(client).json()
    assert None is client.get(f"{STATUSES}/{reply}").json()["in_reply_to_id"]
    assert (START, post.id) == (platform.posts[0].deleted_at, platform.posts[1].in_reply_to)


def test_own_posts_can_be_edited_and_deleted_by_the_api(platform, client):
    """PUT marks the edit, unless nothing changed; DELETE gives the source text back."""
    post = say(client, "First").json()["id"]
    same = client.put(f"{STATUSES}/{post}", json={"status": "First"}).json()
    edited = client.put(f"{STATUSES}/{post}", json={"status": "Second"}).json()
    assert (None, "2026-11-02T09:31:10.000Z") == (same["edited_at"], edited["edited_at"])
    assert 422 == client.put(f"{STATUSES}/{post}", json={"status": ""}).status_code
    assert "Second" == client.delete(f"{STATUSES}/{post}").json()["text"]
    assert 404 == client.delete(f"{STATUSES}/{post}").status_code


def test_anothers_post_can_be_neither_edited_nor_deleted(platform, client):
    """404, as the server says; and a customer cannot either."""
    ola, bo = platform.customer("ola"), platform.customer("bo")
    post = ola.post("@shop mine")
    assert 404 == client.put(f"{STATUSES}/{post.id}", json={"status": "ours"}).status_code
    assert 404 == client.delete(f"{STATUSES}/{post.id}").status_code
    with pytest.raises(ValueError, match="is not bo's to change"):
        bo.delete(post)
    ola.delete(post)
    with pytest.raises(ValueError, match="is not ola's to change"):
        ola.edit(post, "@shop back again")


# Faults of its own.


def test_a_lagging_post_is_missed_by_reads_and_then_appears(platform, client):
    """Accepted, answered, and not yet shown: why one negative read proves nothing."""
    root = platform.customer("ola").post("@shop root")
    platform.fault_next("lag", match="POST *", reads=2)
    post = say(client, "@ola Soon", in_reply_to_id=root.id).json()["id"]
    own = f"/api/v1/accounts/{platform.shop.id}/statuses"
    assert [] == client.get(f"{STATUSES}/{root.id}/context").json()["descendants"]
    told(client)
    assert [] == ids(client.get(own))
    assert [post] == ids(client.get(own))
    assert post == platform.posts[-1].id


def test_a_lag_can_last_by_the_clock(platform, client):
    """However often it is read, it appears when its time has come."""
    platform.fault_next("lag", lasts=timedelta(seconds=15))
    path = f"{STATUSES}/{say(client).json()['id']}"
    assert [404, 404, 404] == [client.get(path).status_code for _ in range(3)]
    platform.advance(timedelta(seconds=15))
    assert 200 == client.get(path).status_code


def test_a_lag_can_be_asked_for_from_outside():
    """In seconds, over the control endpoint."""
    with running(control=True) as platform, client_of(platform) as client:
        client.post("/_control/faults", json={"kind": "lag", "lasts": 15})
        path = f"{STATUSES}/{say(client).json()['id']}"
        assert 404 == client.get(path).status_code
        client.post("/_control/clock", json={"advance": 15})
        assert 200 == client.get(path).status_code


def test_a_missing_page_leaves_the_newest_out_once(platform, client):
    """A context or a list without its newest half looks complete, and is not."""
    root = platform.customer("ola").post("@shop root")
    post = say(client, "@ola Soon", in_reply_to_id=root.id).json()["id"]
    path = f"{STATUSES}/{root.id}/context"
    for _ in range(2):
        platform.fault_next("missing_page", match="GET *")
    assert [] == client.get(path).json()["descendants"]
    assert [] == client.get(f"/api/v1/accounts/{platform.shop.id}/statuses").json()
    assert [post] == [item["id"] for item in client.get(path).json()["descendants"]]


def test_notifications_can_come_twice_and_in_disorder(platform, client):
    """The same items, repeated or turned round."""
    ola = platform.customer("ola")
    for number in range(3):
        ola.post(f"@shop {number}")
    calm = ids(told(client))
    platform.fault_next("duplicated")
    platform.fault_next("reordered")
    assert [each for each in calm for _ in range(2)] == ids(told(client))
    assert calm[::-1] == ids(told(client))


def test_faults_on_the_wire_speak_mastodons_words(platform, client):
    """429, 401, 503 have its bodies; a gateway's 502 is a page."""
    for kind, status in (
        ("rate_limited", None),
        ("unauthorized", None),
        ("error_before", 503),
        ("error_before", 502),
    ):
        platform.fault_next(kind, **({"status": status} if status else {}))
    limited, unauthorized, busy, gateway = (say(client) for _ in range(4))
    assert ("Too many requests", "0", "2026-11-02T09:35:00.000000Z") == (
        limited.json()["error"],
        limited.headers["X-RateLimit-Remaining"],
        limited.headers["X-RateLimit-Reset"],
    )
    assert "The access token is invalid" == unauthorized.json()["error"]
    assert busy.json()["error"].startswith("There was a temporary problem")
    assert (502, True) == (gateway.status_code, gateway.text.startswith("<!DOCTYPE html>"))
    assert () == platform.posts


def test_a_lost_answer_leaves_one_post_and_its_key(platform, client):
    """The whole reason for the platform: the client knows nothing, the truth has one post."""
    platform.fault_next("response_lost", match=f"POST {STATUSES}")
    with pytest.raises(httpx.RemoteProtocolError):
        say(client, "Once", "key")
    assert ["Once"] == [post.text for post in platform.shop.posts]
    assert platform.posts[0].id == say(client, "Once", "key").json()["id"]
    assert 1 == len(platform.posts)


# Compatible servers.


def test_a_compatible_server_ignores_keys_and_uses_ulids(compatible):
    """Two posts for one key, ids of 26 letters and digits that rise, 5,000 characters."""
    platform, client = compatible
    first, second = (say(client, "x" * 5_000, "key").json()["id"] for _ in range(2))
    assert first < second
    assert 2 == len(platform.posts)
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", first)


def test_a_compatible_server_says_nothing_of_when_to_come_back(compatible):
    """429 without Retry-After and without any rate header, as measured."""
    _, client = compatible
    limited = [told(client) for _ in range(3)][-1]
    assert (429, []) == (
        limited.status_code,
        [name for name in limited.headers if "rate" in name or "retry" in name],
    )


def test_a_compatible_server_may_honour_keys():
    """Each peculiarity can be had alone."""
    with running(compatible=True, honours_keys=True) as platform, client_of(platform) as client:
        assert 1 == len({say(client, "One", "key").json()["id"] for _ in range(2)})


def test_ids_rise_while_the_clock_stands_still_or_goes_back(platform):
    """Order of acceptance is order of ids, on a clock that nobody moves or that jumps."""
    ola = platform.customer("ola")
    made = [ola.post("one"), ola.post("two")]
    platform.advance(timedelta(hours=-1))
    made.append(ola.post("three"))
    numbers = [int(post.id) for post in made]
    assert sorted(set(numbers)) == numbers
    assert [1, 2, 3] == [post.order for post in made]


# Acting, from this process and from another.


def test_a_wrong_act_is_an_error_of_the_test(platform):
    """Misspelt visibilities, unknown posts and unknown acts do not pass."""
    ola = platform.customer("ola")
    with pytest.raises(ValueError, match="visibility is one of public"):
        ola.post("x", visibility="pubic")
    with pytest.raises(KeyError):
        ola.post("x", in_reply_to="1")
    for command in ({}, {"as": "ola"}, {"as": "ola", "do": "shout"}):
        with pytest.raises(ValueError, match=r"say who acts|no such thing"):
            platform.act(command)


def test_acts_of_another_process_are_those_of_this_one(platform):
    """JSON in, JSON out; `shop` acts natively."""
    post = platform.act({"as": "ola", "do": "post", "text": "@shop hi", "visibility": "direct"})
    reply = platform.act({"as": "shop", "do": "post", "text": "@ola hi", "in_reply_to": post["id"]})
    platform.act({"as": "ola", "do": "edit", "post": post["id"], "text": "@shop hello"})
    platform.act({"as": "ola", "do": "favourite", "post": reply["id"]})
    platform.act({"as": "bo", "do": "boost", "post": reply["id"]})
    platform.act({"as": "bo", "do": "follow", "acct": "shop"})
    platform.act({"as": "shop", "do": "delete", "post": reply["id"]})
    first, second = platform.truth()["posts"]
    assert ("ola", "direct", "@shop hello", START.isoformat(), None) == (
        first["author"],
        first["visibility"],
        first["text"],
        first["edited_at"],
        first["deleted_at"],
    )
    assert ("shop", post["id"], START.isoformat()) == (
        second["author"],
        second["in_reply_to"],
        second["deleted_at"],
    )
