"""Who plays: the customers, what they write first, and what that means in English."""

from __future__ import annotations

import attrs

__all__ = ["CAST", "Customer"]


@attrs.frozen
class Customer:
    """Hold one customer of the story.

    Args:
        name: As the story calls them.
        network: `"mastodon"` or `"messenger"`.
        language: A BCP 47 tag.
        subject: The label that their conversation gets.
        words: What they write first.
        means: The same in English, if it is not.
    """

    name: str
    network: str
    language: str
    subject: str
    words: str
    means: str = ""

    @property
    def handle(self) -> str:
        """Return their name on the network."""
        return self.name.lower()


OLA = Customer(
    "Ola",
    "mastodon",
    "en",
    "paid twice",
    "You charged me TWICE for one order and nobody picks up the phone! I want my money back NOW!!!",
)
RAHUL = Customer(
    "Rahul",
    "mastodon",
    "hi",
    "bent box",
    "तुम सब चोर हो! मेरे पार्सल का डिब्बा मुड़ा हुआ निकला। बेशर्म और निकम्मे लोग, शर्म आनी चाहिए तुम लोगों को!",
    "You are all thieves! My parcel's box was bent. Shameless, useless people, shame on you!",
)
ALESIA = Customer(
    "Alesia",
    "mastodon",
    "be",
    "praise",
    "Чайнік прыехаў за адзін дзень, вельмі добра запакаваны. Цудоўная крама, буду раіць сябрам!",
    "The kettle came within a day, very well packed. A wonderful shop, I shall tell my friends!",
)
NASRIN = Customer(
    "Nasrin",
    "mastodon",
    "fa",
    "which hob",
    "سلام، ببخشید، این کتری روی اجاق القایی هم کار می‌کند؟",
    "Hello, excuse me, does this kettle work on an induction hob too?",
)
LUCKY = Customer(
    "Lucky",
    "mastodon",
    "en",
    "spam",
    "Earn 5000 dollars a day from home, no work at all! Click here: https://easy-money.example",
)
YANKA = Customer(
    "Yanka",
    "messenger",
    "be",
    "where is it",
    "Добры дзень! Дзе мая пасылка? Нумар замовы 2041, чакаю ўжо тыдзень.",
    "Good day! Where is my parcel? The order is number 2041, I have been waiting for a week.",
)
MEERA = Customer(
    "Meera",
    "messenger",
    "hi",
    "gift wrap",
    "नमस्ते, क्या आप यह चायदानी उपहार के रूप में पैक कर सकते हैं?",
    "Hello, can you wrap this teapot as a gift?",
)
SHIRIN = Customer(
    "Shirin",
    "messenger",
    "fa",
    "too small",
    "سلام. لباسی که فرستادید دو سایز کوچک‌تر است. لطفاً راهنمایی کنید چه کار کنم.",
    "Hello. The dress that you sent is two sizes too small. Please tell me what to do.",
)

CAST = (OLA, RAHUL, ALESIA, NASRIN, LUCKY, YANKA, MEERA, SHIRIN)
