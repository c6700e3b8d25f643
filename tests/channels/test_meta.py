"""What Meta's networks share: proof before reading, batches item by item, and codes, not statuses."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.channels import (
    Ambiguous,
    NeedsAuth,
    NotSent,
    RateLimited,
    Refused,
    SendError,
)
from supportflow.channels.meta import (
    MAX_ITEMS,
    MAX_VALUES,
    Item,
    OutsideWindow,
    challenge,
    gather,
    moment,
    outcome,
    pause,
    proof,
    receipt,
    secret,
    secrets,
    verified,
)
from supportflow.errors import InvalidValue, PayloadError, WebhookRejected
from supportflow.http import MAX_BODY, Response, Webhook
from supportflow.model import Receipt, Secret

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
OLD, NEW = Secret("old-secret"), Secret("new-secret")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def signature(body: bytes, key: Secret = NEW) -> str:
    """Sign as Meta does, with nothing of the library's own."""
    return "sha256=" + hmac.new(key.reveal().encode(), body, hashlib.sha256).hexdigest()


def post(body: bytes, *headers: tuple[str, str]) -> Webhook:
    """Return a POST."""
    return Webhook("POST", body, NOON, headers)


def signed(body: bytes, key: Secret = NEW) -> Webhook:
    """Return a genuine POST."""
    return post(body, ("X-Hub-Signature-256", signature(body, key)))


def answer(
    code: object = None, subcode: object = None, status: int = 400, message: str = "no", **more
) -> Response:
    """Return an answer of the Graph API that reports an error."""
    error = {"message": message, "type": "OAuthException", "code": code, **more}
    if subcode is not None:
        error["error_subcode"] = subcode
    return Response(status, body=json.dumps({"error": error}).encode(), at=NOON)


def raised(response: Response, hide: tuple[Secret, ...] = (NEW,)) -> SendError:
    """Return what an answer makes `outcome` raise."""
    with pytest.raises(SendError) as error:
        outcome(response, NOON, hide)
    return error.value


# Configuration.


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_token_is_needed(nothing):
    """No token, no channel; the error says where to find one."""
    with pytest.raises(InvalidValue, match="access token is missing"):
        secret(nothing)


@pytest.mark.parametrize("spoilt", ["EAAG\n", " EAAG", "EAAG x", "EAAG…", "EAAG\x00"])
def test_a_token_fits_into_a_header(spoilt):
    """What was copied with more than the token is refused at once, and not repeated."""
    with pytest.raises(InvalidValue, match="copy it alone") as error:
        secret(spoilt)
    assert "EAAG" not in str(error.value)


def test_a_token_becomes_a_secret():
    """A plain string and a secret give the same, and neither prints."""
    assert Secret("t0ken") == secret("t0ken") == secret(Secret("t0ken"))


@pytest.mark.parametrize("nothing", [None, "", (), [""], ["right", ""]])
def test_a_webhook_secret_is_needed(nothing):
    """Without a secret nothing can be proved, so that such a channel cannot be made."""
    with pytest.raises(InvalidValue):
        secrets(nothing)


def test_secrets_may_rotate():
    """One secret, or the current one and those that were valid before it."""
    assert (NEW,) == secrets("new-secret") == secrets(NEW)
    assert (NEW, OLD) == secrets(["new-secret", OLD])


def test_the_proof_is_the_documented_one():
    """`appsecret_proof` is the hex HMAC-SHA256 of the token under the app's secret."""
    expected = hmac.new(b"new-secret", b"t0ken", hashlib.sha256).hexdigest()
    assert expected == proof(Secret("t0ken"), NEW)


# The handshake.


def ask(*query: tuple[str, str]) -> Webhook:
    """Return a handshake."""
    return Webhook("GET", b"", NOON, query=query)


ASKED = {"hub.mode": "subscribe", "hub.verify_token": "new-secret", "hub.challenge": "1158201444"}


