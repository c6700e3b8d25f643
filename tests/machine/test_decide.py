"""Facts are never refused, commands are when the table says so, and nothing is decided twice."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from supportflow.errors import IllegalStep, InvalidValue, NotFound, Stale, SupportflowError
from supportflow.events import (
    Absorbed,
    Announced,
    Assigned,
    Cancelled,
    Classified,
    Closed,
    Deleted,
    Edited,
    Failed,
    HandedOff,
    Held,
    Merged,
    Noted,
    Opened,
    Queued,
    Reacted,
    Received,
    Released,
    Reported,
    Tagged,
    Told,
)
from supportflow.machine import Rules, blank, decide, evolve, legal_steps, merge, recheck
from supportflow.model import (
    AUTOMATIC,
    NATIVE,
    Agent,
    AgentKind,
    Announce,
    Answered,
    Assign,
    Author,
    Cancel,
    Classify,
    Dismiss,
    Dismissed,
    Edit,
    Handoff,
    Hold,
    Inbound,
    Message,
    Note,
    Outbound,
    PartRefused,
    PartTold,
    Reaction,
    Reading,
    Receipt,
    Refund,
    Release,
    Removal,
    Reply,
    State,
    StatusReport,
    Step,
    Tag,
    Thanked,
    Unread,
    Visibility,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ANN, BOT = Agent("ann"), Agent("hal", "bot")
COMPLAINT, QUESTION, SPAM = Reading("complaint"), Reading("question"), Reading("spam")
A, P, R = Step.acknowledge, Step.apologize, Step.resolve


def at(minute):
    """Return the instant so many minutes after the start."""
    return T0 + timedelta(minutes=minute)


def message(minute, text="hello", author="u", **fields):
    """Return a message of the customer "u", or of somebody else."""
    return Message("shop", "m", f"{author}{minute}", Author(author), text, at(minute), **fields)


def said(minute, *, reading=QUESTION, **fields):
    """The customer writes: (fact, minute, reading)."""
    return Inbound(message(minute, **fields)), minute, reading


def answered(minute, *steps):
    """Somebody answers in the platform's own app."""
    return Outbound(message(minute, author="shop")), minute, Reading(steps=steps)


def reply(name, minute, *steps, agent=ANN, **fields):
    """An agent queues a reply."""
    return Reply(name, agent, steps=steps, **fields), minute, Unread


def told(name, minute, part=0):
    """The platform took a part of a reply."""
    return PartTold(name, part, Receipt(f"{name}.{part}", at(minute))), minute, Unread


def apply(conversation, *inputs, rules=None):
    """Decide and fold inputs one after another."""
    for what, minute, reading in inputs:
        for event in decide(conversation, what, at(minute), reading, rules or Rules()):
            conversation = evolve(conversation, event, rules or Rules())
    return conversation


def after(*inputs, **more):
    """Return the conversation in which this happened."""
    return apply(blank("shop", "t", "u", T0), *inputs, **more)


def only(events):
    """Return the one event that there is."""
    (event,) = events
    return event


def kinds(events):
    """Return the kinds of events."""
    return [type(event) for event in events]


# -- inputs in general


def test_the_first_thing_opens_the_conversation():
    """With the channel's labels, and what it continues or stands beside."""
    new = blank("shop", "t", "u", T0, 1, "shop/t/u#0", "shop/t/v#0")
    opened, received = decide(new, Inbound(message(0, tags=("vip",))), T0)
    assert Opened(T0, "shop", "t", "u", 1, ("vip",), "shop/t/u#0", "shop/t/v#0") == opened
    assert Received is type(received)
    assert [Opened, Queued] == kinds(decide(new, Reply("r", ANN), T0))


def test_what_changes_nothing_opens_nothing():
    """No event, no conversation."""
    assert () == decide(blank("shop", "t", "u", T0), Tag(ANN), T0)


