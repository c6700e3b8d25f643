"""The acts of the story, in the order of their time."""

from __future__ import annotations

from datetime import timedelta

from demo_parts.cast import ALESIA, CAST, LUCKY, MEERA, NASRIN, OLA, RAHUL, SHIRIN, YANKA
from demo_parts.stage import hour, upgraded
from demo_parts.telling import BOT, KIM, Teller, spoken
from supportflow.errors import IllegalStep, WindowClosed
from supportflow.events import Announced
from supportflow.model import Coupon, Metric, Refund, Replacement
from supportflow.sla.verdict import Ruling

__all__ = ["ACTS"]


def opening(tell: Teller) -> None:
    """Show where it happens."""
    stage = tell.stage
    shaken = stage.messenger.handshake()
    tell.check("the webhook answers Messenger's handshake", expected=True, actual=shaken)
    tell.page.heading("Two platforms on this machine, one desk, one SQLite file")
    tell.desk_says(f"polls Mastodon at {stage.mastodon.url}")
    tell.desk_says(f"is called by Messenger at {stage.messenger.url}; the handshake is done")


def customers_write(tell: Teller) -> None:
    """Let everybody write."""
    stage, desk = tell.stage, tell.stage.desk
    tell.page.heading("1. Eight customers write, in four languages")
    public = [each for each in CAST if each.network == "mastodon"]
    for customer in public:
        stage.write(customer, customer.words)
        stage.clock.advance(minutes=1)
    with stage.messenger.hold():
        stage.write(YANKA, YANKA.words)
        stage.speak(MEERA, MEERA.words)
        stage.write(SHIRIN, SHIRIN.words)
    taken = desk.poll()
    tell.check("five posts are new", (5, 0), (taken.recorded, taken.quarantined))
    intents = {
        OLA: ("complaint", "furious"),
        RAHUL: ("abuse", "angry"),
        ALESIA: ("praise", "calm"),
        NASRIN: ("question", "calm"),
        LUCKY: ("spam", "calm"),
        YANKA: ("question", "calm"),
        SHIRIN: ("complaint", "annoyed"),
    }
    for customer, (intent, mood) in intents.items():
        tell.heard(customer, customer.words, customer.means)
        tell.read(customer, intent, mood)
        desk.tag(stage.conversation(customer).id, customer.subject)


def bad_item(tell: Teller) -> None:
    """Show that one bad item harms nobody, and that a forged one is nobody's."""
    stage, desk = tell.stage, tell.stage.desk
    tell.page.heading("2. One item of Messenger's batch cannot be read; its neighbours are there")
    (batch,) = stage.messenger.hooks.deliveries
    told = (batch.events, *batch.statuses)
    tell.check("the batch of three was taken", (3, 200), told)
    (item,) = desk.quarantine()
    tell.check("Meera's words are kept", expected=True, actual=MEERA.words in item.raw.decode())
    tell.desk_says(f"took a signed batch of {batch.events} and answered {batch.statuses[0]}")
    tell.page.aside(f"in quarantine, as it came ({len(item.raw)} bytes): {item.why}", "red")
    stage.messenger.redeliver(everything=True)
    again = sum(len(stage.messages(each)) for each in CAST if each is not MEERA)
    tell.check("a second delivery adds no message", (7, 1), (again, len(desk.quarantine())))
    tell.desk_says(f"is sent the same batch again: still {again} messages, 1 item in quarantine")
    status = stage.forge(b"2041", b"2042")
    recorded = stage.messages(YANKA)
    tell.check("a forged batch is refused", (401, 1), (status, len(recorded)))
    tell.desk_says(f"is sent it with one digit changed: answers {status}, and records nothing")


def ola(tell: Teller) -> None:
    """Serve the furious customer in order, through a lost answer."""
    stage, desk = tell.stage, tell.stage.desk
    tell.page.heading("3. Ola was charged twice, and everybody is reading")
    stage.clock.advance(minutes=2)
    money = "Your 49.90 EUR are on their way back."
    tell.refused(
        "Kim",
        "tries to resolve it at once",
        IllegalStep,
        lambda: tell.queue(OLA, money, "resolve", outcome=Refund("49.90", "EUR")),
    )
    text = "You were charged twice for order 1873, we can see both payments. We are on it now."
    tell.answer(OLA, text, "acknowledge")
    stage.clock.advance(minutes=1)
    _lost_answer(tell)
    stage.clock.advance(minutes=4)
    text = "We have sent 49.90 EUR back to your card. It arrives within two working days."
    tell.answer(OLA, text, "resolve", outcome=Refund("49.90", "EUR"))
    stage.clock.advance(minutes=3)
    thanks = "Thank you, that was quick!"
    stage.write(OLA, thanks, answering=stage.posted(OLA)[-1].id)
    desk.poll()
    after = tell.heard(OLA, thanks)
    now = (after.state, after.cycle, after.waiting_since, len(tell.clocks(OLA)))
    tell.check("thanks reopen nothing and start no clock", ("resolved", 0, None, 1), now)
    tell.page.aside(f"nothing but thanks: it stays {after.state}, and no clock starts")


