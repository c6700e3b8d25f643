"""HTTP values keep secrets to themselves; JSON from outside is strict and bounded."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.errors import InvalidValue, PayloadError
from supportflow.http import (
    MAX_BODY,
    MAX_DEPTH,
    MAX_RESPONSE,
    Headers,
    Request,
    Response,
    Webhook,
    read_items,
    read_json,
    retry_at,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


# -- values


def test_headers_are_found_without_regard_to_case():
    """Order and repetition are kept; the first value is the one that `get` returns."""
    headers = Headers([("Link", "a"), ("X-Id", "1"), ("LINK", "b")])
    assert ("a", ("a", "b"), None) == (headers.get("link"), headers.all("lInK"), headers.get("y"))
    assert (("Link", "a"), ("X-Id", "1"), ("LINK", "b")) == headers.items


def test_headers_come_from_mappings_and_from_headers():
    """A request takes either; values become strings."""
    assert Headers({"A": "1"}) == Request("GET", "https://example.com", {"A": 1}).headers
    kept = Headers({"A": "1"})
    assert kept is Request("GET", "https://example.com", kept).headers


def test_only_reads_are_repeatable_by_themselves():
    """A write is repeated only if its maker says that it has no second effect."""
    url = "https://example.com"
    assert [True, True, False, False] == [
        Request(method, url).repeatable for method in ("GET", "HEAD", "POST", "DELETE")
    ]
    assert Request("POST", url, repeatable=True).repeatable
    assert not Request("GET", url).posts


SECRET = "s3cret-t0ken"  # what must not be seen


@pytest.mark.parametrize(
    "value",
    [
        Request("POST", f"https://{SECRET}@example.com/{SECRET}?t={SECRET}#{SECRET}", posts=True),
        Request("POST", f"https://u:{SECRET}@example.com", {"Authorization": SECRET}),
        Request("GET", f"https://example.com?access_token={SECRET}", body=SECRET.encode()),
        Request("GET", f"https://example.com\\@{SECRET}"),
        Request("GET", f"/relative/{SECRET}"),
        Request("GET", f"https://[{SECRET}"[:8] + "/" + SECRET),
        Response(200, {"Set-Cookie": SECRET}, SECRET.encode()),
        Webhook("POST", SECRET.encode(), NOW, {"X-Signature": SECRET}, {"token": SECRET}),
        Headers({"Authorization": SECRET}),
    ],
)
def test_nothing_secret_is_shown(value):
    """Neither path, query, user, body nor header values are in a representation."""
    assert SECRET not in repr(value) + str(value) + f"{value}"


def test_representations_say_what_helps():
    """Method, origin, status and sizes are shown, even of a URL that is none."""
    assert "<Request POST https://example.com:8443 posts>" == repr(
        Request("POST", "https://u:p@example.com:8443/x?y", posts=True)
    )
    assert "<Request GET http://[>" == repr(Request("GET", "http://["))
    assert "<Request GET (no absolute URL)>" == repr(Request("GET", "nonsense"))
    assert "<Response 204 (3 bytes)>" == repr(Response(204, body=b"abc"))
    assert "<Webhook POST (2 bytes)>" == repr(Webhook("POST", b"{}", NOW))
    assert "Headers(A, B)" == repr(Headers({"A": "1", "B": "2"}))


def test_values_are_frozen():
    """What crosses a boundary cannot be changed on the other side."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Response(200).status = 500