@pytest.mark.parametrize("what", [None, "reply", Message, Receipt("1", T0)])
def test_what_is_neither_fact_nor_command(what):
    """Regression: it raised KeyError."""
    with pytest.raises(InvalidValue, match="is neither a fact nor a command"):
        decide(after(said(0)), what, T0)


def test_naive_times_are_refused():
    """Regression: they got into the log, and failed when they were compared."""
    with pytest.raises(InvalidValue, match=r"now is .*pass an aware datetime"):
        decide(after(said(0)), Reply("r", ANN), datetime(2026, 1, 1))  # noqa: DTZ001
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert UTC is only(decide(after(said(0)), Reply("r", ANN), noon)).at.tzinfo


# -- facts


def test_a_message_is_recorded_with_its_reading():
    """And the playbook that it calls for, by the user's own rule."""
    new = after(said(0))
    fact = Inbound(message(1, visibility=Visibility.private), backfill=True)
    event = only(decide(new, fact, at(9), COMPLAINT))
    expected = Received(at(1), "m", "u1", Visibility.private, COMPLAINT, "complaint", True)
    assert expected == event
    rules = Rules(playbook_for=lambda reading: "praise")
    assert "praise" == only(decide(new, fact, at(9), COMPLAINT, rules)).playbook


def test_a_native_answer_is_told():
    """By agent native, at the platform's time, with the steps that its words show."""
    fact = Outbound(message(5, author="shop"), backfill=True)
    event = only(decide(after(said(0)), fact, at(9), Reading(steps=[A])))
    expected = Told(at(5), "m:shop5", 0, 1, NATIVE, (A,), None, None, None, "shop5", True)
    assert expected == event
    hal = Outbound(message(5, author="shop"), agent=BOT)
    assert BOT == only(decide(after(said(0)), hal, at(9))).by


@pytest.mark.parametrize(
    ("reading", "steps", "outcome"),
    [
        (QUESTION, [R], Answered()),
        (QUESTION, [A], None),
        (QUESTION, [], None),
        (COMPLAINT, [R], None),
        (COMPLAINT, [A, P, R], Answered()),
        (Reading("praise"), [A], Thanked()),
        (Reading("suggestion"), [R], None),
    ],
)
def test_a_native_answer_ends_a_conversation_if_it_may(reading, steps, outcome):
    """Regression: an answer whose step was not legal was recorded as the outcome."""
    fact, _, _ = answered(5)
    event = only(decide(after(said(0, reading=reading)), fact, at(9), Reading(steps=steps)))
    assert outcome == event.outcome


def test_a_native_answer_to_a_resolved_conversation_has_no_outcome():
    """How it ended stands."""
    ended = after(said(0), answered(1, R))
    fact, _, reading = answered(5, R)
    assert only(decide(ended, fact, at(5), reading)).outcome is None


@pytest.mark.parametrize(
    ("text", "author", "reading", "asks"),
    [
        ("where is it", "u", QUESTION, True),
        ("Hello!", "u", QUESTION, False),
        ("  HELLO ", "u", QUESTION, False),
        ("where is it", "u", Reading(gratitude=True), False),
        ("where is it", "shop", QUESTION, False),
    ],
)
def test_edits(text, author, reading, asks):
    """Other words of the customer ask again; case and signs do not, nor do thanks or ours."""
    first = message(0, author=author)
    fact = Edit("shop", "m", first.id, "r1", text, at(5), backfill=True)
    event = only(decide(after(said(0)), fact, at(9), reading, of=first))
    book = "standard" if asks else ""
    assert Edited(at(5), "m", first.id, "r1", asks, book, True) == event


