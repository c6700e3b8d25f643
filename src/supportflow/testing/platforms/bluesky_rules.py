"""What a local Bluesky accepts as a record, in the words of the real server.

Written from the lexicons, https://github.com/bluesky-social/atproto/tree/main/lexicons, and from
https://atproto.com/specs/record-key, /specs/tid, /specs/at-uri-scheme and /specs/lexicon; the
words are those of a real server of September 2026.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from supportflow.testing.platforms.mastodon_text import graphemes

POST = "app.bsky.feed.post"
TID_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"

TID = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
DID = re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")
HANDLE = re.compile(
    r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE
)
CID = re.compile(r"b[a-z2-7]{58,}")
AT_URI = re.compile(rf"at://({DID.pattern})/([a-zA-Z0-9.-]+)/([a-zA-Z0-9._:~-]{{1,512}})")
URI = re.compile(r"[a-z][a-z0-9+.-]*:[^\s]+", re.IGNORECASE)
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{1,8})*|i-[a-z]+", re.IGNORECASE)
DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Invalid(Exception):
    """Say what is wrong with a record."""


def tid_of(at: datetime, clock: int = 0) -> str:
    """Return the TID of a time.

    Example:
        >>> from datetime import UTC
        >>> tid_of(datetime(2023, 6, 30, 15, 35, 33, 210000, UTC), 24)
        '3jzfecon5wk2s'
    """
    number = int(at.timestamp() * 1_000_000) << 10 | clock
    return "".join(TID_DIGITS[number >> shift & 31] for shift in range(60, -1, -5))


def cid_of(value: object) -> str:
    """Return a content id: version 1, DAG-CBOR by its label, SHA-256 of our JSON."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
    name = base64.b32encode(b"\x01\x71\x12\x20" + digest).decode().lower().rstrip("=")
    return f"b{name}"


def check_key(collection: str, rkey: str) -> None:
    """Refuse a record key that the collection does not take.

    Raises:
        Invalid: if it is no TID.
    """
    if collection == POST and not TID.fullmatch(rkey):
        raise Invalid(
            f'Invalid record key for {collection}: Invalid TID string (got "{rkey}") at $'
        )


def check_post(record: object) -> None:
    """Refuse a post that the lexicon does not allow; fields that it does not know may be there.

    Raises:
        Invalid: if something is missing or wrong.
    """
    try:
        _post(_object(record, "$.record"))
    except Invalid as wrong:
        raise Invalid(f"Invalid {POST} record: {wrong}") from None


def _post(record: Mapping[str, object]) -> None:
    for name in ("text", "createdAt"):
        if name not in record:
            raise Invalid(f'Missing required key "{name}" at $.record')
    _sized(record["text"], "$.record.text", 3_000, 300)
    _formed(DATETIME, "datetime", record["createdAt"], "$.record.createdAt")
    languages = _list(record.get("langs", []), "$.record.langs", 3)
    for index, language in enumerate(languages):
        _formed(LANGUAGE, "language", language, f"$.record.langs[{index}]")
    for index, facet in enumerate(_list(record.get("facets", []), "$.record.facets")):
        _facet(_object(facet, f"$.record.facets[{index}]"), f"$.record.facets[{index}]")
    if "reply" in record:
        reply = _object(record["reply"], "$.record.reply")
        for name in ("root", "parent"):
            _strong_ref(reply.get(name), f"$.record.reply.{name}")
    if "embed" in record:
        _embed(_object(record["embed"], "$.record.embed"))


def _facet(facet: Mapping[str, object], at: str) -> None:
    index = _object(facet.get("index"), f"{at}.index")
    for name in ("byteStart", "byteEnd"):
        if type(index.get(name)) is not int:
            raise Invalid(f"Expected integer value type at {at}.index.{name}")
    for number, feature in enumerate(_list(facet.get("features"), f"{at}.features")):
        _feature(_object(feature, f"{at}.features[{number}]"), f"{at}.features[{number}]")


def _feature(feature: Mapping[str, object], at: str) -> None:
    kind = str(feature.get("$type", "")).rpartition("#")[2]
    if kind == "mention":
        _formed(DID, "DID", feature.get("did"), f"{at}.did")
    elif kind == "link":
        _formed(URI, "URI", feature.get("uri"), f"{at}.uri")
    elif kind == "tag":
        _sized(feature.get("tag"), f"{at}.tag", 640, 64)
    elif not kind:
        raise Invalid(f'Missing required key "$type" at {at}')


def _embed(embed: Mapping[str, object]) -> None:
    if embed.get("$type") == "app.bsky.embed.external":
        told = _object(embed.get("external"), "$.record.embed.external")
        for name in ("uri", "title", "description"):
            if not isinstance(told.get(name), str):
                raise Invalid(f'Missing required key "{name}" at $.record.embed.external')
        _formed(URI, "URI", told["uri"], "$.record.embed.external.uri")
    elif "$type" not in embed:
        raise Invalid('Missing required key "$type" at $.record.embed')


def _strong_ref(value: object, at: str) -> None:
    found = _object(value, at)
    _formed(AT_URI, "at-uri", found.get("uri"), f"{at}.uri")
    _formed(CID, "CID", found.get("cid"), f"{at}.cid")


def check_words(message: object) -> Mapping[str, object]:
    """Refuse a direct message that the lexicon does not allow: 1,000 graphemes, 10,000 bytes.

    Raises:
        Invalid: if something is missing or wrong.
    """
    said = _object(message, "$.message")
    _sized(said.get("text"), "$.message.text", 10_000, 1_000)
    for index, facet in enumerate(_list(said.get("facets", []), "$.message.facets")):
        _facet(_object(facet, f"$.message.facets[{index}]"), f"$.message.facets[{index}]")
    return said


def _object(value: object, at: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Invalid(f"Expected object value type at {at}")
    return MappingProxyType(value)


def _list(value: object, at: str, most: int = 1_000) -> list[object]:
    if not isinstance(value, list):
        raise Invalid(f"Expected array value type at {at}")
    if len(value) > most:
        raise Invalid(f"array too big (maximum {most}, got {len(value)}) at {at}")
    return value


def _sized(value: object, at: str, most_bytes: int, most: int) -> None:
    if not isinstance(value, str):
        raise Invalid(f"Expected string value type at {at}")
    for word, limit, count in (
        ("string", most_bytes, _bytes),
        ("grapheme", most, graphemes),
    ):
        _limited(word, limit, count, value, at)


def _limited(word: str, most: int, count: Callable[[str], int], value: str, at: str) -> None:
    if count(value) > most:
        raise Invalid(f"{word} too big (maximum {most}, got {count(value)}) at {at}")


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _formed(pattern: re.Pattern[str], name: str, value: object, at: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Invalid(f'Invalid {name} (got "{value}") at {at}')