def test_the_handshake_is_answered_with_its_challenge():
    """The challenge comes back as plain text, byte for byte, whichever token is valid now."""
    for tokens in ((NEW,), (OLD, NEW)):
        response = challenge(ask(*ASKED.items()), tokens)
        assert (200, b"1158201444") == (response.status, response.body)
        assert "text/plain" == response.headers.get("content-type")
        assert "nosniff" == response.headers.get("x-content-type-options")


@pytest.mark.parametrize(
    "changed",
    [
        {"hub.mode": "unsubscribe"},
        {"hub.mode": ""},
        {"hub.verify_token": "old-secret"},
        {"hub.verify_token": ""},
        {"hub.verify_token": "new-secret\udc80"},
        {"hub.verify_token": "ｎew-secret"},
        {"hub.challenge": ""},
        {"hub.challenge": "<script>alert(1)</script>"},
        {"hub.challenge": "1\n2"},
        {"hub.challenge": "1\n"},
        {"hub.challenge": "1" * 257},
        {"hub.challenge": "１"},
    ],
)
def test_a_wrong_handshake_is_refused(changed):
    """Neither a wrong token nor a challenge that could be a page of HTML gets an answer."""
    with pytest.raises(WebhookRejected):
        challenge(ask(*{**ASKED, **changed}.items()), (NEW,))


@pytest.mark.parametrize("name", ASKED)
def test_a_field_missing_or_twice_is_refused(name):
    """Each field is there exactly once: of two, another reader might take the other one."""
    rest = [pair for pair in ASKED.items() if pair[0] != name]
    for query in (rest, [*ASKED.items(), (name, ASKED[name])]):
        with pytest.raises(WebhookRejected):
            challenge(ask(*query), (NEW,))


# Proof.


def test_a_genuine_body_is_read():
    """A body signed with any secret that is valid now is read."""
    for key in (NEW, OLD):
        assert {"entry": []} == verified(signed(b'{"entry": []}', key), (NEW, OLD))


def test_the_published_vectors_hold():
    """The signatures that other projects publish for this scheme prove these bodies, not others."""
    sesame = (Secret("sesame"),)
    vectors = {
        b"hello world": "f39034b29165ec6a5104d9aef27266484ab26c8caa7bca8bcb2dd02e8be61b17",
        b"hello world2": "60905fdf409d0b4f721e99f6f25b31567a68a6b45e933d814e17a246be4c5a53",
    }
    for body, digest in vectors.items():
        hook = post(body, ("X-Hub-Signature-256", f"sha256={digest}"))
        with pytest.raises(PayloadError, match="not JSON"):  # so it was proved, and then read
            verified(hook, sesame)
    with pytest.raises(WebhookRejected):
        verified(post(b"hello world3", *hook.headers.items), sesame)


def test_escapes_are_proved_as_they_came():
    r"""`ä` written as `\u00e4`, as Meta does, is another body than the same JSON without escapes."""
    body = b'{"text": "\\u00e4\\/"}'
    again = json.dumps(json.loads(body), ensure_ascii=False).encode()
    assert {"text": "ä/"} == verified(signed(body), (NEW,))
    with pytest.raises(WebhookRejected):
        verified(post(again, ("X-Hub-Signature-256", signature(body))), (NEW,))