@pytest.mark.parametrize(
    ("before", "now", "asks"),
    [
        ("\u0926\u093f\u0928", "\u0926\u0940\u0928", True),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645",
            False,
        ),
        ("caf\u00e9", "cafe\u0301", False),
        ("order 1", "order 2", True),
        ("thanks \U0001f600", "thanks \U0001f621", False),
    ],
    ids=["Hindi vowel", "Persian joiner", "composed", "digit", "emoji"],
)
def test_edits_in_every_script(before, now, asks):
    """Regression: in Hindi, words that differ in a vowel sign were taken for the same."""
    first = message(0, before)
    fact = Edit("shop", "m", first.id, "r1", now, at(5))
    assert asks is only(decide(blank_with(first), fact, at(9), of=first)).asks


def blank_with(first):
    """Return the conversation that a message opened."""
    return after((Inbound(first), 0, QUESTION))


def test_an_edit_is_never_before_its_message():
    """Platforms round times; and an edit of what is not known asks nothing."""
    fact = Edit("shop", "m", "u5", "r1", "other", at(3))
    assert at(5) == only(decide(after(said(0)), fact, at(9), of=message(5))).at
    unknown = only(decide(after(said(0)), fact, at(9)))
    assert (at(3), False) == (unknown.at, unknown.asks)


def test_a_deletion_is_recorded():
    """By its author: nothing to alarm anybody with."""
    fact = Removal("shop", "m", "u0", at(5))
    event = only(decide(after(said(0)), fact, at(9), of=message(0)))
    assert Deleted(at(5), "m", "u0", fact.by, False, True) == event
    assert at(7) == only(decide(after(said(0)), fact, at(9), of=message(7))).at
    assert not only(decide(after(said(0)), fact, at(9))).inbound


@pytest.mark.parametrize(("hidden", "done"), [(True, "hidden"), (False, "removed")])
@pytest.mark.parametrize("by", ["us", "platform", "unknown"])
def test_what_the_customer_did_not_remove_alarms(by, hidden, done):
    """The library has no way to hide words, and tells when somebody else does (M11)."""
    fact = Removal("shop", "m", "u0", at(5), by, hidden)
    _, alarm = decide(after(said(0)), fact, at(9), of=message(0))
    assert (f"{done}:m:u0", f"message_{done}") == (alarm.key, alarm.kind)
    assert by in alarm.why
    ours = message(0, author="shop")
    assert [Deleted] == kinds(decide(after(said(0)), fact, at(9), of=ours))


def test_replies_to_a_deleted_message_are_held():
    """With an alarm; those held already, and those to other messages, are left alone."""
    waiting = after(
        said(0), reply("r0", 1), said(2), reply("r1", 3), reply("r2", 4, agent=AUTOMATIC)
    )
    waiting = apply(waiting, reply("r3", 5), (Hold("r3", "wait"), 5, Unread))
    fact = Removal("shop", "m", "u2", at(6))
    deleted, held, alarm = decide(waiting, fact, at(6), of=message(2))
    assert (Deleted, "r1", "reply_held") == (type(deleted), held.reply, alarm.kind)
    assert "deleted the message" in held.why


def test_replies_to_an_earlier_deleted_message_are_held():
    """Regression: only the last message was looked at, although more came in since."""
    waiting = after(said(0), reply("r0", 1), said(2))
    fact = Removal("shop", "m", "u0", at(6))
    assert [Deleted, Held, Announced] == kinds(decide(waiting, fact, at(6), of=message(0)))


def test_a_reaction_and_a_report():
    """Recorded as they came; a failed delivery alarms."""
    one = after(said(0))
    reaction = Reaction("shop", "m", "u0", Author("u"), "+1", at(1))
    assert Reacted(at(1), "m", "u0", "+1") == only(decide(one, reaction, at(2)))
    read = StatusReport("shop", "9", "read", at(1))
    assert Reported(at(1), "9", "read") == only(decide(one, read, at(2)))
    for reason in ("blocked", ""):
        failed = StatusReport("shop", "9", "failed", at(1), reason)
        report, alarm = decide(one, failed, at(2))
        assert Reported(at(1), "9", "failed", reason) == report
        assert ("undelivered:9", "undelivered") == (alarm.key, alarm.kind)
        assert (reason or "no reason given") in alarm.why


