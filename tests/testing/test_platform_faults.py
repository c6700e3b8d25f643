"""The plan of faults: which request is struck, by what, and that a seed decides it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supportflow.testing.platforms.faults import WIRE_FAULTS, Fault, Shape
from supportflow.testing.platforms.plan import Asked, FaultPlan, meant

POST, GET = Asked("POST", "/api/v1/statuses"), Asked("GET", "/api/v1/notifications")
requests = st.lists(st.sampled_from([POST, GET]), max_size=60)


def kinds(plan: FaultPlan, asked: list[Asked]) -> list[str | None]:
    """Draw for each request and return the kinds."""
    drawn = [plan.draw(each, write=each.method == "POST") for each in asked]
    return [fault.kind if fault else None for fault in drawn]


def test_queued_faults_strike_in_order_where_they_match():
    """A fault waits for its own request; others pass it by."""
    plan = FaultPlan()
    plan.next("error_before", match="POST *")
    plan.next("rate_limited", match="GET *", times=2)
    assert ("error_before", "rate_limited", "rate_limited") == plan.waiting()
    assert ["rate_limited", "error_before", None, "rate_limited", None] == kinds(
        plan, [GET, POST, POST, GET, GET]
    )
    assert ({"rate_limited": 2, "error_before": 1}, ()) == (plan.struck, plan.waiting())


@pytest.mark.parametrize(
    ("match", "is_meant"),
    [
        ("*", True),
        ("/api/v1/statuses", True),
        ("*/statuses", True),
        ("POST *", True),
        ("POST /api/v1/*", True),
        ("GET *", False),
        ("/api/v2/*", False),
        ("post *", False),
        (lambda request: request.path.endswith("s"), True),
    ],
)
def test_a_match_is_a_pattern_or_a_predicate(match, is_meant):
    """Text with a space names the method too; case counts."""
    assert is_meant == meant(match, POST)


def test_an_unknown_kind_is_refused_when_it_is_planned():
    """A misspelt fault must not be a test that tests nothing."""
    plan = FaultPlan()
    for plans in (lambda: plan.next("respnse_lost"), lambda: plan.at_random(0.1, ["lagg"])):
        with pytest.raises(ValueError, match="known: cut, error_after"):
            plans()


def test_a_platform_adds_kinds_of_its_own():
    """They are queued and drawn as the common ones are."""
    plan = FaultPlan({"lag": Shape(accepts=True, reads=False)})
    fault = plan.next("lag", reads=5, lasts=timedelta(seconds=9))
    assert (True, 5, timedelta(seconds=9)) == (fault.accept, fault.reads, fault.lasts)
    plan.at_random(1.0, ["lag"])
    assert ["lag", None, "lag"] == kinds(plan, [POST, GET, POST])


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_is_a_share(rate):
    """Outside 0 to 1 it means nothing."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        FaultPlan().at_random(rate)


@given(st.integers(0, 2**32), st.floats(0, 1), requests)
def test_the_same_seed_strikes_the_same_requests(seed, rate, asked):
    """A run that failed can be run again."""
    runs = []
    for _ in range(2):
        plan = FaultPlan()
        plan.at_random(rate, seed=seed)
        runs.append(kinds(plan, asked))
    assert runs[0] == runs[1]


@given(st.integers(0, 2**32), requests)
def test_a_rate_of_one_strikes_all_with_what_fits_them(seed, asked):
    """Reads never meet a fault that is one of writes only."""
    plan = FaultPlan()
    plan.at_random(1.0, seed=seed)
    for request, kind in zip(asked, kinds(plan, asked), strict=True):
        assert kind is not None
        assert WIRE_FAULTS[kind].reads or request.method == "POST"


def test_a_rate_of_zero_and_clear_end_it():
    """After a storm the platform can be made calm."""
    plan = FaultPlan()
    for calms in (lambda: plan.at_random(0), plan.clear):
        plan.at_random(1.0)
        plan.next("html")
        calms()
        plan.clear()
        assert [None, None] == kinds(plan, [GET, POST])


def test_a_rate_strikes_about_its_share():
    """20 % of 2,000 is within four standard deviations of 400."""
    plan = FaultPlan()
    plan.at_random(0.2, seed=11)
    struck = sum(kind is not None for kind in kinds(plan, [POST] * 2_000))
    assert 330 < struck < 470


def test_release_lets_go_all_that_is_held_and_only_once_struck():
    """A fault that still waits for its request is not released before it begins."""
    plan = FaultPlan()
    struck, waiting = plan.next("held"), plan.next("held")
    assert struck is plan.draw(POST, write=True)
    plan.release()
    assert (True, False) == (struck.released.is_set(), waiting.released.is_set())
    plan.settle(struck)


def test_a_random_cut_falls_within_an_answer():
    """Its byte is drawn by the same dice, not always 0."""
    plan = FaultPlan()
    plan.at_random(1.0, ["cut"], seed=5)
    drawn: list[Fault | None] = [plan.draw(GET, write=False) for _ in range(20)]
    assert 10 < len({fault.at for fault in drawn if fault})
