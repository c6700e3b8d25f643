"""The archive channel: whatever a file holds and wherever it breaks off, no neighbour is lost."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.channels import Page, Polls, Unreadable
from supportflow.channels.archive import Archive
from supportflow.errors import InvalidValue, PayloadError, Unsupported
from supportflow.flow import run
from supportflow.http import MAX_BODY, Request, Response
from supportflow.model import (
    NATIVE,
    AgentKind,
    Author,
    ChannelState,
    Fact,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Visibility,
)

REAL = Path(__file__).resolve().parents[3] / "shared/data/ibm_twitter_support_1025.jsonl"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
COLUMNS = ("conversation", "brand", "index", "role", "at", "text")


def said(role: str = "customer", minutes: float = 0, text: str = "Hello", **other: Any) -> dict:
    """Write one message as an archive does."""
    at = (NOON + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    return {"role": role, "at": at, "text": text, **other}


def talk(name: str, *messages: object, brand: object = "shoes", **other: object) -> dict:
    """Write one conversation as an archive does."""
    return {"id": name, "brand": brand, "messages": list(messages), **other}


def lines(*values: object) -> bytes:
    """Write JSON lines."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def rows(*values: Iterable[object], columns: Iterable[str] = COLUMNS) -> bytes:
    """Write CSV with the standard library."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([columns, *values])
    return file.getvalue().encode()


def server(data: bytes) -> Callable[[Request], Response]:
    """Serve bytes in ranges, as RFC 9110 asks of a web server."""

    def answer(request: Request) -> Response:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range") or "")
        first, last = int(asked[1]), int(asked[2])
        assert last - first < MAX_BODY, "no request asks for more than a transport gives"
        if first >= len(data):
            return Response(416, {"Content-Range": f"bytes */{len(data)}"})
        body = data[first : last + 1]
        span = f"bytes {first}-{first + len(body) - 1}/{len(data)}"
        return Response(206, {"content-range": span}, body)

    return answer


def pages(data: bytes, archive: Archive, cursor: str | None = None) -> list[Page]:
    """Poll until there is no more."""
    found = []
    while not found or found[-1].more:
        found.append(run(archive.poll(found[-1].cursor if found else cursor), server(data)))
    return found


def replayed(
    data: bytes, path: str = "/a.jsonl", **options: Any
) -> tuple[list[Fact], list[Unreadable]]:
    """Return everything that an archive of these bytes reports."""
    found = pages(data, Archive(path, **options))
    return [f for p in found for f in p.facts], [u for p in found for u in p.unreadable]


def keys(facts: Iterable[Fact]) -> list[str]:
    """Name the messages of facts."""
    return [fact.message.id for fact in facts]


# -- what is reported


def test_a_line_becomes_facts() -> None:
    """Customer and agent, brand, thread, time and key are where the rest of us looks for them."""
    data = lines(talk("17", said(text="Where is it?"), said("agent", 5, "On its way.")))
    customer, agent = Author("17"), Author("agent", "shoes")
    asked = Message("archive", "archive", "17/0", customer, "Where is it?", NOON, "17")
    told = Message(
        "archive", "archive", "17/1", agent, "On its way.", NOON + timedelta(minutes=5), "17"
    )
    asked, told = (attrs.evolve(message, tags=("shoes",)) for message in (asked, told))
    expected = [Inbound(asked, backfill=True), Outbound(told, "17", agent=NATIVE, backfill=True)]
    assert (expected, []) == replayed(data)


def test_a_brand_is_not_needed() -> None:
    """Where no brand is named there is no label, and nothing else is amiss."""
    data = lines({"id": "1", "messages": [said()]}, talk("2", said("agent"), brand=None))
    facts, unreadable = replayed(data + lines(talk("3", said(), brand="")))
    assert [(), (), ()] == [fact.message.tags for fact in facts]
    assert [] == unreadable


def test_an_index_says_where_a_line_begins() -> None:
    """A long conversation may be several lines."""
    data = lines(talk("1", said()), talk("1", said("agent"), said(), index=1))
    assert ["1/0", "1/1", "1/2"] == keys(replayed(data)[0])


def test_what_is_not_understood_is_kept() -> None:
    """Fields that we have no place for stay in `raw`; the common case keeps no copy."""
    line = talk("1", said(likes=3), said("agent"), said(mood="\ud800"), store="Minsk")
    first, second, third = (fact.message.raw for fact in replayed(lines(line))[0])
    one, three = said(likes=3), said(mood="\ud800")
    assert talk("1", one, store="Minsk", index=0) == json.loads(first)
    assert second is None
    assert talk("1", three, index=2) == json.loads(third)


def test_the_channel_name_is_part_of_every_key() -> None:
    """Two archives on one desk are told apart by their names."""
    facts, _ = replayed(lines(talk("1", said())), name="archive:2025")
    assert ("archive:2025", "archive", "1/0") == facts[0].message.key


def test_names_are_in_the_form_that_stores_compare() -> None:
    """An id that was typed in another Unicode form is the same id, for both who talk."""
    typed, composed = "i\u0306", "\u012d"
    asked, told = replayed(lines(talk(typed, said(), said("agent"))))[0]
    assert (composed, composed) == (asked.message.author.id, told.customer)
    assert (composed, composed) == (asked.message.thread, told.message.thread)


@pytest.mark.parametrize(
    "at",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.000Z",
        "2026-01-31 15:00:00+03:00",
        "20260131T120000Z",
        "2026-01-31T17:30:00+05:30",
    ],
)
def test_times_with_an_offset_are_read(at: str) -> None:
    """ISO 8601 is read in every form that names its offset."""
    facts, _ = replayed(lines(talk("1", {**said(), "at": at})))
    assert [NOON] == [fact.message.at for fact in facts]


def test_until_leaves_out_what_came_later() -> None:
    """The cut keeps what was written at that very moment, and nothing after it."""
    data = lines(talk("1", said(), said("agent", 5), said("customer", 5.01), {"at": None}))
    facts, unreadable = replayed(data, until=NOON + timedelta(minutes=5))
    assert ["1/0", "1/1"] == keys(facts)
    assert 1 == len(unreadable), "what has no time can be neither before nor after"


# -- what cannot be read

BAD_MESSAGES = {
    "no time": {"role": "customer", "text": "Hello"},
    "time null": {**said(), "at": None},
    "time empty": {**said(), "at": ""},
    "time naive": {**said(), "at": "2026-01-31T12:00:00"},
    "time garbage": {**said(), "at": "yesterday"},
    "time a number": {**said(), "at": 1769860800},
    "time too early": {**said(), "at": "0001-01-01T00:00:00+14:00"},
    "time the epoch": {**said(), "at": "1970-01-01T00:00:00Z"},
    "time too late": {**said(), "at": "9999-12-31T23:59:59-14:00"},
    "no text": {"role": "customer", "at": "2026-01-31T12:00:00Z"},
    "text a number": {**said(), "text": 5},
    "no role": {"at": "2026-01-31T12:00:00Z", "text": "Hello"},
    "role unknown": {**said(), "role": "bot"},
    "role a list": {**said(), "role": ["customer"]},
    "null": None,
    "a string": "Hello",
    "a list": [said()],
}


@pytest.mark.parametrize("bad", BAD_MESSAGES.values(), ids=BAD_MESSAGES.keys())
def test_one_bad_message_costs_itself_only(bad: object) -> None:
    """Its conversation and the next one are kept; it waits with its conversation and index."""
    facts, unreadable = replayed(lines(talk("1", said(), bad, said("agent", 9)), talk("2", said())))
    assert ["1/0", "1/2", "2/0"] == keys(facts)
    assert [talk("1", bad, index=1)] == [json.loads(item.raw) for item in unreadable]
    assert "message 1 of '1'" in unreadable[0].why


@pytest.mark.parametrize("bad", BAD_MESSAGES.values(), ids=BAD_MESSAGES.keys())
def test_a_quarantined_message_can_be_read_again(bad: object) -> None:
    """As it is it stays unreadable, by the same raw; once mended it is the message it was."""
    archive = Archive("/a.jsonl")
    _, (item,) = replayed(lines(talk("1", said(), bad)))
    assert (item,) == archive.reread(item.raw).unreadable
    mended = json.loads(item.raw) | {"messages": [said("agent", 3)]}
    again = archive.reread(json.dumps(mended).encode())
    assert replayed(lines(talk("1", said(), said("agent", 3))))[0][1:] == list(again.facts)
    assert () == again.unreadable


BAD_LINES = {
    "garbage": b"}{ not JSON",
    "not UTF-8": b'{"id": "\xff"}',
    "NaN": b'{"id": "x", "messages": [NaN]}',
    "a key twice": b'{"id": "x", "id": "y", "messages": []}',
    "too deep": b"[" * 100_000,
    "a list": lines([talk("x", said())]),
    "a string": lines("x"),
    "null": b"null",
    "no id": lines({"messages": [said()]}),
    "id null": lines(talk(None, said())),
    "id empty": lines(talk(" ", said())),
    "id a number": lines(talk(5, said())),
    "id too long": lines(talk("x" * 256, said())),
    "id with NUL": lines(talk("a\x00b", said())),
    "id with half a pair": lines(talk("a\ud800b", said())),
    "brand a number": lines(talk("x", said(), brand=0)),
    "brand a list": lines(talk("x", said(), brand=["shoes"])),
    "index a string": lines(talk("x", said(), index="0")),
    "index true": lines(talk("x", said(), index=True)),
    "index negative": lines(talk("x", said(), index=-1)),
    "index huge": lines(talk("x", said(), index=10**9)),
    "no messages": lines({"id": "x"}),
    "messages a string": lines({"id": "x", "messages": "Hello"}),
    "messages an object": lines({"id": "x", "messages": said()}),
}


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_one_bad_line_costs_itself_only(bad: bytes) -> None:
    """The lines around it are read; it waits exactly as it stood."""
    bad = bad.removesuffix(b"\n")
    data = lines(talk("1", said())) + bad + b"\n" + lines(talk("2", said()))
    facts, unreadable = replayed(data)
    assert ["1/0", "2/0"] == keys(facts)
    assert [bad] == [item.raw for item in unreadable]
    assert tuple(unreadable) == Archive("/a.jsonl").reread(bad).unreadable


def test_empty_lines_say_nothing() -> None:
    """Blank lines, either line end, a byte order mark and a missing last line end are no faults."""
    one, two = lines(talk("1", said())), lines(talk("2", said()))
    data = b"\xef\xbb\xbf" + one.replace(b"\n", b"\r\n") + b"\n \r\n" + two.removesuffix(b"\n")
    facts, unreadable = replayed(data)
    assert ["1/0", "2/0"] == keys(facts)
    assert [] == unreadable


def test_an_empty_file_is_an_empty_archive() -> None:
    """Nothing is there, and that is all there is to say."""
    assert ([], []) == replayed(b"")


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([said(), talk("1", said())]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "brand", "index", "messages", "at", "x"]), inner),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode()), st.sampled_from(["/a.csv", "/a.jsonl"]))  # fmt: skip
def test_no_bytes_break_it(data: bytes, path: str) -> None:
    """Whatever one item is, it is read or quarantined; nothing else is ever raised."""
    known = lines(talk("known", said()))
    data = data.replace(b"\n", b" ") + b"\n"
    known = lines(talk("known", said()))
    if path == "/a.csv":
        data = rows() + data
        known = rows(["known", "", 0, *said().values()]).split(b"\r\n")[1]
    facts, unreadable = replayed(data + known, path)
    assert "known/0" == keys(facts)[-1]
    for item in unreadable:
        assert 1 >= len(Archive(path).reread(item.raw).unreadable)


# -- chunks and cursors

MIXED = lines(
    talk("1", said(), said("agent", 1, "Прывітанне")),
    "garbage",
    talk("2", said(text="سلام\u200cها" * 9), {"role": "customer"}),
    talk("3", said(text="\U0001f622" * 30)),
)
MIXED_ROWS = rows(
    ["1", "shoes", 0, "customer", NOON.isoformat(), 'She said "no",\r\ntwice\n'],
    ["1", "shoes", 1, "agent", NOON.isoformat(), "नमस्ते"],
    ["1", "shoes", "one", "agent", NOON.isoformat(), "No index"],
    ["1", "shoes", 3],
    ["2", "", 0, "customer", "", "No time"],
    ["2", "", 1, "customer", NOON.isoformat(), ""],
)


@pytest.mark.parametrize(
    ("data", "path"), [(MIXED, "/a.jsonl"), (MIXED_ROWS, "/a.csv")], ids=["lines", "rows"]
)
def test_where_chunks_end_changes_nothing(data: bytes, path: str) -> None:
    """Every size of chunk gives the same facts and the same items, also when each page is one
    process and only the cursor passes between them.
    """
    whole = replayed(data, path)
    assert 2 < len(whole[0])
    assert 1 < len(whole[1])
    for chunk in range(1, len(data) + 2):
        assert whole == replayed(data, path, chunk=chunk)


def test_the_first_request_asks_for_one_chunk() -> None:
    """The flow speaks HTTP: it can be driven by hand, with no client at all."""
    data = lines(talk("1", said()))
    flow = Archive("/srv/a b.jsonl", chunk=len(data)).poll(None)
    request = next(flow)
    assert ("GET", "file:///srv/a%20b.jsonl") == (request.method, request.url)
    assert f"bytes=0-{len(data) - 1}" == request.headers.get("range")
    with pytest.raises(StopIteration) as done:
        flow.send(Response(206, {"Content-Range": f"bytes 0-{len(data) - 1}/999"}, data))
    page = done.value.value
    assert (["1/0"], True) == (keys(page.facts), page.more)
    assert len(data) == Archive("/srv/a b.jsonl").position(page.cursor)


def test_at_the_end_there_is_nothing_more() -> None:
    """Asked again after the end, a replay finds nothing and keeps its place."""
    (page,) = pages(MIXED, Archive("/a.jsonl"))
    assert [Page((), page.cursor)] == pages(MIXED, Archive("/a.jsonl"), page.cursor)


def test_what_is_appended_is_read_next() -> None:
    """A file that grew goes on where it ended."""
    (page,) = pages(MIXED, Archive("/a.jsonl"))
    (grown,) = pages(MIXED + lines(talk("4", said())), Archive("/a.jsonl"), page.cursor)
    assert ["4/0"] == keys(grown.facts)


def test_a_last_line_that_was_not_finished_is_read_when_it_is() -> None:
    """Read while it was being written, a line is quarantined; once whole, it is read."""
    half, rest = MIXED[:-40], MIXED[-40:]
    before = pages(half, Archive("/a.jsonl"))[-1]
    after = pages(half + rest, Archive("/a.jsonl"), before.cursor)
    assert "3/0" not in keys(before.facts)
    assert "3/0" in [key for page in after for key in keys(page.facts)]


@pytest.mark.parametrize("kept", [0, 50], ids=["shorter", "other"])
def test_another_file_in_its_place_is_read_from_the_start(kept: int) -> None:
    """Exported anew, nothing of it is passed over: what is known already is only a duplicate."""
    (page,) = pages(MIXED, Archive("/a.jsonl"))
    other = lines(*(talk(f"n{number}", said()) for number in range(kept or 1)))
    found = pages(other, Archive("/a.jsonl"), page.cursor)
    assert "n0/0" == keys(found[0].facts)[0]


def test_a_cursor_of_another_archive_or_cut_begins_anew() -> None:
    """What an earlier `until` left out is added, not passed over; so is another file."""
    archive = Archive("/a.jsonl", until=NOON)
    cut = pages(MIXED, archive)[-1]
    assert ["1/0"] == keys(cut.facts)[:1]
    assert "1/1" not in keys(cut.facts)
    assert "1/1" in keys(pages(MIXED, Archive("/a.jsonl"), cut.cursor)[0].facts)
    assert 0 == Archive("/b.jsonl", until=NOON).position(cut.cursor)
    assert len(MIXED) == archive.position(cut.cursor)


@pytest.mark.parametrize("cursor", [None, "", ":", "12", "x:y", "12:zz", "-1:", "١٢:", "9" * 5000])
def test_a_cursor_that_is_not_ours_begins_anew(cursor: str | None) -> None:
    """Whatever stands in the store, a replay can begin."""
    assert 0 == Archive("/a.jsonl").position(cursor)


def test_a_mark_without_a_number_begins_anew() -> None:
    """Only a plain number is a place."""
    archive = Archive("/a.jsonl")
    mark = pages(MIXED, archive)[-1].cursor.partition(":")[2]
    assert [0, 0, 0] == [archive.position(f"{n}:{mark}") for n in ("-1", "", "9" * 5000)]


# -- too long

LONG = "x" * (MAX_BODY + 5)


@pytest.mark.parametrize("size", [3, MAX_BODY - 200, MAX_BODY, 3 * MAX_BODY + 7])
@pytest.mark.parametrize("after", [b"", lines(talk("2", said()))], ids=["last", "amid"])
def test_a_line_that_is_too_long_is_skipped(size: int, after: bytes) -> None:
    """Up to the limit a line is read whatever the chunk; over it, its beginning is kept, and
    the lines beside it are read.
    """
    long = lines(talk("long", said(text="x" * size)))
    facts, unreadable = replayed(lines(talk("1", said())) + long + after, chunk=1000)
    ok = len(long) <= MAX_BODY
    assert ["1/0", *["long/0"] * ok, *["2/0"] * bool(after)] == keys(facts)
    assert [long[:MAX_BODY]] * (not ok) == [item.raw for item in unreadable]
    assert all("longer than 1048576 bytes" in item.why for item in unreadable)


def test_a_long_line_without_an_end_is_skipped_to_the_end() -> None:
    """A file that is one line of anything ends, with one item in quarantine."""
    facts, unreadable = replayed(b"x" * (MAX_BODY + 1))
    assert ([], 1) == (facts, len(unreadable))
    assert ([], 1) == (facts, len(replayed(b"x" * (2 * MAX_BODY), chunk=MAX_BODY)[1]))


def test_a_row_that_is_too_long_costs_itself_only() -> None:
    """Longer than the limit on one line, or over several: its neighbours are read."""
    first, last = ["1", "", 0, *said().values()], ["3", "", 0, *said().values()]
    for text in (LONG, f"{LONG[:MAX_BODY]}\nmore", f"less\n{LONG}\nmore"):
        data = rows(first, ["2", "", 0, *said(text=text).values()], last)
        facts, unreadable = replayed(data, "/a.csv")
        assert ["1/0", "3/0"] == keys(facts)
        assert 1 <= len(unreadable) <= 3


# -- CSV


@given(st.lists(st.text(st.sampled_from('a",\r\n ж') | st.characters(codec="utf-8")), max_size=5))
def test_rows_and_lines_say_the_same(texts: list[str]) -> None:
    """The two formats are two spellings of one archive."""
    messages = [said(text=text) for text in texts]
    data = rows(*(["1", "shoes", n, *m.values()] for n, m in enumerate(messages)))
    assert replayed(lines(talk("1", *messages))) == replayed(data, "/export.CSV")


def test_columns_come_in_any_order_and_others_are_kept() -> None:
    """The first row says what is where; a column that we do not know stays in `raw`."""
    columns = ["Text", " at", "ROLE", "likes", "index", "conversation"]
    data = b"\xef\xbb\xbf" + rows(
        ["Hi", "2026-01-31T12:00Z", "customer", 3, 7, "1"], columns=columns
    )
    ((fact,), unreadable) = replayed(data, "/a.csv")
    assert ("1/7", "Hi", NOON, ()) == (
        fact.message.id, fact.message.text, fact.message.at, fact.message.tags
    )  # fmt: skip
    assert "3" == json.loads(fact.message.raw)["messages"][0]["likes"]
    assert [] == unreadable


BAD_ROWS = {
    "no time": (["1", "", 1, "customer", "", "Hello"], "at is ''"),
    "no role": (["1", "", 1, "", NOON.isoformat(), "Hello"], "role is ''"),
    "no index": (["1", "", "", "customer", NOON.isoformat(), "Hello"], "index of '1'"),
    "index a word": (["1", "", "²", "customer", NOON.isoformat(), "Hello"], "index of '1'"),
    "index endless": (["1", "", "1" * 5000, "customer", NOON.isoformat(), "Hi"], "index of '1'"),
    "no conversation": (["", "", 1, "customer", NOON.isoformat(), "Hello"], "id is ''"),
}


@pytest.mark.parametrize(("bad", "why"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_a_bad_row_waits_as_the_line_that_it_would_be(bad: list[object], why: str) -> None:
    """A row in quarantine carries the names of its columns, so that it can be mended."""
    good = ["1", "", 0, *said().values()]
    ((fact,), (item,)) = replayed(rows(good, bad), "/a.csv")
    assert ("1/0", True) == (fact.message.id, why in item.why)
    kept = json.loads(item.raw)
    assert {"role": bad[3], "at": bad[4], "text": bad[5]} == kept["messages"][0]
    mended = {**kept, "id": "1", "index": 1, "messages": [said()]}
    (again,) = Archive("/a.csv").reread(json.dumps(mended).encode()).facts
    assert "1/1" == again.message.id


@pytest.mark.parametrize("bad", [b"1,,1", b'1,,1,customer,"x"y,z', b"\xff,,,,,", b"a,b,c,d,e,f,g"])
def test_a_row_that_is_none_waits_as_it_stood(bad: bytes) -> None:
    """What cannot be laid under the columns is kept as it came."""
    good = rows(["1", "", 0, *said().values()])
    facts, (item,) = replayed(good + bad + b"\r\n" + good.split(b"\r\n")[1], "/a.csv")
    assert ["1/0", "1/0"] == keys(facts)
    assert bad == item.raw


@pytest.mark.parametrize(
    "header",
    [b"", b"\r\n", b"conversation;index;role;at;text", b"conversation,index,role,at", b'"',
     b"conversation,index,role,at,text,text", b"conversation,index,role,at,text,x,X", b"x" * 70_000],
    ids=["empty", "blank", "semicolons", "one missing", "quote", "one twice", "other twice", "long"],
)  # fmt: skip
def test_without_its_columns_a_csv_is_refused(header: bytes) -> None:
    """Nothing can be read without knowing what is where: the error names what is needed."""
    with pytest.raises(PayloadError, match=r"first row of .* quote|needs a first row"):
        replayed(header + b"\n1,0,customer,2026-01-31T12:00Z,Hi\n" if header else b"", "/a.csv")


def test_a_csv_of_its_header_alone_is_an_empty_archive() -> None:
    """A header is no message, with or without a line end."""
    assert ([], []) == replayed(rows(), "/a.csv")
    assert ([], []) == replayed(rows().rstrip(), "/a.csv")


# -- what answers


def answered(*responses: Response, path: str = "/a.jsonl") -> Page:
    """Run one poll against prepared answers."""
    prepared = iter(responses)
    return run(Archive(path).poll(None), lambda request: next(prepared))


def test_a_server_that_knows_no_ranges_is_read_too() -> None:
    """The whole file in place of a range is taken for what it is."""
    page = answered(Response(200, body=MIXED))
    assert (["1/0", "1/1", "2/0", "3/0"], False) == (keys(page.facts), page.more)


def test_past_the_end_without_a_length_is_the_end() -> None:
    """A server may leave out how long the file is when nothing is left of it."""
    assert Page((), pages(b"", Archive("/a.jsonl"))[0].cursor) == answered(Response(416))


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (Response(404), r"no archive at file:///a\.jsonl: check the path"),
        (Response(403), "could not be read: status 403"),
        (Response(500), "status 500"),
        (Response(206, {}, b"x"), "answered with something else"),
        (Response(206, {"Content-Range": "bytes 5-5/9"}, b"x"), "asked for bytes=0-262143"),
        (Response(206, {"Content-Range": "bytes 0-0/*"}, b"x"), "something else"),
        (Response(206, {"Content-Range": "bytes 0-8/9"}, b""), "something else"),
    ],
)
def test_what_is_no_answer_is_an_error_that_says_so(response: Response, message: str) -> None:
    """Nothing is passed over because a server answered strangely."""
    with pytest.raises(PayloadError, match=message):
        answered(response)


# -- the channel


def test_a_path_becomes_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is made absolute once, here; a URL stays as it is."""
    monkeypatch.chdir(tmp_path)
    assert (tmp_path / "a.jsonl").as_uri() == Archive("a.jsonl").url
    assert (tmp_path / "ж.csv").as_uri() == Archive(tmp_path / "ж.csv").url
    assert "https://example.com/a.csv?x=1" == Archive("https://example.com/a.csv?x=1").url


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path_or_url": ""}, "no path"),
        ({"path_or_url": "a\x00b"}, "no path"),
        ({"path_or_url": "ftp://example.com/a"}, "ftp://example.com/a"),
        ({"path_or_url": "a", "name": ""}, "name is ''"),
        ({"path_or_url": "a", "until": datetime(2026, 1, 1)}, "until"),  # noqa: DTZ001  # the point
        ({"path_or_url": "a", "chunk": 0}, "chunk is 0"),
        ({"path_or_url": "a", "chunk": MAX_BODY + 1}, "between 1 and 1048576"),
    ],
)
def test_what_cannot_be_accepted_is_named(arguments: dict[str, Any], message: str) -> None:
    """A wrong argument fails at once, with its name."""
    with pytest.raises(InvalidValue, match=re.escape(message)):
        Archive(**arguments)