# -- replies


def test_a_reply_is_queued():
    """With all that its receipt will need."""
    waiting = after(said(0, reading=Reading("suggestion")), said(3, reading=Reading("suggestion")))
    command = Reply(
        "r", ANN, 2, [A, R], Refund("5", "EUR"), at(99), feedback="F1", why="urgent", seen=3
    )
    assert Queued(
        at(4), "r", ANN, 2, (A, R), at(3), Refund("5", "EUR"), at(99), "F1", "urgent"
    ) == only(decide(waiting, command, at(4)))


@pytest.mark.parametrize(
    ("reading", "steps", "legal"),
    [
        (COMPLAINT, [R], (A,)),
        (COMPLAINT, [P], (A,)),
        (COMPLAINT, [A, R], (A, P)),
    ],
)
def test_an_illegal_step_is_refused(reading, steps, legal):
    """One reply may carry several; each is checked after the one before, and the legal named."""
    with pytest.raises(IllegalStep) as caught:
        decide(after(said(0, reading=reading)), Reply("r", ANN, steps=steps), at(1))
    assert legal == caught.value.legal


@pytest.mark.parametrize(
    ("reading", "steps", "outcome"),
    [
        (COMPLAINT, [A, P, R], Answered()),
        (COMPLAINT, [A, P], None),
        (QUESTION, [R], Answered()),
        (QUESTION, [], None),
        (Reading("praise"), [A], Thanked()),
        (Reading("praise"), [R], Thanked()),
    ],
)
def test_a_reply_that_ends_a_conversation_has_an_outcome(reading, steps, outcome):
    """The natural one, if none is given."""
    event = only(decide(after(said(0, reading=reading)), Reply("r", ANN, steps=steps), at(1)))
    assert outcome == event.outcome


def test_outcomes_belong_to_replies_that_resolve():
    """And engaging with somebody is no dismissal."""
    one = after(said(0))
    with pytest.raises(InvalidValue, match="add 'resolve'"):
        decide(one, Reply("r", ANN, steps=[A], outcome=Answered()), at(1))
    with pytest.raises(InvalidValue, match="use dismiss"):
        decide(one, Reply("r", ANN, steps=[R], outcome=Dismissed("spam")), at(1))


def test_a_reply_after_the_end_leaves_the_outcome():
    """Regression: repeating a step replaced a refund by "answered"."""
    ended = after(said(0), reply("r", 1, R, outcome=Refund("5", "EUR")), told("r", 2))
    for steps in ([A], [R], []):
        assert only(decide(ended, Reply("s", ANN, steps=steps), at(3))).outcome is None
    better = only(decide(ended, Reply("s", ANN, steps=[R], outcome=Refund("9", "EUR")), at(3)))
    assert Refund("9", "EUR") == better.outcome
    with pytest.raises(InvalidValue, match="add 'resolve'"):
        decide(ended, Reply("s", ANN, steps=[A], outcome=Refund("9", "EUR")), at(3))


def test_a_suggestion_resolves_with_a_feedback_item():
    """And not without; other steps are free (mission M13)."""
    one = after(said(0, reading=Reading("suggestion")))
    with pytest.raises(IllegalStep, match="feedback=ID"):
        decide(one, Reply("r", ANN, steps=[R]), at(1))
    assert Answered() == only(decide(one, Reply("r", ANN, steps=[R], feedback="F"), at(1))).outcome
    assert only(decide(one, Reply("r", ANN, steps=[A]), at(1))).outcome is None