def _lost_answer(tell: Teller) -> None:
    """Lose the platform's answer to a post that it took; no second one follows."""
    stage = tell.stage
    text = "We are truly sorry, Ola. That was our mistake, and it must have been a nasty surprise."
    stage.mastodon.fault_next("response_lost", match="POST /api/v1/statuses")
    before, asked = tell.queue(OLA, text, "apologize"), stage.attempts()
    stage.deliver()
    row = stage.rows(OLA)[-1]
    tell.check("what became of it is unknown", "unknown", row.state)
    tell.desk_says(f"sends Kim's apology; the answer never comes: the reply is {row.state}")
    tell.page.aside(row.last_error, "red")
    stage.deliver()
    tell.check("it was posted once", asked + 1, stage.attempts())
    times = "once" if stage.attempts() == asked + 1 else "again and again"
    tell.desk_says(f"delivers again: Mastodon was asked to post it {times}, and no more")
    stage.clock.advance(seconds=20)
    stage.deliver()
    tell.check("it was looked for, not posted", asked + 1, stage.attempts())
    tell.desk_says("reads Ola's thread 20 seconds later, and finds it there:")
    tell.told(OLA, text, ["apologize"], before)


def rahul(tell: Teller) -> None:
    """Serve somebody unfair and insulting: the same three steps."""
    tell.page.heading("4. Rahul insults the shop over a bent box; he gets the same three steps")
    stage = tell.stage
    conversation = stage.conversation(RAHUL).id
    tell.refused(
        "Kim",
        "tries to dismiss him: “he is rude”",
        IllegalStep,
        lambda: stage.desk.dismiss(conversation, "he is rude", agent=KIM),
    )
    tell.answer(
        RAHUL,
        "राहुल जी, आपके पार्सल का डिब्बा मुड़ा हुआ पहुँचा, यह हम समझ गए हैं। "
        "आपको जो परेशानी हुई, उसके लिए हम आपसे क्षमा चाहते हैं।",
        "acknowledge",
        "apologize",
        means="Mr Rahul, your parcel's box arrived bent, we understand. We ask your pardon for the "
        "trouble that you had.",
    )
    stage.clock.advance(minutes=1)
    tell.answer(
        RAHUL,
        "हम आपको 10 यूरो का कूपन दे रहे हैं: SHUKRIYA10। "
        "अगर अंदर का सामान भी ख़राब निकला हो, तो हम उसे तुरंत बदल देंगे।",
        "resolve",
        means="We are giving you a coupon of 10 euros: SHUKRIYA10. If what is inside was damaged "
        "too, we shall replace it at once.",
        outcome=Coupon("SHUKRIYA10", "10 EUR"),
    )


def the_others(tell: Teller) -> None:
    """Thank for praise, answer a question, dismiss spam."""
    stage = tell.stage
    tell.page.heading("5. Praise is thanked for, a question answered, spam dismissed")
    stage.clock.advance(minutes=2)
    tell.answer(
        ALESIA,
        "Спадарыня Алеся, шчыра дзякуем за добрыя словы! Мы вельмі рады, што чайнік Вам спадабаўся.",
        "acknowledge",
        means="Ms Alesia, thank you sincerely for your kind words! We are very glad that you like "
        "the kettle.",
    )
    stage.clock.advance(minutes=1)
    tell.answer(
        NASRIN,
        "سلام نسرین خانم، بله، این کتری روی اجاق القایی هم کار می‌کند. "
        "اگر پرسش دیگری دارید، در خدمتتان هستیم.",
        "resolve",
        means="Hello Ms Nasrin, yes, this kettle works on an induction hob too. If you have "
        "another question, we are at your service.",
    )
    stage.clock.advance(minutes=1)
    stage.desk.dismiss(stage.conversation(LUCKY), "spam", agent=KIM)
    after = stage.conversation(LUCKY)
    found = (after.state, spoken(after.outcome), len(stage.posted(LUCKY)))
    tell.check("spam is dismissed without a word", ("resolved", "Dismissed", 0), found)
    tell.page.entry(hour(after.since), "Kim", "dismisses Lucky's spam; nothing is posted", "green")