def test_a_signed_url_prints_no_secret() -> None:
    """What may sign a URL stands neither in the representation nor in an error."""
    archive = Archive("https://user:pass@example.com/a.jsonl?signature=s3cret")
    with pytest.raises(PayloadError) as raised:
        run(archive.poll(None), lambda request: Response(404))
    for shown in (repr(archive), str(raised.value)):
        assert "https://example.com/a.jsonl" in shown
        assert not re.search("s3cret|pass|user", shown)


def test_history_cannot_be_answered() -> None:
    """Sending is refused in words, not dropped."""
    message = Outgoing(
        "r1", "m", "Sorry", Author("1"), "1", None, Visibility.public, AgentKind.person, NOON
    )
    with pytest.raises(Unsupported, match=r"r1.*history cannot be answered"):
        Archive("/a.jsonl").send(message)


def test_it_is_a_polled_channel_without_state() -> None:
    """It promises what it can do, and state changes nothing."""
    archive = Archive("/a.jsonl")
    assert isinstance(archive, Polls)
    assert ("archive", ("poll",)) == (archive.traits.network, archive.traits.inbound)
    assert archive is archive.using(ChannelState("archive", cursor="5"))
    assert hash(archive) == hash(Archive("/a.jsonl"))


# -- a real archive


@pytest.mark.skipif(not REAL.exists(), reason=f"the shared archive is not at {REAL}")
def test_the_real_archive_is_read_whole() -> None:
    """Every message of the shared archive is a fact, or waits for its time, as counted by hand."""
    raw = REAL.read_bytes()
    expected = {
        (f"{line['id']}/{n}", m["role"], m["text"], line["brand"], m["at"] and m["at"][:19])
        for line in map(json.loads, raw.splitlines())
        for n, m in enumerate(line["messages"])
    }
    facts, unreadable = replayed(raw)
    found = {
        (
            m.id,
            "customer" if isinstance(fact, Inbound) else "agent",
            m.text,
            m.tags[0],
            m.at.isoformat()[:19],
        )
        for fact in facts
        for m in [fact.message]
    }
    timeless = {
        (f"{line['id']}/{line['index']}", m["role"], m["text"], line["brand"], None)
        for line in (json.loads(item.raw) for item in unreadable)
        for m in line["messages"]
    }
    assert (2311, 39) == (len(facts), len(unreadable))
    assert expected == found | timeless