def test_an_automatic_reply_takes_no_step():
    """It covers nobody's question either, unless the rules say that it answers."""
    one = after(said(0))
    event = only(decide(one, Reply("r", AUTOMATIC, steps=[R]), at(1)))
    assert ((), None, None) == (event.steps, event.covers, event.outcome)
    rules = Rules(responders=frozenset(AgentKind))
    event = only(decide(one, Reply("r", AUTOMATIC, steps=[R]), at(1), rules=rules))
    assert ((R,), T0, Answered()) == (event.steps, event.covers, event.outcome)


def test_a_bot_that_answers_nobody_leaves_the_question_open():
    """Regression: what was queued by a bot that the rules do not count hid the question."""
    rules = Rules(responders=frozenset({AgentKind.person}))
    assert after(said(0), reply("r", 1, agent=BOT), rules=rules).unanswered
    assert not after(said(0), reply("r", 1, agent=BOT)).unanswered


def test_steps_are_checked_after_what_is_queued():
    """What is held does not count."""
    waiting = after(said(0, reading=COMPLAINT), reply("r", 1, A))
    assert (A, P) == legal_steps(waiting)
    assert Queued is type(only(decide(waiting, Reply("s", ANN, steps=[P]), at(2))))
    held = apply(waiting, (Hold("r", "wait"), 2, Unread))
    assert (A,) == legal_steps(held)
    with pytest.raises(IllegalStep):
        decide(held, Reply("s", ANN, steps=[P]), at(2))


def test_a_linked_item_counts_for_what_comes_after():
    """Steps behind a queued reply know its feedback item."""
    waiting = after(said(0, reading=Reading("suggestion")), reply("r", 1, R, feedback="F"))
    assert Queued is type(only(decide(waiting, Reply("s", ANN, steps=[R]), at(2))))


@pytest.mark.parametrize(
    "meanwhile", [said(2), reply("s", 2), answered(2)], ids=["message", "reply", "native"]
)
def test_a_stale_view_is_refused(meanwhile):
    """Somebody wrote or queued since it was read; without a version nobody is asked."""
    seen = after(said(0))
    now = apply(seen, meanwhile)
    for command in (Reply("r", ANN, seen=seen.version), Dismiss(ANN, "no", True, seen.version)):
        with pytest.raises(Stale, match=f"read at version {seen.version}"):
            decide(now, command, at(3))
    assert decide(now, Reply("r", ANN), at(3))
    assert decide(now, Reply("r", ANN, seen=now.version), at(3))


def test_a_native_answer_makes_a_view_stale_while_replies_wait():
    """Regression: with a reply on its way, somebody else's answer went unnoticed."""
    seen = after(said(0), reply("r", 1))
    with pytest.raises(Stale):
        decide(apply(seen, answered(2)), Reply("s", ANN, seen=seen.version), at(3))


def test_tags_and_receipts_make_no_view_stale():
    """Nobody wrote."""
    seen = after(said(0), reply("r", 1))
    now = apply(seen, (Tag(ANN, ["vip"]), 2, Unread), told("r", 2))
    assert decide(now, Reply("s", ANN, seen=seen.version), at(3))


def test_what_became_part_of_another_is_answered_there():
    """The error names the other."""
    part = evolve(after(said(0)), Merged(at(1), "shop/t/u#1"))
    for command in (Reply("r", ANN), Dismiss(ANN, "no", True)):
        with pytest.raises(Stale, match="became part of shop/t/u#1; answer there"):
            decide(part, command, at(2))


# -- receipts


def test_a_receipt_counts_by_parts():
    """The first stops clocks, the last takes the steps, the outcome and the promise."""
    waiting = after(said(0), reply("r", 1, A, R, parts=2, outcome=Answered(), promise_by=at(99)))
    first = only(decide(waiting, *told("r", 2, 0)[:1], at(2)))
    assert Told(at(2), "r", 0, 2, ANN, (), T0, None, None, "r.0") == first
    waiting = apply(waiting, told("r", 2, 0))
    last = only(decide(waiting, told("r", 3, 1)[0], at(3)))
    assert Told(at(3), "r", 1, 2, ANN, (A, R), T0, Answered(), at(99), "r.1") == last


