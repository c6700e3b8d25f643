"""Replay an exported archive of conversations as facts: history judged without any account.

JSON lines, one conversation a line: `{"id": "17", "brand": "shoes", "messages": [{"role":
"customer", "at": "2026-01-31T12:00:00Z", "text": "…"}]}`. A role is `customer` or `agent`;
`brand` may be missing; with `"index": 4` a line says at which place of the conversation its
messages begin. Or CSV (RFC 4180, UTF-8) with the columns `conversation,brand,index,role,at,text`,
one message a row. (Over 300 lines, because a network is one file.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import attrs

from supportflow.channels import Delivery, Page, Reconcile, Traits, Unreadable
from supportflow.channels.setup import Need, Setup
from supportflow.errors import InvalidValue, PayloadError, Unsupported
from supportflow.flow import Flow
from supportflow.http import MAX_BODY, Request, read_json
from supportflow.model import (
    Author,
    ChannelState,
    Inbound,
    Message,
    Outbound,
    Outgoing,
    Receipt,
    aware,
)
from supportflow.model.quick import maker
from supportflow.text import storable
from supportflow.text.records import cells, cut

__all__ = ["Archive"]

_LONGEST_HEADER = 65_536
_LONGEST_NAME = 255
# Databases put 1970-01-01, 0001-01-01 or 9999-12-31 where they know no time.
_FIRST, _LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

_BOM = b"\xef\xbb\xbf"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# https://www.rfc-editor.org/rfc/rfc9110#section-14.4
_SPAN = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18})")
_KNOWN = frozenset({"id", "brand", "index", "messages"})
_COLUMNS = ("conversation", "index", "role", "at", "text")

_TRAITS = Traits(
    "archive",
    max_text=MAX_BODY,  # nothing is sent, so that the refusal is `Unsupported`, not a length
    reconcile=Reconcile.blind,
    unsupported={"send": "history cannot be answered; answer on the network that it came from"},
)


def _without_query(url: str) -> str:
    """Leave out what may sign a URL, and with it be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _url(value: str | PathLike[str]) -> str:
    text = str(value)
    if not text or "\x00" in text:
        raise InvalidValue(f"{text!r} is no path to an archive")
    if "://" not in text:
        return Path(text).absolute().as_uri()
    if urlsplit(text).scheme not in ("file", "http", "https"):
        raise InvalidValue(f"{_without_query(text)!r} is no path and no file, http or https URL")
    return text


def _name(_: object, __: object, value: str) -> None:
    _word(value, "name")


def _until(value: datetime | None) -> datetime | None:
    return None if value is None else aware(value, "until")


def _chunk(_: object, __: object, value: int) -> None:
    if not 0 < value <= MAX_BODY:
        raise InvalidValue(f"chunk is {value!r} bytes; it must lie between 1 and {MAX_BODY}")


