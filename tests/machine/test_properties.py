"""What holds for any sequence of facts and commands, and for any order in which facts arrive."""

from datetime import UTC, datetime, timedelta

from hypothesis import event, given, settings
from hypothesis import strategies as st

from supportflow.errors import IllegalStep, SupportflowError
from supportflow.events import Opened, Queued, Told
from supportflow.machine import (
    Rules,
    belongs,
    blank,
    decide,
    evolve,
    legal_steps,
    merge,
    recheck,
    replay,
)
from supportflow.machine.marking import refold
from supportflow.model import (
    AUTOMATIC,
    Agent,
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
    Intent,
    Marked,
    Message,
    Metric,
    Mood,
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
    RemovedBy,
    Reply,
    State,
    StatusReport,
    Step,
    Tag,
    Unread,
    replace,
)
from supportflow.playbook import PLAYBOOKS
from supportflow.sla.clock import insert
from supportflow.sla.policy import DEFAULT_POLICY, Policy, Rule, Target
from supportflow.sla.verdict import verdicts

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = (Rules(), Rules(max_marks=3))
AGENTS = st.sampled_from([Agent("ann"), Agent("hal", "bot"), AUTOMATIC])
REPLIES = st.sampled_from(["r0", "r1", "r2"])
STEPS = st.lists(st.sampled_from(Step), max_size=3)
READINGS = st.builds(
    Reading,
    st.sampled_from([None, *Intent]),
    st.sampled_from(Mood),
    st.booleans(),
    steps=STEPS,
)


def at(minute):
    """Return the instant so many minutes after the start."""
    return T0 + timedelta(minutes=minute)


# -- any sequence of facts and commands


def queue(draw, minute):
    """Return a reply, on some view of the conversation."""
    due = draw(st.sampled_from([None, None, at(minute + 60)]))
    outcome = draw(st.sampled_from([None, None, Answered(), Refund("5", "EUR")]))
    seen = draw(st.sampled_from([None, None, None, 1, 50]))
    parts, feedback = draw(st.integers(1, 3)), draw(st.sampled_from([None, "F"]))
    return Reply(draw(REPLIES), draw(AGENTS), parts, draw(STEPS), outcome, due, seen, feedback)


def commands(draw, name, when):
    """Return how to make each of the other facts and commands."""
    labels = st.sampled_from("ab")
    return {
        Edit: lambda: Edit("shop", "m", name, "r1", draw(st.sampled_from(["hello!", "no"])), when),
        Removal: lambda: Removal("shop", "m", name, when, draw(st.sampled_from(RemovedBy))),
        Reaction: lambda: Reaction("shop", "m", name, Author("u"), "+1", when),
        StatusReport: lambda: StatusReport(
            "shop", "9", draw(st.sampled_from(["read", "failed"])), when
        ),
        Dismiss: lambda: Dismiss(draw(AGENTS), "because", draw(st.booleans())),
        Classify: lambda: Classify(
            draw(READINGS), None, draw(st.sampled_from([None, ("m", name)]))
        ),
        Assign: lambda: Assign(draw(AGENTS), draw(st.sampled_from([None, "bob"]))),
        Tag: lambda: Tag(draw(AGENTS), [draw(labels)], [draw(labels)]),
        Note: lambda: Note(draw(AGENTS), "n"),
        Handoff: lambda: Handoff(draw(AGENTS), "billing"),
        Cancel: lambda: Cancel(draw(REPLIES), draw(AGENTS)),
        Hold: lambda: Hold(draw(REPLIES), "because"),
        Release: lambda: Release(draw(REPLIES), draw(AGENTS)),
        PartRefused: lambda: PartRefused(draw(REPLIES), draw(st.integers(0, 2)), "because"),
        Announce: lambda: Announce(draw(labels), "quiet"),
    }


KINDS = [Inbound] * 9 + [Outbound] * 4 + [Reply] * 6 + [PartTold] * 6
OTHERS = [*commands(None, "", None)]


