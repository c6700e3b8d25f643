"""A classifier of a few keywords, enough for this story; a real one is yours to choose."""

from __future__ import annotations

import unicodedata

from supportflow.model import Message, Reading

__all__ = ["KeywordClassifier", "language_of"]

_SCRIPTS = {"DEVANAGARI": "hi", "ARABIC": "fa", "CYRILLIC": "be", "LATIN": "en"}
#: What a message is if one of the words stands in it, and the mood; the first that fits decides.
_KEYWORDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("spam", "calm", ("dollars a day", "click here")),
    ("abuse", "angry", ("चोर", "बेशर्म")),
    ("complaint", "furious", ("charged me twice", "money back now")),
    ("complaint", "annoyed", ("کوچک‌تر", "запозна")),
    ("praise", "calm", ("цудоўная", "wonderful", "शानदार", "عالی")),
    ("question", "calm", ("?", "؟")),
)
_THANKS = ("thank", "дзякуй", "धन्यवाद", "سپاس", "ممنون")
_MORE = ("but", "але", "लेकिन", "ولی", "?", "؟")


def language_of(text: str) -> str:
    """Return the language that the first letter's script stands for in this story.

    Args:
        text: Anybody's words.
    """
    names = (unicodedata.name(letter, "").split(" ")[0] for letter in text)
    return next((_SCRIPTS[name] for name in names if name in _SCRIPTS), "und")


class KeywordClassifier:
    """Read messages by keywords, before they are committed."""

    inline = True

    def read(self, message: Message) -> Reading:
        """Return what a customer's words seem to be.

        Args:
            message: The customer's message.
        """
        text, language, by = message.text.lower(), language_of(message.text), "keywords"
        if text.startswith(_THANKS) and not any(word in text for word in _MORE):
            return Reading("other", gratitude=True, language=language, by=by)
        for intent, mood, words in _KEYWORDS:
            found = tuple(word for word in words if word in text)
            if found:
                return Reading(intent, mood=mood, language=language, reasons=found, by=by)
        return Reading("other", language=language, by=by)