def _word(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidValue(f"{what} is {value!r:.60}; it must be a string that is not empty")
    clean = storable(value)
    if len(value) > _LONGEST_NAME or (clean is not value and _UNSTORABLE.search(value)):
        why = f"is over {_LONGEST_NAME} characters, or has NUL or half a surrogate pair in it"
        raise InvalidValue(f"{what} {value!r:.60} {why}")
    return clean


def _at(value: Any) -> datetime:
    try:
        at = aware(datetime.fromisoformat(value), "at")
        if _FIRST <= at < _LAST:
            return at
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidValue(
        f"at is {value!r:.60}; it must be an ISO 8601 time with its offset, from {_FIRST.year} "
        f"to {_LAST.year - 1}, such as 2026-01-31T12:00:00Z"
    )


def _json(value: Any) -> bytes:
    """Write JSON as short as it came; half a surrogate pair becomes the escape that it was."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


#: `_Line` proves what the class would check again.
_message, _inbound, _outbound = maker(Message), maker(Inbound), maker(Outbound)


@attrs.define(eq=False)
class _Line:
    """Hold what the messages of one line have in common, and read them."""

    id: str
    brand: str
    index: int
    messages: list[Any]
    extra: Mapping[str, Any]
    tags: tuple[str, ...]

    @classmethod
    def read(cls, line: Any) -> Self:
        if not isinstance(line, dict):
            raise InvalidValue(f"the line is {line!r:.60}; it must be an object with id, messages")
        name = _word(line.get("id"), "id")
        brand = _word(line["brand"], "brand") if line.get("brand") not in (None, "") else ""
        index, messages = line.get("index", 0), line.get("messages")
        if index.__class__ is not int or not 0 <= index < 10**9:
            raise InvalidValue(f"index of {name!r} is {index!r:.60}; it must be a whole number")
        if not isinstance(messages, list):
            raise InvalidValue(f"messages of {name!r} is {messages!r:.60}; it must be a list")
        extra = {} if line.keys() <= _KNOWN else {key: line[key] for key in line.keys() - _KNOWN}
        return cls(name, brand, index, messages, extra, (brand,) if brand else ())

    def alone(self, index: int, item: Any) -> bytes:
        """Write one message as a line of its own; what is said of all goes with the first."""
        extra = self.extra if index == self.index else {}
        known = {"id": self.id, "brand": self.brand, "index": index, "messages": [item]}
        return _json({**extra, **known})

    def fact(self, channel: str, index: int, item: Any) -> Inbound | Outbound:
        if not isinstance(item, dict):
            raise InvalidValue(f"it is {item!r:.60}; it must be an object with role, at and text")
        role, text = item.get("role"), item.get("text")
        if role not in ("customer", "agent"):
            raise InvalidValue(f"role is {role!r:.60}; it must be customer or agent")
        if not isinstance(text, str):
            raise InvalidValue(f"text is {text!r:.60}; it must be a string")
        more = len(item) > 3 or (self.extra and index == self.index)
        # All agents of a brand are one author: an archive does not tell them apart.
        author = Author(self.id) if role == "customer" else Author("agent", self.brand)
        message = _message(
            channel,
            "archive",
            f"{self.id}/{index}",
            author,
            text,
            _at(item.get("at")),
            self.id,
            tags=self.tags,
            raw=self.alone(index, item).decode() if more else None,
        )
        if role == "customer":
            return _inbound(message, True)
        return _outbound(message, self.id, backfill=True)


def _row(record: bytes, columns: tuple[str, ...]) -> dict[str, Any]:
    """Write a row of CSV as the line of JSON that it would be."""
    found = cells(record)
    if len(found) != len(columns):
        raise PayloadError(f"the row has {len(found)} cells under {len(columns)} columns")
    row = dict(zip(columns, found, strict=True))
    index = row.pop("index")
    plain = index.isascii() and index.isdigit() and len(index) < 10
    name, brand = row.pop("conversation"), row.pop("brand", "")
    return {"id": name, "brand": brand, "index": int(index) if plain else index, "messages": [row]}


@attrs.frozen
class Archive:
    """Replay a finished export. Everything in it is backfill: judged, never announced.

    A message is known by (conversation, index), so that a second replay adds nothing. What
    cannot be read goes into quarantine alone: its conversation and its neighbours are kept.

    Args:
        path_or_url: A file, as a path or as a file, http or https URL (a server must know
            ranges); `.csv` is CSV, everything else JSON lines.
        name: The channel's name. Archives that name conversations alike need different ones.
        until: Leave out messages after this time (aware). Judged with
            `verdicts(conversation, policy, now=until)`, what was unanswered then and past
            its due time is a breach.
        chunk: How much is asked for at a time, in bytes: one chunk is one page. It grows for a
            record that is longer, up to 1 MiB; what is longer still goes into quarantine.

    Raises:
        InvalidValue: If one of them cannot be accepted.

    Example:
        >>> request = next(Archive("/srv/2026.jsonl", chunk=100).poll(None))
        >>> request.url, request.headers.get("Range")
        ('file:///srv/2026.jsonl', 'bytes=0-99')
    """

    setup: ClassVar[Setup] = Setup(
        "A finished export as JSON lines or CSV: judged, never announced, answered by nobody.",
        (Need("path_or_url", "the file, or its address"),),
        ("Export the conversations, one message a line or one conversation a line.",),
    )

    url: str = attrs.field(alias="path_or_url", converter=_url, repr=_without_query)
    name: str = attrs.field(default="archive", validator=_name, kw_only=True)
    until: datetime | None = attrs.field(default=None, converter=_until, kw_only=True)
    chunk: int = attrs.field(default=262_144, validator=_chunk, kw_only=True)

    @property
    def traits(self) -> Traits:
        """Return what an archive can do: be read."""
        return _TRAITS

    def using(self, state: ChannelState) -> Self:  # noqa: ARG002  # there is no state to use
        """Return this channel: an archive has neither credentials nor limits."""
        return self

    def send(self, message: Outgoing) -> Flow[Receipt]:
        """Refuse to send.

        Raises:
            Unsupported: Always.
        """
        raise Unsupported(f"reply {message.id!r} on {self.name!r}: {_TRAITS.unsupported['send']}")

    def position(self, cursor: str | None) -> int:
        """Return how many bytes lie behind a cursor; 0 if another file or `until` made it.

        Args:
            cursor: A page's cursor, or None.
        """
        offset, _, mark = (cursor or "").partition(":")
        valid = mark == self._mark() and offset.isascii() and offset.isdigit() and len(offset) < 19
        return int(offset) if valid else 0

    def poll(self, cursor: str | None) -> Flow[Page]:
        """Read the records of the next chunk.

        Args:
            cursor: Where the previous page ended; None to begin.

        Raises:
            PayloadError: If the file is missing, is not served in ranges, or is CSV without
                the columns that it needs.
        """
        csv = urlsplit(self.url).path.lower().endswith(".csv")
        columns, first = (yield from self._columns()) if csv else ((), 0)
        start, size = max(self.position(cursor), first), self.chunk
        if start > first and not (yield from self._goes_on(start)):
            start = first
        while True:
            data, total = yield from self._read(start, size)
            ends = start + len(data) >= total
            records, used = cut(data, csv=csv, ends=ends, full=size == MAX_BODY)
            if used or ends:
                return self._page(records, columns, start + used, total)
            if size == MAX_BODY:
                return (yield from self._skip(data, start))
            size = min(2 * size, MAX_BODY)

    def reread(self, raw: bytes) -> Delivery:
        """Read a quarantined item again: a line, or a message as a line of its own.

        Args:
            raw: The item as it was put into quarantine, or mended since.
        """
        return self._take((raw,), ())

    def _mark(self) -> str:
        """Say what an offset is valid for: with another file or cut, reading begins anew."""
        return blake2b(f"{self.url} {self.until}".encode(), digest_size=4).hexdigest()

    def _cursor(self, offset: int) -> str:
        return f"{offset}:{self._mark()}"

    def _read(self, start: int, size: int) -> Flow[tuple[bytes, int]]:
        """Return bytes from a place on, none past the end, and how long the file is."""
        span = f"bytes={start}-{start + size - 1}"
        response = yield Request("GET", self.url, headers={"Range": span})
        status, body, where = response.status, response.body, _without_query(self.url)
        if status == 200:
            return body[start : start + size], len(body)
        found = _SPAN.fullmatch(response.headers.get("Content-Range") or "")
        if status == 416:
            return b"", int(found[2]) if found else start
        if status == 404:
            raise PayloadError(f"there is no archive at {where}: check the path", status=404)
        if status != 206:
            raise PayloadError(f"the archive at {where} could not be read: status {status}")
        if not found or found[1] != str(start) or not body:
            raise PayloadError(f"{where} was asked for {span} and answered with something else")
        return body[:size], int(found[2])

    def _goes_on(self, start: int) -> Flow[bool]:
        """Return whether a record still begins there; otherwise the file was exported anew."""
        before, total = yield from self._read(start - 1, 1)
        return before == b"\n" or start == total

    def _columns(self) -> Flow[tuple[tuple[str, ...], int]]:
        """Return the columns of the CSV, and where its first row begins."""
        data, total = yield from self._read(0, _LONGEST_HEADER)
        records, _ = cut(data, csv=True, ends=len(data) >= total, full=True)
        where = _without_query(self.url)
        try:
            header = cells(records[0].removeprefix(_BOM)) if records else []
        except PayloadError as error:
            raise PayloadError(f"the first row of {where} cannot be read: {error}") from None
        columns = tuple(cell.strip().casefold() for cell in header)
        if any(columns.count(column) != 1 for column in {*_COLUMNS, *columns}):
            raise PayloadError(
                f"{where} needs a first row that names each of {', '.join(_COLUMNS)} once (also "
                f"brand, and others), separated by commas; it names {', '.join(columns)!r:.200}"
            )
        return columns, min(len(records[0]), len(data))

    def _skip(self, data: bytes, start: int) -> Flow[Page]:
        """Put the beginning of what is too long into quarantine and go on after its line."""
        end = start + len(data)
        while True:
            rest, total = yield from self._read(end, MAX_BODY)
            found = rest.find(b"\n") + 1
            end += found or len(rest)
            if found or end >= total:
                break
        why = (
            f"the record at byte {start} is longer than {MAX_BODY} bytes, and only its beginning "
            "is here; export it as several lines, each with its index"
        )
        return Page((), self._cursor(end), (Unreadable(data, why),), end < total)

    def _page(self, records: list[bytes], columns: tuple[str, ...], end: int, total: int) -> Page:
        taken = self._take(records, columns)
        return Page(taken.facts, self._cursor(end), taken.unreadable, end < total)

    def _take(self, records: Iterable[bytes], columns: tuple[str, ...]) -> Delivery:
        """Read records; a message that cannot be read leaves the others as they are."""
        facts: list[Inbound | Outbound] = []
        unreadable: list[Unreadable] = []
        for record in records:
            raw = record.removeprefix(_BOM).strip(b"\r\n")
            if raw.strip():
                self._read_record(raw, columns, facts, unreadable)
        return Delivery(tuple(facts), tuple(unreadable))

    def _read_record(
        self,
        raw: bytes,
        columns: tuple[str, ...],
        facts: list[Inbound | Outbound],
        unreadable: list[Unreadable],
    ) -> None:
        found = None
        try:
            found = _row(raw, columns) if columns else read_json(raw)
            line = _Line.read(found)
        except (InvalidValue, PayloadError) as error:
            kept = _json(found) if columns and found else raw
            unreadable.append(Unreadable(kept, str(error)))
            return
        for index, item in enumerate(line.messages, line.index):
            try:
                fact = line.fact(self.name, index, item)
            except InvalidValue as error:
                why = f"message {index} of {line.id!r}: {error}"
                unreadable.append(Unreadable(line.alone(index, item), why))
                continue
            if self.until is None or fact.message.at <= self.until:
                facts.append(fact)