def test_the_last_part_takes_the_steps_even_if_one_before_it_is_unknown():
    """Regression: with a receipt missing in between, the steps of a reply were lost."""
    waiting = after(said(0), reply("r", 1, R, parts=3), told("r", 2, 0))
    ended = apply(waiting, told("r", 3, 2))
    assert (State.resolved, ()) == (ended.state, ended.pending)
    assert State.resolved is apply(ended, told("r", 4, 1)).state


def test_a_receipt_that_is_known_changes_nothing():
    """A part is told once."""
    waiting = after(said(0), reply("r", 1, parts=2), told("r", 2, 0))
    assert () == decide(waiting, told("r", 9, 0)[0], at(9))


def test_a_receipt_is_never_refused():
    """Whatever became of the reply: it is on the platform."""
    late = PartTold("gone", 0, Receipt("9", at(5)), BOT)
    assert Told(at(5), "gone", 0, 1, BOT, (), None, remote="9") == only(
        decide(after(said(0)), late, at(6))
    )


def test_a_platform_whose_clock_is_behind():
    """A receipt is not before the message that its author knew."""
    waiting = after(said(10), reply("r", 11))
    assert at(10) == only(decide(waiting, told("r", 9)[0], at(12))).at


def test_a_refusal_holds_what_depended_on_it():
    """With an alarm; what stands by itself goes on."""
    waiting = after(said(0, reading=COMPLAINT), reply("r", 1, A), reply("s", 2, P), reply("t", 3))
    failed, held, alarm = decide(waiting, PartRefused("r", 0, "too long"), at(4))
    assert Failed(at(4), "r", 0, "too long") == failed
    assert ("s", "send_failed") == (held.reply, alarm.kind)
    assert "no longer legal" in held.why
    assert (f"failed:r:0:{at(4).isoformat()}", "too long") == (alarm.key, alarm.why)


def test_a_refusal_without_its_reply():
    """It is recorded and told all the same, also where nothing was before."""
    refused = PartRefused("gone", 0, "blocked")
    assert [Failed, Announced] == kinds(decide(after(said(0)), refused, at(4)))
    assert [Opened, Failed, Announced] == kinds(decide(blank("c", "t", "u", T0), refused, T0))


# -- before it leaves


def test_a_reply_that_may_go():
    """Nothing is in its way, also behind others."""
    waiting = after(said(0, reading=COMPLAINT), reply("r", 1, A), reply("s", 2, P))
    assert ((), ()) == (recheck(waiting, "r", at(3)), recheck(waiting, "s", at(3)))


def test_a_reply_that_is_no_longer_legal():
    """The customer became angry after it was queued."""
    waiting = after(said(0), reply("r", 1, R), said(2, reading=Reading(mood="furious")))
    held, alarm = recheck(waiting, "r", at(3))
    assert ("r", "reply_held", held.why) == (held.reply, alarm.kind, alarm.why)
    assert "no longer legal: resolve is not legal in state received" in held.why


def test_a_suggestion_is_checked_for_its_item_again():
    """Regression: what was read as a suggestion after queueing went out without one."""
    bare = after(said(0), reply("r", 1, R), said(2, reading=Reading("suggestion")))
    assert "feedback=ID" in recheck(bare, "r", at(3))[0].why
    linked = after(said(0), reply("r", 1, R, feedback="F"), said(2, reading=Reading("suggestion")))
    assert () == recheck(linked, "r", at(3))


def test_a_reply_that_is_held_or_gone_does_not_leave():
    """Regression: both were said to be free to go."""
    waiting = after(said(0), reply("r", 1), (Hold("r", "wait"), 2, Unread))
    assert (Held(at(3), "r", "wait"),) == recheck(waiting, "r", at(3))
    gone = only(recheck(apply(waiting, (Cancel("r", ANN), 3, Unread)), "r", at(4)))
    assert ("r", "cancelled" in gone.why) == (gone.reply, True)


