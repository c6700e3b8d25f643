"""Contract of stores: every text comes back to the last code point, or is refused."""
# ruff: noqa: S101  a contract is made of asserts

from __future__ import annotations

from typing import Any

import attrs
import pytest

from supportflow.errors import InvalidValue
from supportflow.model import Author
from supportflow.stores import ChannelChange, Conversations, Messages, Store, Wanted
from supportflow.testing.store_samples import CHANNEL, batch, opened, posting, quarantined, said

__all__ = ["TextContract"]

#: Texts that must come back exactly as they went in (RELIABILITY, fault 52).
HOSTILE = {
    "bidirectional": "\u202eabc\u202c \u2066x\u2069",
    "zero width": "a\u200bb\u200cc\u200d\ufeffd",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 🇳🇴 👍🏽",
    "combining": "e\u0301" + "\u0323" * 200,
    "separators": "a\u2028b\u2029c\x85d\x0be\x1ff\r\ng\th",
    "quotes": "'; DROP TABLE message; -- \" ` \\ \\u0000 %s ? :x $1 {0}",
    "other scripts": "سلام، بستهٔ من کجاست؟ मेरा पार्सल कहाँ है?",
    "other planes": "𝕬 \U0010ffff \ufffe \uffff",
    "spaces": "  \t ",
    "nothing": "",
    "long": "Where is my parcel? " * 52_429,  # a little over 1 MiB
}

#: What no store may take, because not every store could give it back (RELIABILITY §0.9).
UNSTORABLE = {"a NUL": "a\0b", "a high surrogate": "a\ud800b", "a low surrogate": "\udcff"}


class TextContract:
    """Prove what holds for texts that are hard to keep."""

    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_texts_come_back(self, store: Store, name: str) -> None:
        """Whatever Unicode can say is kept to the last code point."""
        text = HOSTILE[name]
        first = opened(tags=(text,), assigned=text)
        author = Author(first.after.customer, name=text, handle=text)
        message = said("1", first.after, text=text, author=author, raw=text, tags=(text,))
        store.commit(batch(first, messages=(message,), postings=(posting("row", text=text),)))
        loaded = store.load(
            Wanted(
                conversations=(first.after.id,),
                messages=(message.message.key,),
                rows=("row",),
            )
        )
        assert first.after == loaded.conversations[first.after.id]
        assert message == loaded.messages[message.message.key]
        assert text == loaded.rows["row"].posting.outgoing.text

    @pytest.mark.parametrize("name", UNSTORABLE)
    def test_unstorable_texts_are_refused(self, store: Store, name: str) -> None:
        """What one of the stores could not give back, none takes, and nothing beside it either."""
        text, first = UNSTORABLE[name], opened()
        author = Author(first.after.customer, name=text)
        parts: list[dict[str, Any]] = [
            {"messages": (said("1", first.after, text=text),)},
            {"messages": (said("1", first.after, author=author),)},
            {"messages": (said("1", first.after, raw=text),)},
            {"messages": (said("1", first.after, tags=(text,)),)},
            {"messages": (said(f"1{text}", first.after),)},
            {"once": {text: "done"}},
            {"once": {"reply:1": text}},
            {"postings": (posting("row", text=text),)},
            {"postings": (posting("row", hold=text),)},
            {"channels": (ChannelChange(CHANNEL, cursor=text),)},
            {"quarantine": (attrs.evolve(quarantined("a"), why=text),)},
        ]
        for part in parts:
            with pytest.raises(InvalidValue):
                store.commit(batch(first, **part))
        with pytest.raises(InvalidValue):
            store.commit(batch(opened(assigned=text)))
        assert store.find(Conversations()).conversations == ()
        assert store.find(Messages()).messages == ()
        assert list(store.log()) == []
