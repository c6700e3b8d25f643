"""What reads of a local Messenger show, and what they hide."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from supportflow.testing.platforms.messenger import App, MessengerPlatform

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
FIELDS = "messages{id,message,from,to,created_time}"


@pytest.fixture
def platform() -> Iterator[MessengerPlatform]:
    """Return a platform of page 77."""
    app = App(page_id="77", page_name="Hat Shop")
    with MessengerPlatform(app=app, clock=lambda: START) as running:
        yield running


@pytest.fixture
def api(platform) -> Iterator[httpx.Client]:
    """Return a client with the page's token."""
    headers = {"Authorization": f"Bearer {platform.token}"}
    # The context loads no certificates, which takes long: this is plain HTTP on loopback.
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    url = f"{platform.url}/v25.0"
    with httpx.Client(base_url=url, headers=headers, verify=no_tls) as client:
        yield client


def send(api: httpx.Client, psid: str, text: str) -> str:
    """Send a text and return its id."""
    content = {"text": text, "metadata": "row-7"}
    call = {"recipient": {"id": psid}, "messaging_type": "RESPONSE", "message": content}
    return api.post("/me/messages", json=call).json()["message_id"]


def texts(api: httpx.Client, psid: str) -> list[str]:
    """Read a thread as a reconciler would, newest first."""
    found = api.get("/77/conversations", params={"user_id": psid, "fields": FIELDS}).json()
    return [each["message"] for thread in found["data"] for each in thread["messages"]["data"]]


def test_a_thread_is_read_by_its_customer(platform, api):
    """`user_id` finds the thread; both sides stand there with names, ids and time, no metadata."""
    ola = platform.customer("ola")
    ola.write("Where is my hat?")
    platform.customer("jan").write("Not hers")
    mid = send(api, ola.psid, "On its way")
    found = api.get("/me/conversations", params={"user_id": ola.psid, "fields": FIELDS}).json()
    (thread,) = found["data"]
    page = {"name": "Hat Shop", "email": "77@facebook.com", "id": "77"}
    person = {"name": "ola", "email": f"{ola.psid}@facebook.com", "id": ola.psid}
    expected = {
        "id": mid,
        "message": "On its way",
        "from": page,
        "to": {"data": [person]},
        "created_time": "2026-03-01T09:00:00+0000",
    }
    assert expected == thread["messages"]["data"][0]
    assert (person, [page]) == tuple(
        thread["messages"]["data"][1][end]
        if end == "from"
        else thread["messages"]["data"][1][end]["data"]
        for end in ("from", "to")
    )


def test_threads_are_listed_by_their_last_message(platform, api):
    """Without `user_id` all threads come, the last changed first; strangers have none."""
    ola, jan = platform.customer("ola"), platform.customer("jan")
    platform.customer("nobody")
    ola.write("1")
    jan.write("2")
    platform.advance(timedelta(seconds=5))
    ola.write("3")
    found = api.get("/77/conversations", params={"platform": "messenger"}).json()["data"]
    assert [
        {"id": ola.record.conversation, "updated_time": "2026-03-01T09:00:05+0000"},
        {"id": jan.record.conversation, "updated_time": "2026-03-01T09:00:00+0000"},
    ] == found


def test_a_customer_without_messages_has_no_thread(platform, api):
    """Found nothing is an empty page, not an error."""
    assert {"data": []} == api.get("/77/conversations", params={"user_id": "1"}).json()


def test_a_thread_has_all_of_its_pages(platform, api):
    """Following `next`, or cursors, shows every message once; the address carries no token."""
    ola = platform.customer("ola")
    for number in range(7):
        ola.write(str(number))
    fields = "messages.limit(3){message}"
    page = api.get(f"/{ola.record.conversation}", params={"fields": fields}).json()["messages"]
    found = [each["message"] for each in page["data"]]
    while "next" in page["paging"]:
        assert platform.token not in page["paging"]["next"]
        page = api.get(page["paging"]["next"]).json()
        found += [each["message"] for each in page["data"]]
    assert [str(number) for number in reversed(range(7))] == found
    asked = {"limit": "2", "fields": "message"}
    messages = api.get(f"/{ola.record.conversation}/messages", params=asked).json()
    assert ["6", "5"] == [each["message"] for each in messages["data"]]