@st.composite
def inputs(draw, minute, messages):
    """One fact or command, with the message it is about, if there is one."""
    kind = draw(st.sampled_from(KINDS + OTHERS))
    when, name = at(minute + draw(st.integers(-30, 5))), f"m{len(messages)}"
    if kind is Inbound:
        messages.append(Message("shop", "m", name, Author("u"), "hello", when))
        return Inbound(messages[-1], draw(st.booleans())), None
    if kind is Outbound:
        return Outbound(Message("shop", "o", name, Author("shop"), "words", when)), None
    if kind is Reply:
        return queue(draw, minute), None
    if kind is PartTold:
        return PartTold(draw(REPLIES), draw(st.integers(0, 2)), Receipt("9", when)), None
    ours = Message("shop", "m", "ours", Author("shop"), "hello", at(minute - 5))
    of = draw(st.sampled_from([*messages[-3:], ours]))
    return commands(draw, of.id, when)[kind](), of


@st.composite
def lives(draw):
    """A sequence of (time, input, reading, message)."""
    found, minute, messages = [], 0, []
    for _ in range(draw(st.integers(1, 25))):
        minute += draw(st.integers(0, 20))
        what, of = draw(inputs(minute, messages))
        found.append((at(minute), what, draw(READINGS), of))
    return found


def lived(life, rules):
    """Live through it; yield (before, input, events or None, after)."""
    now = blank("shop", "t", "u", T0)
    for when, what, reading, of in life:
        before, events, refusal = now, None, None
        try:
            events = decide(before, what, when, reading, rules, of)
        except SupportflowError as error:
            refusal = error
        if refusal is not None:
            assert str(refusal)
            assert isinstance(what, Reply | Dismiss | Cancel | Release), "facts are never refused"
        if isinstance(refusal, IllegalStep):
            state = State(refusal.state)
            book = rules.book(before.playbook)
            told = legal_steps(before, rules) if isinstance(what, Dismiss) else book.legal(state)
            assert told == refusal.legal
        for one in events or ():
            now = evolve(now, one, rules)
        yield before, what, events, now


def check(snapshot, rules, events):
    """Check what every snapshot promises."""
    assert events == snapshot.version == snapshot.progress.version
    assert snapshot.state in State
    assert sorted(snapshot.marks, key=lambda m: (m.at, list(Marked).index(m.what), m.key)) == list(
        snapshot.marks
    )
    assert len(snapshot.marks) == len(set(snapshot.marks)) <= rules.max_marks
    assert len(snapshot.base.asks) <= 32
    assert not snapshot.unanswered or snapshot.waiting_since is not None
    assert snapshot.waiting_since is None or snapshot.state is not State.resolved
    assert all(0 <= reply.told < reply.parts for reply in snapshot.pending)
    assert snapshot.spoken <= snapshot.version
    assert (snapshot.last_at is None) == (snapshot.last_key is None)
    assert all(snapshot.opened_at <= mark.at for mark in snapshot.marks)


def check_refusals(before, what, events, after):
    """Check that a refused command left nothing behind, and that the first event opens."""
    assert events or before == after
    assert (before.version == 0 and bool(events)) == (Opened in map(type, events or ()))


#: The steps that a complaint still lacks in each state.
_MISSING = {
    State.received: set(Step),
    State.acknowledged: {Step.apologize, Step.resolve},
    State.apologized: {Step.resolve},
}


def check_steps(before, events, rules):
    """Check that no complaint was resolved by skipping a step.

    What was taken before a message made it a complaint stays taken.
    """
    now = before
    for one in events:
        after = evolve(now, one, rules)
        resolves = now.state is not State.resolved and after.state is State.resolved
        at_the_end = after.marks[:-1] == now.marks
        if isinstance(one, Told) and resolves and at_the_end and now.playbook == "complaint":
            assert _MISSING[now.state] <= set(one.steps)
            event("a complaint was resolved")
        now = after