# -- other commands


def test_spam_is_dismissed():
    """By anybody, with a reason; what was on its way is cancelled."""
    waiting = after(said(0, reading=SPAM), reply("r", 1))
    closed, cancelled = decide(waiting, Dismiss(BOT, "spam"), at(2))
    assert Closed(at(2), Dismissed("spam"), BOT, T0) == closed
    assert Cancelled(at(2), "r", BOT, "the conversation was dismissed") == cancelled


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (Dismiss(ANN, "wants free things", confirmed=True), True),
        (Dismiss(ANN, "wants free things"), False),
        (Dismiss(BOT, "wants free things", confirmed=True), False),
        (Dismiss(AUTOMATIC, "angry", confirmed=True), False),
    ],
)
@pytest.mark.parametrize("reading", [Reading("abuse", mood="furious"), QUESTION, Unread])
def test_only_a_person_confirms_that_somebody_wants_advantage(command, allowed, reading):
    """Mood alone never dismisses (mission M11)."""
    one = after(said(0, reading=reading))
    if allowed:
        assert Closed is type(only(decide(one, command, at(1))))
        return
    with pytest.raises(IllegalStep, match="confirmed=True") as caught:
        decide(one, command, at(1))
    assert legal_steps(one) == caught.value.legal


def test_what_is_resolved_is_not_dismissed():
    """It has an outcome already."""
    ended = after(said(0), answered(1, R))
    with pytest.raises(IllegalStep, match="resolved already"):
        decide(ended, Dismiss(ANN, "no", confirmed=True), at(2))


def test_decisions_follow_what_they_are_about():
    """Regression: where the platform's clock is ahead, a dismissal came before the message
    that it dismissed, which reopened the conversation; a reading lost to it likewise.
    """
    ahead = after(said(10, reading=SPAM))
    ended = apply(ahead, (Dismiss(ANN, "spam"), 9, Unread))
    assert (State.resolved, None) == (ended.state, ended.waiting_since)
    read = apply(after(said(10, reading=COMPLAINT)), (Classify(QUESTION, ANN), 9, Unread))
    assert "standard" == read.playbook
    nobody = decide(after((Note(ANN, "n"), 0, Unread)), Classify(QUESTION, ANN), at(-5))
    assert T0 == only(nobody).at


def test_a_classification():
    """Of a message or of the conversation, by a person or a classifier."""
    one = after(said(0))
    assert Classified(at(1), COMPLAINT, "complaint", ("m", "u0"), None) == only(
        decide(one, Classify(COMPLAINT, message=("m", "u0")), at(1))
    )
    assert Classified(at(1), COMPLAINT, "complaint", None, ANN) == only(
        decide(one, Classify(COMPLAINT, ANN), at(1))
    )


def test_assigning():
    """To somebody or nobody, once."""
    one = after(said(0))
    event = only(decide(one, Assign(ANN, "bob"), at(1)))
    assert Assigned(at(1), "bob", ANN) == event
    assert () == decide(evolve(one, event), Assign(ANN, "bob"), at(2))
    assert () == decide(one, Assign(ANN, None), at(2))


def test_tagging():
    """Only what changes; each label once."""
    one = after(said(0, tags=("vip",)))
    command = Tag(ANN, ["new", "vip", "new"], ["vip", "old", "vip"])
    assert Tagged(at(1), ("new",), ("vip",), ANN) == only(decide(one, command, at(1)))
    assert () == decide(one, Tag(ANN, ["vip"], ["old"]), at(1))


def test_notes_and_handoffs():
    """They are recorded."""
    one = after(said(0))
    assert Noted(at(1), "n", ANN) == only(decide(one, Note(ANN, "n"), at(1)))
    assert HandedOff(at(1), "billing", ANN, "money") == only(
        decide(one, Handoff(ANN, "billing", "money"), at(1))
    )