def test_a_thread_knows_itself(platform, api):
    """Participants, count and link can be asked for."""
    ola = platform.customer("ola")
    ola.write("x")
    fields = "participants,message_count,link,updated_time"
    found = api.get(f"/{ola.record.conversation}", params={"fields": fields}).json()
    assert ([ola.psid, "77"], 1) == (
        [each["id"] for each in found["participants"]["data"]],
        found["message_count"],
    )


def test_a_message_is_read_by_its_id_while_it_is_recent(platform, api):
    """The 20 newest of a thread can be read; older ones are gone, as documented."""
    ola = platform.customer("ola")
    mids = [ola.write(str(number)).mid for number in range(21)]
    found = api.get(f"/{mids[1]}", params={"fields": "message,from"}).json()
    assert ("1", ola.psid) == (found["message"], found["from"]["id"])
    assert {"id": mids[20], "created_time": "2026-03-01T09:00:00+0000"} == api.get(
        f"/{mids[20]}"
    ).json()
    gone = api.get(f"/{mids[0]}")
    assert (400, 33) == (gone.status_code, gone.json()["error"]["error_subcode"])


def test_an_edited_message_reads_as_it_is_now(platform, api):
    """Reads show the newest text."""
    ola = platform.customer("ola")
    ola.edit(ola.write("befor"), "before")
    assert ["before"] == texts(api, ola.psid)


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/t_1", {}, 100),
        ("/t_1/messages", {}, 100),
        ("/m_1", {}, 100),
        ("/78/conversations", {}, 100),
        ("/77/conversations", {"platform": "instagram"}, 100),
        ("/77/conversations", {"limit": "all"}, 100),
        ("/77/conversations", {"limit": "0"}, 100),
        ("/77/conversations", {"after": "x"}, 100),
        ("/77/conversations", {"fields": "messages{metadata}"}, 100),
        ("/77/conversations", {"fields": "messages{"}, 2500),
    ],
)
def test_what_is_not_there_is_refused(platform, api, path, params, code):
    """Unknown objects, fields, cursors and networks are errors, never an empty answer."""
    platform.customer("ola").write("x")
    answer = api.get(path, params=params)
    assert (400, code) == (answer.status_code, answer.json()["error"]["code"])


def test_a_post_that_reads_do_not_show_yet(platform, api):
    """`lag` hides an accepted message for as many reads as said; then it is there."""
    ola = platform.customer("ola")
    ola.write("x")
    platform.fault_next("lag", match="POST *", reads=2)
    mid = send(api, ola.psid, "y")
    assert [["x"], ["x"], ["y", "x"]] == [texts(api, ola.psid) for _ in range(3)]
    assert mid == platform.posts[0].mid


def test_a_lag_can_be_a_time(platform, api):
    """With `lasts` reads do not count: the platform's clock does."""
    ola = platform.customer("ola")
    ola.write("x")
    platform.fault_next("lag", match="POST *", lasts=timedelta(seconds=60))
    send(api, ola.psid, "y")
    platform.advance(timedelta(seconds=59))
    assert [["x"]] * 4 == [texts(api, ola.psid) for _ in range(4)]
    platform.advance(timedelta(seconds=1))
    assert ["y", "x"] == texts(api, ola.psid)


def test_a_page_may_be_missing(platform, api):
    """`missing_page` shows nothing once, although all is there."""
    ola = platform.customer("ola")
    ola.write("x")
    platform.fault_next("missing_page", match="GET *", times=2)
    thread = f"/{ola.record.conversation}/messages"
    assert [] == texts(api, ola.psid)
    assert {"data": []} == api.get(thread).json()
    assert ["x"] == texts(api, ola.psid)
    assert 1 == len(api.get(thread).json()["data"])