def check_replies(events, after, rules):
    """Check that what was just queued may go, for nothing has happened since."""
    for one in events:
        if isinstance(one, Queued) and 1 == sum(r.id == one.reply for r in after.pending):
            assert () == recheck(after, one.reply, one.at, rules)


def check_ends(after, rules):
    """Check that a dismissal is the one way to resolved that is no answer."""
    if isinstance(after.outcome, Dismissed) and rules.max_marks > 3:
        assert Marked.closed in {mark.what for mark in after.marks}
    elif after.state is State.resolved and rules.max_marks > 3:
        assert Marked.told in {mark.what for mark in after.marks}


@given(lives(), st.sampled_from(RULES))
def test_any_sequence_keeps_the_invariants(life, rules):
    """Versions without a gap, a legal state, bounded sorted marks, no step skipped; and no
    event for a command that was refused.
    """
    count = 0
    for before, what, events, after in lived(life, rules):
        count += len(events or ())
        event(f"{type(what).__name__}: {'refused' if events is None else 'decided'}")
        check(after, rules, count)
        check_refusals(before, what, events, after)
        check_steps(before, events or (), rules)
        check_replies(events or (), after, rules)
        check_ends(after, rules)


@settings(max_examples=60)
@given(lives(), st.sampled_from(RULES))
def test_folding_the_log_gives_the_snapshot(life, rules):
    """The log is the truth: the snapshot can be thrown away."""
    log, now = [], None
    for _, _, events, after in lived(life, rules):
        log += events or ()
        now = after
    if log:
        assert now == replay(log, rules)
        whole = replay(log, rules, bounded=False)
        assert (now.version, now.pending, now.tags) == (whole.version, whole.pending, whole.tags)


def slowly(snapshot, one, rules):
    """Fold one event, and then all marks anew: no quick path is left."""
    after = evolve(snapshot, one, rules)
    if after.marks == snapshot.marks or after.base != snapshot.base:
        return after
    fields = {**after.__dict__, "opened_at": snapshot.opened_at}
    before = replace(after, progress=snapshot.progress)
    refold(fields, before, after.base, after.marks, rules)
    return replace(after, **fields)


@settings(max_examples=60)
@given(lives())
def test_quick_paths_equal_a_full_fold(life):
    """Adding a mark at the end is a shortcut, and never another answer."""
    rules = Rules()
    for now, _, events, _ in lived(life, rules):
        for one in events or ():
            after = evolve(now, one, rules)
            assert slowly(now, one, rules) == after
            now = after  # noqa: PLW2901  # the snapshot after this event


# -- any order of arrival


STRICT = Policy(
    [
        Rule(
            {
                Metric.first_response: Target(HOUR),
                Metric.next_response: Target(2 * HOUR),
                Metric.resolution: Target(48 * HOUR),
            }
        )
    ]
)