def promise(tell: Teller) -> None:
    """Promise to come back."""
    stage = tell.stage
    tell.page.heading("6. Nobody knows yet: a promise, and a voice note read after all")
    stage.clock.advance(minutes=3)
    by = stage.clock().replace(hour=11, minute=0)
    tell.answer(
        YANKA,
        "Добры дзень, спадар Янка! Мы ўдакладняем у кур’ера, дзе Ваша замова 2041, "
        "і напішам Вам да 11:00.",
        "acknowledge",
        means="Good day, Mr Yanka! We are asking the courier where your order 2041 is, and shall "
        "write to you by 11:00.",
        promise_by=by,
    )
    (follow_up,) = [v for v in tell.clocks(YANKA) if v.metric is Metric.follow_up]
    tell.check("the promise has a clock", (Ruling.running, by), (follow_up.ruling, follow_up.due))
    tell.page.aside(f"promised by {hour(follow_up.due)}; its clock is {follow_up.ruling}")
    stage.clock.advance(minutes=3)
    (item,) = stage.desk.quarantine()
    with upgraded(stage) as newer:
        taken = newer.replay(item.id)
    tell.check(
        "the quarantined item is read after all", (1, 0), (taken.recorded, taken.quarantined)
    )
    tell.check("and has left the quarantine", (), stage.desk.quarantine())
    tell.desk_says("is upgraded, and reads the quarantined voice note again:")
    tell.heard(MEERA, MEERA.words, MEERA.means)
    tell.read(MEERA, "question", "calm")
    stage.desk.tag(stage.conversation(MEERA).id, MEERA.subject)
    stage.clock.advance(minutes=1)
    tell.answer(
        MEERA,
        "नमस्ते मीरा जी, जी हाँ, हम इसे उपहार के रूप में निःशुल्क पैक कर देंगे।",
        "resolve",
        means="Hello Ms Meera, yes, we shall wrap it as a gift free of charge.",
    )


def clocks(tell: Teller) -> None:
    """Let time pass: a warning, a breach, a promise kept."""
    stage = tell.stage
    tell.page.heading("7. Time passes, and nobody answers Shirin")
    stage.clock.set(stage.clock().replace(hour=9, minute=36))
    _announced(tell, "warning:first_response", "is waiting for her first answer; it is due at")
    stage.clock.set(stage.clock().replace(hour=10, minute=6))
    _announced(tell, "breach:first_response", "has had no answer; it was due at")
    tell.check("each is announced once", (), stage.desk.announce())
    stage.clock.set(stage.clock().replace(hour=10, minute=40))
    tell.answer(
        YANKA,
        "Вашу пасылку прывязуць сёння паміж 15 і 17 гадзінамі. Дзякуй за цярпенне!",
        "resolve",
        means="Your parcel will be brought today between 15 and 17 o'clock. Thank you for your "
        "patience!",
    )
    (kept,) = [v for v in tell.clocks(YANKA) if v.metric is Metric.follow_up]
    tell.check("the promise is kept", Ruling.met, kept.ruling)
    at = kept.met_at or kept.start
    tell.page.aside(f"promised by {hour(kept.due)}, kept at {hour(at)}: {kept.ruling}")


def _announced(tell: Teller, kind: str, text: str) -> None:
    stage = tell.stage
    (alarm,) = stage.desk.announce()
    shirin = stage.conversation(SHIRIN)
    logged = [each.event for each in stage.desk.history(shirin)]
    (told,) = [event for event in logged if isinstance(event, Announced) and event.kind == kind]
    tell.check(f"{kind} is Shirin's", (shirin.id, kind), (alarm[0], alarm[1].kind))
    due = hour(told.due) if told.due else "no time"
    tell.page.entry(hour(told.at), "alarm", f"{told.kind}: Shirin {text} {due}", "red")


def next_day(tell: Teller) -> None:
    """Come after the window has closed."""
    stage = tell.stage
    tell.page.heading("8. The next day Messenger's window of 24 hours has closed")
    stage.clock.advance(timedelta(days=1), minutes=-90)
    said = tell.refused(
        "bot",
        "tries to answer Shirin",
        WindowClosed,
        lambda: tell.queue(SHIRIN, "سلام شیرین خانم، درخواست شما به دست ما رسید.", agent=BOT),
    )
    tell.check("what is possible is named", expected=True, actual="Still possible: " in said)
    late = tell.answer(
        SHIRIN,
        "سلام شیرین خانم. لباس دو سایز کوچک‌تر فرستاده شده است. از این اشتباه و از اینکه دیر پاسخ "
        "دادیم صمیمانه عذرخواهی می‌کنیم. سایز درست همین امروز رایگان برایتان ارسال می‌شود.",
        "acknowledge",
        "apologize",
        "resolve",
        means="Hello Ms Shirin. The dress was sent two sizes too small. We sincerely apologize for "
        "this mistake and for answering late. The right size is sent to you today, free of charge.",
        outcome=Replacement("dress, size 42"),
    )
    tell.check("a person may for seven days, under a tag", "HUMAN_AGENT", late.tag)
    tell.page.aside(f"a person may write for 7 days: it went out under the tag {late.tag}")


ACTS = (
    *(opening, customers_write, bad_item),
    *(ola, rahul, the_others),
    *(promise, clocks, next_day),
)