BODY = b'{"object": "page", "entry": []}'
RIGHT = signature(BODY)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Hub-Signature-256", "")],
        [("X-Hub-Signature-256", RIGHT.removeprefix("sha256="))],
        [("X-Hub-Signature-256", RIGHT.upper())],
        [("X-Hub-Signature-256", f" {RIGHT}")],
        [("X-Hub-Signature-256", f"{RIGHT} ")],
        [("X-Hub-Signature-256", f"{RIGHT},{RIGHT}")],
        [("X-Hub-Signature-256", signature(BODY, OLD))],
        [("X-Hub-Signature-256", RIGHT[:-1] + "０")],
        [("X-Hub-Signature-256", RIGHT), ("x-hub-signature-256", RIGHT)],
        [("X-Hub-Signature-256", RIGHT), ("X-Hub-Signature-256", signature(BODY, OLD))],
        [("X-Hub-Signature", "sha1=" + hmac.new(b"new-secret", BODY, "sha1").hexdigest())],
        [("X-Hub-Signature-256", "sha1=" + hmac.new(b"new-secret", BODY, "sha1").hexdigest())],
    ],
)
def test_a_signature_that_is_not_right_is_refused(headers):
    """Missing, cut, changed, doubled, old or of the weaker kind: nothing of it is read."""
    with pytest.raises(WebhookRejected) as error:
        verified(post(BODY, *headers), (NEW,))
    assert 401 == error.value.status
    assert RIGHT not in str(error.value)


def test_a_large_body_is_refused_before_its_signature_is_looked_at():
    """What is over a mebibyte is not even hashed, whoever sent it; one byte less is."""
    with pytest.raises(WebhookRejected, match="over the limit") as error:
        verified(signed(b'"' + b"x" * MAX_BODY + b'"'), (NEW,))
    assert 413 == error.value.status
    assert MAX_BODY - 2 == len(verified(signed(b'"' + b"x" * (MAX_BODY - 2) + b'"'), (NEW,)))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xef\xbb\xbf{}"],
)
def test_a_genuine_body_that_is_no_json_is_a_payload_error(body):
    """Genuine and unreadable is another thing than not genuine: it is kept."""
    with pytest.raises(PayloadError):
        verified(signed(body), (NEW,))


# Batches.


def ids(item: Item) -> tuple[str, ...]:
    """Read an item that is `{"id": text}`; the text itself stands for a fact."""
    if not isinstance(item.value, dict) or "id" not in item.value:
        raise PayloadError("it has no id")
    return (item.value["id"],)


def batch(*entries: object, kind: object = "page") -> dict:
    """Return a batch."""
    return {"object": kind, "entry": list(entries)}


def entry(*events: object, place: str = "messaging", page: object = "77", **more) -> dict:
    """Return an entry."""
    return {"id": page, "time": 1769860800000, place: list(events), **more}


def test_every_event_of_every_entry_is_read_in_order():
    """Entries times events, wherever in the entry they stand."""
    body = batch(
        entry({"id": "a"}, {"id": "b"}),
        entry({"id": "c"}, place="standby"),
        entry({"id": "d"}, place="changes", messaging=[{"id": "e"}]),
        entry(),
    )
    read = gather(body, "page", "77", ids)
    assert ("a", "b", "c", "e", "d") == read.facts
    assert () == read.unreadable


def test_one_bad_event_leaves_its_neighbours():
    """What cannot be read is kept alone, in a batch of its own that gives the same answer again."""
    body = batch(entry({"id": "a"}, {"kit": "ä\ud800"}, {"id": "b"}), entry(7), entry({"id": "c"}))
    read = gather(body, "page", "77", ids)
    assert ("a", "b", "c") == read.facts
    assert ["it has no id"] * 2 == [each.why for each in read.unreadable]
    first, second = (json.loads(each.raw) for each in read.unreadable)
    assert batch(entry({"kit": "ä\ud800"})) == first
    assert batch(entry(7)) == second
    assert read.unreadable[0] == gather(first, "page", "77", ids).unreadable[0]


