"""Policies give each conversation a target per metric: ordered rules as data, or one's own object."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from supportflow.errors import InvalidValue
from supportflow.model import (
    AgentKind,
    Conversation,
    Metric,
    Progress,
    Reading,
    State,
    Visibility,
    replace,
)
from supportflow.sla.calendar import Calendar
from supportflow.sla.policy import DEFAULT_POLICY, Policy, Rule, Target, policy_version

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)  # a Thursday
HOUR = timedelta(hours=1)
FIRST, SOLVED = Metric.first_response, Metric.resolution


def conversation(**fields):
    """Return a public, unread conversation on the channel "shop"."""
    core = Progress(State.received, 1, AT)
    return replace(Conversation("shop/t/u#0", "shop", "t", "u", 0, AT, core, ""), **fields)


# -- targets


def test_a_target_is_due_after_open_time():
    """Around the clock by default, else in the calendar's hours."""
    desk = Calendar.weekly("UTC", {"mon-fri": "09:00-13:00"})
    assert AT + 4 * HOUR == Target(4 * HOUR).after(AT, 4 * HOUR)
    assert datetime(2026, 1, 2, 12, tzinfo=UTC) == Target(4 * HOUR, desk).after(AT, 4 * HOUR)


def test_warnings_stand_in_order():
    """One, several, or none."""
    assert (HOUR,) == Target(2 * HOUR, warn_at=HOUR).warn_at
    assert (timedelta(0), HOUR) == Target(2 * HOUR, warn_at=[HOUR, timedelta(0)]).warn_at
    assert () == Target(HOUR).warn_at


@pytest.mark.parametrize(
    ("duration", "warn_at", "why"),
    [
        (timedelta(0), (), "duration is"),
        (-HOUR, (), "duration is"),
        (3600, (), "duration is 3600"),
        (HOUR, HOUR, "warn_at"),
        (HOUR, [timedelta(0), 2 * HOUR], "warn_at"),
        (HOUR, -HOUR, "warn_at"),
    ],
)
def test_impossible_targets_are_refused(duration, warn_at, why):
    """Durations are positive, and warnings come before them."""
    with pytest.raises(InvalidValue, match=why):
        Target(duration, warn_at=warn_at)


# -- rules


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        ({"channel": "shop"}, {"channel": "other"}),
        ({"intent": "complaint"}, {"reading": Reading("question")}),
        ({"mood": "angry"}, {"reading": Reading("complaint", mood="furious")}),
        ({"language": "fa"}, {"reading": Reading("complaint", mood="angry", language="hi")}),
        ({"visibility": "private"}, {"visibility": Visibility.public}),
        ({"tag": "vip"}, {"tags": ("new",)}),
    ],
)
def test_a_rule_matches_what_it_names(wanted, fields):
    """Each thing that is named must fit; what is not named may be anything."""
    fits = conversation(
        channel="shop",
        reading=Reading("complaint", mood="angry", language="fa"),
        visibility=Visibility.private,
        tags=("vip", "new"),
    )
    rule = Rule({"first_response": Target(HOUR)}, **wanted)
    assert rule.matches(fits)
    assert not rule.matches(replace(fits, **fields))
    assert Rule({}).matches(fits)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"targets": {"first": Target(HOUR)}}, "a metric is 'first'; it is one of first_resp"),
        ({"targets": {}, "intent": "rant"}, "intent is 'rant'"),
        ({"targets": {}, "mood": "sad"}, "mood is 'sad'"),
        ({"targets": {}, "visibility": "secret"}, "visibility is 'secret'"),
    ],
)
def test_rules_that_match_nothing_are_refused(fields, why):
    """A slip of the pen would silently owe nobody anything."""
    with pytest.raises(InvalidValue, match=why):
        Rule(**fields)


# -- policies


def test_the_default_is_the_articles():
    """An answer within 60 minutes, a warning at 30, around the clock (mission M4)."""
    targets = DEFAULT_POLICY.targets(conversation())
    assert {FIRST, Metric.next_response} == set(targets)
    assert {(timedelta(minutes=60), (timedelta(minutes=30),))} == {
        (target.duration, target.warn_at) for target in targets.values()
    }


def test_the_first_rule_that_names_a_metric_decides():
    """For each metric by itself."""
    policy = Policy(
        [
            Rule({FIRST: Target(HOUR)}, tag="vip"),
            Rule({FIRST: Target(2 * HOUR), SOLVED: Target(9 * HOUR)}),
            Rule({SOLVED: Target(HOUR)}),
        ]
    )
    assert {FIRST: Target(2 * HOUR), SOLVED: Target(9 * HOUR)} == policy.targets(conversation())
    vip = policy.targets(conversation(tags=("vip",)))
    assert {FIRST: Target(HOUR), SOLVED: Target(9 * HOUR)} == vip


@pytest.mark.parametrize("others", [(), (Rule({SOLVED: Target(HOUR)}, tag="other"),)])
def test_a_policy_may_owe_nothing(others):
    """Where no rule matches there is no target."""
    policy = Policy([Rule({FIRST: Target(HOUR)}, tag="vip"), *others])
    assert {} == policy.targets(conversation())


def test_policies_are_values():
    """Equal ones compare; nothing in them can be changed."""
    assert Policy([Rule({FIRST: Target(HOUR)})]) == Policy([Rule({"first_response": Target(HOUR)})])
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        DEFAULT_POLICY.rules = ()
    with pytest.raises(TypeError):
        DEFAULT_POLICY.rules[0].targets[FIRST] = Target(HOUR)


# -- versions


def test_versions_tell_policies_apart():
    """By what they say: the same in every process, another when anything changes."""
    one = Policy([Rule({FIRST: Target(HOUR)})])
    same = Policy([Rule({FIRST: Target(timedelta(minutes=60))})])
    others = [
        Policy([Rule({FIRST: Target(2 * HOUR)})]),
        Policy([Rule({FIRST: Target(HOUR, warn_at=HOUR / 2)})]),
        Policy([Rule({FIRST: Target(HOUR)}, tag="vip")]),
        Policy([Rule({FIRST: Target(HOUR)})], responders=[AgentKind.person]),
        Policy([Rule({FIRST: Target(HOUR, Calendar("UTC", {"mon": "09:00-17:00"}))})]),
    ]
    assert policy_version(one) == policy_version(same)
    assert 6 == len({policy_version(policy) for policy in [one, *others]})
    orders = [Policy([], responders=kinds) for kinds in (["bot", "person"], ["person", "bot"])]
    assert 1 == len({policy_version(policy) for policy in orders})


class Own:
    """A policy of one's own: one method is enough."""

    def targets(self, conversation):
        """Owe an answer within an hour."""
        return {FIRST: Target(HOUR)}


class Named(Own):
    """One that says which version it is."""

    version = "2026-01"


class Unnamed(Own):
    """One whose version says nothing."""

    version = ""


def test_a_policy_of_ones_own_has_a_version():
    """Its own word, or its class's name: never the address in memory, which changes with
    each process and would have every conversation judged anew.
    """
    assert "2026-01" == policy_version(Named())
    assert policy_version(Own()) == policy_version(Own())
    assert policy_version(Own()) != policy_version(Unnamed())