def test_a_webhook_needs_an_aware_time():
    """A naive time would silently mean the server's zone."""
    with pytest.raises(InvalidValue, match="pass an aware one"):
        Webhook("POST", b"", datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused


# -- JSON


def nested(depth, opening=b"[", closing=b"]"):
    """Return arrays, or what else the brackets say, within each other."""
    return opening * depth + closing * depth


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        (b" 1 ", 1),
        ('"\u0439\u0641"'.encode(), "\u0439\u0641"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"1e308", 1e308),
        (b"0." + b"1" * 5000, float("0." + "1" * 20)),
        (nested(MAX_DEPTH), json.loads(nested(MAX_DEPTH))),
        (b'["' + b"[" * 500 + b'"]', ["[" * 500]),
        (b'["' + b"{]" * 500 + b'"]', ["{]" * 500]),
        (b"[" + b"[]," * 500 + b"{}]", [*([[]] * 500), {}]),
    ],
)
def test_json_is_read(body, value):
    """What is JSON within the limits is read, brackets in strings or not."""
    assert value == read_json(body)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"[1] [2]", "not JSON"),
        (b'"\x00"', "not JSON"),
        (b"\x00", "not JSON"),
        (b"NaN", "NaN, which is not"),
        (b"[-Infinity]", "-Infinity, which is not"),
        (b"1e999", "too large"),
        (b"-1e999", "too large"),
        (b"1" * 5000, "not JSON"),
        (b'{"a": 1, "a": 1}', "key twice"),
        (b'[{"a": {"b": 1, "\\u0062": 2}}]', "key twice"),
        ("[1]".encode("utf-16"), "not UTF-8"),
        ("[1]".encode("utf-16-le"), "not JSON"),
        ("[1]".encode("utf-32"), "not UTF-8"),
        ("[1]".encode("utf-8-sig"), "not JSON"),
        (b"\xff[]", "not UTF-8 at byte 0"),
        (b'["\xc3"]', "not UTF-8 at byte 2"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (nested(MAX_DEPTH + 1), "deeper than 64"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "deeper than 64"),
        (nested(100_000), "deeper than 64"),
        (b"[" * 100_000, "deeper than 64"),
    ],
)
def test_other_json_is_refused(body, why):
    """Each flaw is one clear error of ours, which is for the one who sent it."""
    with pytest.raises(PayloadError, match=why) as caught:
        read_json(body)
    assert 400 == caught.value.status
    assert len(str(caught.value)) <= 200


def test_brackets_in_strings_hide_no_depth():
    """Regression: closing brackets in strings made deep nesting look shallow."""
    level = b'["]",'
    body = level * (MAX_DEPTH + 1) + b"1" + b"]" * (MAX_DEPTH + 1)
    with pytest.raises(PayloadError, match="deeper than 64"):
        read_json(body)


def test_a_body_over_the_limit_is_not_read():
    """It is refused by its size, with the status that says so."""
    with pytest.raises(PayloadError, match="body of 11 bytes is over the limit of 10") as caught:
        read_json(b"[" + b" " * 10, limit=10)
    assert 413 == caught.value.status
    with pytest.raises(PayloadError, match="over the limit"):
        read_json(b" " * (MAX_BODY + 1))


def test_a_response_may_be_larger_than_a_webhook():
    """Pages that we asked for are bounded too, more widely."""
    assert [] == Response(200, body=b" " * MAX_BODY + b"[]").json()
    with pytest.raises(PayloadError, match="over the limit"):
        Response(200, body=b" " * MAX_RESPONSE + b"[]").json()