def test_a_reader_that_stops_half_way_gives_nothing():
    """An event is read whole or not at all: a replay must not find a half of it recorded."""

    def half(item):
        yield item.value
        raise InvalidValue("the rest is bad")

    read = gather(batch(entry("a")), "page", "77", half)
    assert ((), ["the rest is bad"]) == (read.facts, [each.why for each in read.unreadable])


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        entry({"id": "x"}, page="78"),
        entry({"id": "x"}, page=77),
        {"id": "77", "time": 1},
        {"id": "77", "messaging": {}},
        {"id": "77", "changes": None},
        {"id": "77", "messaging": [{"id": "x"}], "standby": "no"},
    ],
)
def test_one_bad_entry_leaves_its_neighbours(bad):
    """An entry of another page or shape is kept whole, as it came."""
    read = gather(batch(entry({"id": "a"}), bad, entry({"id": "b"})), "page", "77", ids)
    assert ("a", "b") == read.facts
    assert [batch(bad)] == [json.loads(each.raw) for each in read.unreadable]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        batch(kind="instagram"),
        batch(kind=None),
        {"object": "page"},
        {"object": "page", "entry": {}},
    ],
)
def test_what_is_no_batch_of_this_kind_is_a_payload_error(body):
    """Another product's webhook, or none of Meta's, is unreadable as a whole."""
    with pytest.raises(PayloadError):
        gather(body, "page", "77", ids)


def test_a_batch_is_bounded():
    """Twice what Meta sends is read; more than that is unreadable as a whole."""
    most = [{"id": "a"}] * (MAX_ITEMS - 1)
    assert most == [{"id": fact} for fact in gather(batch(entry(*most)), "page", "77", ids).facts]
    halves = [entry(*[{}] * (MAX_ITEMS // 2)), entry(*[{}] * (MAX_ITEMS // 2), place="changes")]
    for body in (
        batch(entry(*[{}] * MAX_ITEMS)),
        batch(*[entry()] * (MAX_ITEMS + 1)),
        batch(*halves),
    ):
        with pytest.raises(PayloadError, match="more than 2000 events"):
            gather(body, "page", "77", ids)


def test_the_facts_of_a_body_are_bounded():
    """One event may report many; reading stops where they are more than events may be."""
    taken = []

    def several(item):
        taken.append(item)
        return ("a",) * 500

    most = batch(entry(*[{}] * 4))
    assert MAX_ITEMS == len(gather(most, "page", "77", several).facts)
    taken.clear()
    with pytest.raises(PayloadError, match="more than 2000 facts"):
        gather(batch(entry(*[{}] * 1000)), "page", "77", several)
    assert 5 == len(taken)


def test_the_values_of_a_body_are_bounded():
    """Counted in its bytes before it is parsed, after it is proved; 20,000 are read."""
    most = b"[" + b",".join([b"1"] * MAX_VALUES) + b"]"
    assert MAX_VALUES == len(verified(signed(most), (NEW,)))
    more = b"[" + b",".join([b"{}"] * MAX_VALUES) + b"]"
    with pytest.raises(PayloadError, match="up to 40000 values; at most 20000 are read"):
        verified(signed(more), (NEW,))
    with pytest.raises(WebhookRejected):
        verified(signed(more, OLD), (NEW,))


def test_quarantine_is_no_bomb():
    """A huge time or id is not copied for every bad event beside it."""
    heavy = entry(*[{}] * 1000, time="x" * 100_000)
    kept = gather(batch(heavy), "page", "77", ids).unreadable
    assert 1000 == len(kept)
    assert 100 > max(len(each.raw) for each in kept)


@given(JSON)
def test_any_json_is_read_or_a_payload_error(value):
    """Whatever stands in a body, nothing but `PayloadError` comes of it."""
    for body in (value, batch(value), batch(entry(value)), {"object": "page", "entry": value}):
        try:
            read = gather(body, "page", "77", ids)
        except PayloadError:
            continue
        assert all(json.loads(each.raw) is not None and each.why for each in read.unreadable)


# Times.


@pytest.mark.parametrize(
    "value",
    [1769860800000, "1769860800000", 1769860800, "1769860800", 1769860800000.0],
)
def test_times_are_read_in_both_units(value):
    """Milliseconds and seconds, as numbers or digits, are the same instant."""
    assert NOON == moment(value)


@pytest.mark.parametrize(
    "value",
    [None, True, "", "soon", "nan", [], {}, 0, -1, "1", 10**11, 10**400, float("inf"), "9" * 16],
)
def test_a_time_that_cannot_be_is_a_payload_error(value):
    """A conversation is never opened in 1970, nor in a year that no clock will show."""
    with pytest.raises(PayloadError):
        moment(value)


def test_milliseconds_are_kept():
    """Two events of one second keep their order."""
    times = [moment(1769860800000 + n) for n in range(0, 1000, 7)]
    assert all(timedelta(milliseconds=7) == b - a for a, b in pairwise(times))


# Answers.


@pytest.mark.parametrize(
    ("code", "subcode", "kind"),
    [
        (1, None, Ambiguous),
        (1, 99, Ambiguous),
        (2, 2018344, Ambiguous),
        (1200, None, Ambiguous),
        (3, None, NeedsAuth),
        (4, None, RateLimited),
        (17, None, RateLimited),
        (32, None, RateLimited),
        (341, None, RateLimited),
        (613, None, RateLimited),
        (80001, None, RateLimited),
        (80006, None, RateLimited),
        (80014, None, RateLimited),
        (10, None, NeedsAuth),
        (10, 2018065, OutsideWindow),
        (10, 2018278, OutsideWindow),
        (10, 2534022, OutsideWindow),
        (10, 2018108, Refused),
        (10, 2018300, Refused),
        (100, None, Refused),
        (100, 2018001, Refused),
        (100, 33, NeedsAuth),
        (102, None, NeedsAuth),
        (104, None, NeedsAuth),
        (190, 460, NeedsAuth),
        (200, None, NeedsAuth),
        (200, 1545041, Refused),
        (299, None, NeedsAuth),
        (368, None, NeedsAuth),
        (551, 1545041, Refused),
    ],
)
def test_the_code_tells_what_happened_not_the_status(code, subcode, kind):
    """Meta documents codes and not statuses, so that every status gives the same outcome."""
    for status in (200, 400, 401, 403, 429, 500, 503):
        assert kind is type(raised(answer(code, subcode, status)))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Ambiguous),
        (302, Refused),
        (400, Refused),
        (401, NeedsAuth),
        (403, NeedsAuth),
        (404, Refused),
        (408, Ambiguous),
        (409, Refused),
        (429, RateLimited),
        (500, Ambiguous),
        (503, Ambiguous),
    ],
)
@pytest.mark.parametrize("code", [None, 0, 99999, "190", True, [4], 190.0, 80015])
def test_an_unknown_code_leaves_it_to_the_status(code, status, kind):
    """A code that is not known, or no number, is no reason to believe anything but the status."""
    assert kind is type(raised(answer(code, status=status)))