class Intake:
    """Take facts of one customer in one thread in any order, as a desk does."""

    def __init__(self):
        self.series, self.homes, self.messages, self.early = [], {}, {}, {}

    def take(self, fact, reading):
        """Record a fact; what is about a message that is not known yet waits for it."""
        if isinstance(fact, Inbound | Outbound):
            message = fact.message
            number = self.place(fact, reading)
            self.homes[message.key], self.messages[message.key] = number, message
            self.apply(number, decide(self.series[number], fact, message.at, reading))
            for later in self.early.pop(message.key, ()):
                self.take(*later)
        elif fact.key in self.messages:
            number, of = self.homes[fact.key], self.messages[fact.key]
            while self.series[number].merged_into is not None:
                number += 1
            self.apply(number, decide(self.series[number], fact, fact.at, reading, of=of))
        else:
            self.early.setdefault(fact.key, []).append((fact, reading))

    def place(self, fact, reading):
        """Return the number of the conversation whose interval covers a message's time."""
        when = fact.message.at
        live = [c for c in self.series if c.merged_into is None]
        if not live:
            return self.begin(when, None)
        covering = [c for c in live if c.opened_at <= when] or live[:1]
        newest = live[-1]
        forwards = covering[-1] is newest and newest.opened_at <= when
        if isinstance(fact, Inbound) and forwards and not belongs(newest, when, reading):
            return self.begin(when, newest.id)
        return covering[-1].number

    def begin(self, when, previous):
        """Begin the next conversation."""
        self.series.append(blank("shop", "t", "u", when, len(self.series), previous))
        return len(self.series) - 1

    def fold(self, number, events):
        """Fold events into a conversation."""
        for one in events:
            self.series[number] = evolve(self.series[number], one)

    def apply(self, number, events):
        """Fold events; one that late facts opened again carries on in its successor."""
        self.fold(number, events)
        if number + 1 < len(self.series) and self.series[number].state is not State.resolved:
            ended, carried = merge(*self.series[number : number + 2], T0)
            self.fold(number, ended)
            self.apply(number + 1, carried)

    def told(self):
        """Return what must not depend on the order: messages, who waits, and every verdict."""
        live = [c for c in self.series if c.merged_into is None]
        judged = [
            (v.metric, v.start, v.due, v.met_at or T0, v.ruling)
            for policy in (DEFAULT_POLICY, STRICT)
            for conversation in self.series
            for v in verdicts(conversation, policy, now=at(10**6))
        ]
        waiting = min((c.waiting_since for c in live if c.waiting_since), default=None)
        return set(self.messages), any(c.unanswered for c in live), waiting, sorted(judged)


@st.composite
def histories(draw):
    """Facts of three months: questions, thanks, answers with steps, edits and deletions."""
    days = st.integers(0, 60).map(lambda day: at(day * 36 * 60))
    later = st.integers(0, 20).map(lambda day: day * 36 * HOUR)
    found = []
    for number in range(draw(st.integers(1, 8))):
        when, name = draw(days), str(number)
        if draw(st.booleans()):
            steps = draw(st.sampled_from([(), (Step.acknowledge,), (Step.resolve,), tuple(Step)]))
            message = Message("shop", "m", name, Author("shop"), "words", when)
            found.append((Outbound(message, "u"), Reading(steps=steps)))
            continue
        reading = draw(READ)
        found.append((Inbound(Message("shop", "m", name, Author("u"), "hello", when)), reading))
        if draw(st.integers(0, 3)) == 0:
            text = draw(st.sampled_from(["Hello!", "where is it"]))
            found.append((Edit("shop", "m", name, "r1", text, when + draw(later)), draw(READ)))
        if draw(st.integers(0, 3)) == 0:
            found.append((Removal("shop", "m", name, when + draw(later)), Unread))
    return found


READ = st.sampled_from(
    [
        Unread,
        Reading("question"),
        Reading("complaint"),
        Reading("praise"),
        Reading("suggestion"),
        Reading(gratitude=True),
        Reading("praise", gratitude=True),
    ]
)


def taken(facts):
    """Take facts in this order."""
    intake = Intake()
    for fact, reading in facts:
        intake.take(fact, reading)
    return intake


def moment(item):
    """Return when a fact happened."""
    fact, _ = item
    return fact.message.at if isinstance(fact, Inbound | Outbound) else fact.at