@pytest.mark.parametrize(
    "unit",
    [b"[", b"{", b"]", b'{"a":', b"[]", b"[],", b'"[",', b'"\\u005b",', b'["]",', b"[{},"],
)
def test_hostile_brackets_take_sensible_time(unit):
    """A mebibyte of brackets, well formed or not, is judged in seconds at the very worst."""
    body = b"[" + unit * ((MAX_BODY - 8) // len(unit)) + b"1]"
    start = time.perf_counter()
    with suppress(PayloadError):
        read_json(body)
    assert time.perf_counter() - start < 5


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    """Nothing but our error comes out, whatever goes in."""
    with suppress(PayloadError):
        assert read_json(body) == json.loads(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_json_survives_the_way(value):
    """What Python writes as JSON is read back as it was."""
    assert value == read_json(json.dumps(value).encode())


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        )
    ),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r")]),
)
def test_a_list_is_cut_into_items(values, separators):
    """Each item is what the whole holds in its place, and its text says the same."""
    body = json.dumps(values, separators=separators).encode()
    found = read_items(b" " + body + b"\n")
    assert read_json(body) == [value for value, _ in found]
    assert values == [json.loads(text) for _, text in found]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no JSON list"),
        (b'{"a": []}', "no JSON list"),
        (b"[", "not JSON"),
        (b"[1", "no , or ] at character 2"),
        (b"[1 2]", "no , or ] at character 2"),
        (b"[1,]", "not JSON"),
        (b"[,1]", "not JSON"),
        (b"[] []", "goes on after its end at character 3"),
        (b"[1],", "goes on after its end at character 3"),
        (b"[NaN]", "NaN"),
        (b'[{"a": 1, "a": 2}]', "a key twice"),
        (b"[\xff]", "not UTF-8 at byte 1"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper than 64"),
        (b"[" * 100_000, "nested deeper than 64"),
        (b"[" + b" " * MAX_BODY + b"]", "over the limit"),
    ],
)
def test_what_is_no_list_is_refused(body, why):
    """It is as strict as the reader of whole bodies, and its error says what is wrong."""
    with pytest.raises(PayloadError, match=why):
        read_items(body)


def test_a_list_may_be_as_deep_as_anything():
    """The deepest body that is read whole is read item by item too."""
    body = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert read_json(body) == [value for value, _ in read_items(body)]


# -- when to ask again


def after(seconds):
    """Return an instant so many seconds from now."""
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "999999999"}, 3600),
        ({"Retry-After": format_datetime(after(90), usegmt=True)}, 90),
        ({"Retry-After": "2026-01-01T12:01:00.000Z"}, 60),
        ({"Retry-After": "2026-01-01T12:01:00"}, 60),
        ({"Retry-After": "2026-01-01T14:01:00+02:00"}, 60),
        ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 1),
        ({"X-RateLimit-Reset": str(int(after(45).timestamp()))}, 45),
        ({"X-RateLimit-Reset": f"{after(45).timestamp():.3f}"}, 45),
        ({"X-RateLimit-Reset": "2026-01-01T12:00:20Z"}, 20),
        ({"RateLimit-Reset": "12"}, 12),
        ({"X-RateLimit-Reset-After": "7"}, 7),
        ({"Retry-After": "soon", "RateLimit-Reset": "12"}, 12),
        ({"Retry-After": "-5"}, 1),
        ({"Retry-After": "\u0661\u0662"}, 1),
        ({"Retry-After": ""}, 1),
        ({}, 1),
    ],
)
def test_a_platform_says_when(headers, seconds):
    """Seconds, dates and instants are understood; the pause stays within its bounds."""
    assert after(seconds) == retry_at(Response(429, headers), NOW)


def test_no_wait_is_not_the_longest():
    """Regression: `Retry-After: 0` once paused an account for an hour."""
    assert after(1) == retry_at(Response(429, {"Retry-After": "0"}), NOW)


@pytest.mark.parametrize("number", ["999999999999", "253402300800", "999999999999.999999999"])
def test_an_instant_beyond_the_calendar_counts_for_nothing(number):
    """Regression: a reset behind the year 9999 raised ValueError out of the transport."""
    assert after(1) == retry_at(Response(429, {"X-RateLimit-Reset": number}), NOW)


@given(
    st.dictionaries(
        st.sampled_from(["Retry-After", "X-RateLimit-Reset", "RateLimit-Reset"]),
        st.text(max_size=40)
        | st.from_regex(r"[0-9]{1,13}(\.[0-9]{1,3})?", fullmatch=True)
        | st.datetimes().map(str)
        | st.datetimes().map(format_datetime),
    )
)
def test_any_header_gives_a_bounded_pause(headers):
    """Whatever a platform says, the pause is from a second to an hour."""
    assert after(1) <= retry_at(Response(429, headers), NOW) <= after(3600)