@pytest.mark.parametrize("status", [400, 403])
def test_a_transient_error_is_a_doubt(status):
    """What Meta calls transient may have been done all the same."""
    assert Ambiguous is type(raised(answer(99999, status=status, is_transient=True)))


@pytest.mark.parametrize("body", [b'{"error": "no"}', b'{"error": null}', b'{"error": [1]}'])
def test_an_error_of_another_shape_is_an_error(body):
    """Any `error` in a success makes it none."""
    assert Ambiguous is type(raised(Response(200, body=body, at=NOON)))


@pytest.mark.parametrize(
    ("status", "kind"), [(307, Refused), (502, Ambiguous), (404, Refused), (100, Ambiguous)]
)
@pytest.mark.parametrize("body", [b"", b"<!DOCTYPE html>", b'{"error": {"co', b"\xff", b"[]"])
def test_a_failure_without_json_leaves_it_to_the_status(body, status, kind):
    """A proxy's page of HTML is read for its status alone."""
    assert kind is type(raised(Response(status, body=body, at=NOON)))


@pytest.mark.parametrize("body", [b"", b"<!DOCTYPE html>", b"[1]", b"null", b'{"id"', b"{}"])
def test_a_success_without_an_object_is_empty(body):
    """Nobody raises for a success that says nothing: whoever needs an id says so."""
    assert {} == outcome(Response(200, body=body), NOON, ())