@settings(max_examples=200)
@given(histories(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same(facts, chance):
    """The same messages, the same customers waiting since the same time, the same verdicts;
    ids, versions and cycles may differ.
    """
    shuffled = list(facts)
    chance.shuffle(shuffled)
    one, other = taken(sorted(facts, key=moment)), taken(shuffled)
    assert one.told() == other.told()
    event(f"conversations: {len(one.series)} in order, {len(other.series)} in another")
    event(f"merged: {any(c.merged_into for c in other.series)}")


def order(*numbers, facts):
    """Take facts in this order."""
    return taken([facts[number] for number in numbers]).told()


def said(day, reading=Unread):
    """The customer writes on a day."""
    message = Message("shop", "m", f"u{day}", Author("u"), "hello", at(day * 1440))
    return Inbound(message), reading


def answered(day, *steps):
    """Somebody answers on a day."""
    message = Message("shop", "m", f"o{day}", Author("shop"), "words", at(day * 1440))
    return Outbound(message, "u"), Reading(steps=steps)


def test_a_late_question_between_two_conversations():
    """Regression: it was open for ever in the old one, although the answer to the new one
    answered it too.
    """
    facts = [said(0), answered(1, Step.resolve), said(4), said(20), answered(21, Step.resolve)]
    assert order(0, 1, 2, 3, 4, facts=facts) == order(0, 1, 3, 4, 2, facts=facts)
    assert not order(0, 1, 3, 4, 2, facts=facts)[1]


def test_a_late_complaint_that_was_not_resolved_after_all():
    """Regression: the next message began a conversation of its own, with a first response."""
    facts = [said(0), said(1, Reading("complaint")), answered(2, Step.resolve), said(20)]
    assert order(0, 1, 2, 3, facts=facts) == order(0, 2, 3, 1, facts=facts)


def test_thanks_and_a_deletion_in_a_continuation():
    """Regression: thanks were taken for a question there, because nothing had been told yet."""
    facts = [
        said(0),
        answered(1, Step.resolve),
        said(20),
        said(21, Reading(gratitude=True)),
        (Removal("shop", "m", "u20", at(22 * 1440)), Unread),
    ]
    assert order(0, 1, 2, 3, 4, facts=facts) == order(0, 2, 3, 4, 1, facts=facts)


def test_a_question_before_an_answer_that_is_known():
    """Regression: it began a conversation in which the answer behind it was not seen."""
    facts = [said(0), answered(1, Step.resolve), said(20), answered(21)]
    assert order(0, 1, 2, 3, facts=facts) == order(0, 1, 3, 2, facts=facts)


# -- a long talk


@settings(max_examples=10)
@given(st.data())
def test_a_bounded_snapshot_stands_where_the_whole_log_stands(data):
    """More marks than a snapshot keeps: waiting, state and running clocks stay the same."""
    log, now, rules = [Opened(T0, "shop", "t", "u", 0)], blank("shop", "t", "u", T0), Rules()
    now = evolve(now, log[0])
    for number in range(data.draw(st.integers(70, 140))):
        when = at(number)
        if data.draw(st.booleans()):
            what = Inbound(Message("shop", "m", str(number), Author("u"), "hello", when))
            reading = data.draw(READ)
        else:
            what = Outbound(Message("shop", "o", str(number), Author("shop"), "words", when))
            reading = Reading(steps=data.draw(st.sampled_from([(), (), tuple(Step)])))
        for one in decide(now, what, when, reading, rules):
            log.append(one)
            now = evolve(now, one)
    whole = replay(log, bounded=False)
    assert len(now.marks) <= 64 < len(whole.marks)
    same = ("state", "since", "waiting_since", "cycle", "playbook", "opened_at", "last_key")
    assert [getattr(whole, name) for name in same] == [getattr(now, name) for name in same]
    running = [v for v in verdicts(whole, STRICT) if v.ruling == "running"]
    assert running == [v for v in verdicts(now, STRICT) if v.ruling == "running"]


def test_every_playbook_is_in_the_table():
    """The generated readings call for all of them."""
    called = {Rules().playbook_for(Reading(intent)) for intent in [None, *Intent]}
    assert set(PLAYBOOKS) == called


def test_insert_is_what_the_snapshot_uses():
    """The order of marks in a snapshot is that of `insert`."""
    now = blank("shop", "t", "u", T0)
    for fact, reading in (said(3), answered(2), said(1)):
        for one in decide(now, fact, T0, reading):
            now = evolve(now, one)
    found = ()
    for mark in reversed(now.marks):
        found = insert(found, mark)
    assert found == now.marks