def test_cancelling():
    """Only what is on its way."""
    waiting = after(said(0), reply("q", 1), reply("r", 1))
    assert Cancelled(at(2), "r", ANN, "typo") == only(
        decide(waiting, Cancel("r", ANN, "typo"), at(2))
    )
    with pytest.raises(NotFound, match="no reply 'x' is on its way"):
        decide(waiting, Cancel("x", ANN), at(2))


def test_holding_and_releasing():
    """Each once; a release is checked like a reply."""
    waiting = after(said(0, reading=COMPLAINT), reply("r", 1, A), reply("s", 2, P))
    held, alarm = decide(waiting, Hold("r", "wait"), at(3))
    assert (Held(at(3), "r", "wait"), "reply_held") == (held, alarm.kind)
    waiting = apply(waiting, (Hold("r", "wait"), 3, Unread), (Hold("s", "wait"), 3, Unread))
    assert () == decide(waiting, Hold("r", "again"), at(4))
    assert () == decide(waiting, Hold("gone", "again"), at(4))
    with pytest.raises(IllegalStep):
        decide(waiting, Release("s", ANN), at(4))
    assert Released(at(4), "r", ANN, "go") == only(decide(waiting, Release("r", ANN, "go"), at(4)))
    waiting = apply(waiting, (Release("r", ANN), 4, Unread))
    assert () == decide(waiting, Release("r", ANN), at(5))
    with pytest.raises(NotFound):
        decide(waiting, Release("x", ANN), at(5))


def test_announcing_once():
    """The same key again changes nothing."""
    one = after(said(0))
    command = Announce("k", "quiet", at(5), "nobody reads")
    event = only(decide(one, command, at(6)))
    assert Announced(at(6), "k", "quiet", at(5), "nobody reads") == event
    assert () == decide(evolve(one, event), command, at(7))


# -- merging


def test_merging_carries_everything_over():
    """The source ends; the target gets marks, alarms, labels and what is on its way."""
    source = after(said(0, tags=("vip",)), reply("r", 1))
    target = apply(blank("shop", "t", "u", at(5), 1), said(5))
    (ended,), (absorbed,) = merge(source, target, at(9))
    assert Merged(at(9), target.id) == ended
    assert (
        Absorbed(
            at(9),
            source.id,
            T0,
            source.marks,
            source.base,
            T0,
            ("m", "u0"),
            QUESTION,
            ("vip",),
            (),
            source.pending,
        )
        == absorbed
    )


def test_merging_into_a_new_conversation_opens_it():
    """As when the thread's root is proved later."""
    source = after(said(0))
    new = blank("shop", "root", "u", T0)
    _, events = merge(source, new, at(9))
    assert [Opened, Absorbed] == kinds(events)


# -- every refusal


@pytest.mark.parametrize(
    "command",
    [
        Reply("r", ANN, steps=[R]),
        Reply("r", ANN, seen=0),
        Reply("r", ANN, outcome=Answered()),
        Dismiss(ANN, "no"),
        Cancel("x", ANN),
        Release("x", ANN),
    ],
)
def test_a_refusal_is_ours_and_changes_nothing(command):
    """One kind of exception, that says what to do, and no event."""
    one = after(said(0, reading=COMPLAINT))
    with pytest.raises(SupportflowError) as caught:
        decide(one, command, at(1))
    assert str(caught.value)


def test_a_reply_that_is_on_its_way_is_not_queued_again() -> None:
    """A repeated command id changes nothing; found by the property test of sequences."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    message = Message("shop", "m", "1", Author("u"), "Where is it?", at)
    conversation = blank("shop", "t", "u", at)
    for what in (Inbound(message), Reply("r", Agent("ann"), parts=3)):
        for one in decide(conversation, what, at):
            conversation = evolve(conversation, one)
    assert () == decide(conversation, Reply("r", Agent("ann")), at)