def test_a_success_is_its_object():
    """What Meta answers comes back as it is."""
    assert {"id": "1"} == outcome(Response(201, body=b'{"id": "1"}'), NOON, ())


def test_an_error_says_what_meta_said():
    """Staff read Meta's own words, on one line, and the codes to look up."""
    error = raised(answer(100, 2018001, message="(#100) No\n matching user"))
    expected = "it was refused: (#100) No matching user (status 400, code 100, subcode 2018001)"
    assert expected == str(error)
    assert "it was refused: (status 404)" == str(raised(Response(404)))
    assert 400 > len(str(raised(answer(100, message="x" * 5_000))))


def test_a_closed_window_says_so():
    """The reason names the window, and that only the customer can open it."""
    error = raised(answer(10, 2018278))
    assert "window has closed, the customer must write first" in str(error)
    assert isinstance(error, Refused)


@pytest.mark.parametrize("code", [102, 104, 190])
def test_what_meta_says_of_a_token_is_not_repeated(code):
    """Meta quotes a token that it cannot read: 'Malformed access token EAAG…'."""
    assert "EAAG" not in str(raised(answer(code, message="Malformed access token EAAGx")))


def test_no_secret_is_repeated():
    """Wherever a secret stands in what the platform says, it is left out."""
    said = raised(answer(100, message="x" * 290 + "new-secret and old-secret"), (NEW, OLD))
    assert "secret" not in str(said)


# Pauses.


def usage(*minutes: object) -> dict[str, str]:
    """Return the header that tells how long an account is throttled."""
    told = {"77": [{"type": "messenger", "estimated_time_to_regain_access": m} for m in minutes]}
    return {"X-Business-Use-Case-Usage": json.dumps(told)}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60),
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": "soon"}, 60),
        ({"Retry-After": "999999"}, 3600),
        (usage(0), 60),
        (usage(7), 420),
        (usage(3, 19, 0), 1140),
        (usage(61), 3600),
        (usage(10**30), 3600),
        (usage(-5), 60),
        (usage("7"), 60),
        (usage(True), 60),
        (usage(None), 60),
        ({**usage(7), "Retry-After": "30"}, 420),
        ({**usage(1), "Retry-After": "300"}, 300),
        ({"X-Business-Use-Case-Usage": "{"}, 60),
        ({"X-Business-Use-Case-Usage": "[]"}, 60),
        ({"X-Business-Use-Case-Usage": '{"77": 1, "78": [1, {}]}'}, 60),
        ({"X-Business-Use-Case-Usage": "\udc80"}, 60),
        ({"X-Business-Use-Case-Usage": json.dumps({"77": "x" * 20_000})}, 60),
    ],
)
def test_an_account_pauses_as_long_as_it_is_told(headers, seconds):
    """Minutes of the usage header and `Retry-After` count, the longer one, up to an hour."""
    assert NOON + timedelta(seconds=seconds) == pause(Response(429, headers), NOON)


def test_a_rate_limit_carries_its_end():
    """The end counts from the answer; without its time, from the one given."""
    late = NOON + timedelta(minutes=9)
    error = raised(Response(400, usage(7), answer(80006).body, late))
    assert isinstance(error, RateLimited)
    assert isinstance(error, NotSent)
    assert late + timedelta(minutes=7) == error.until
    assert NOON + timedelta(minutes=1) == raised(Response(429)).until


# Receipts.


def test_a_receipt_has_metas_id():
    """The id is Meta's own, the time that of its answer."""
    assert Receipt("m_1", NOON) == receipt({"message_id": "m_1"}, "message_id", NOON)


@pytest.mark.parametrize(
    "found", [{}, {"id": "m_1"}] + [{"message_id": x} for x in (None, "", 7, [], "m" * 513)]
)
def test_a_success_without_an_id_is_a_doubt(found):
    """It was taken, as what is not known: the echo or a read will tell."""
    with pytest.raises(Ambiguous):
        receipt(found, "message_id", NOON)
