"""The load's pure parts: what is sent when, and what is made of the latencies."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.load import schedule
from tests.load.crowd import Ask, Load, answered_by
from tests.load.latency import interval, percentile
from tests.load.mix import ANSWERS, DAY, JUMP, PENDING, PURCHASES, TRADES, Kind, Mix, text_of
from tests.load.watching import DRIVER, Watch, keeps_up, what_broke


@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from([0.25, 0.5, 0.75, 1]))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(
    values: list[float], share: float
) -> None:
    """The least of the values of which that can be said."""
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert sum(value <= found for value in ordered) >= share * len(ordered)
    assert sum(value < found for value in ordered) < max(1, share * len(ordered))


def test_of_nothing_there_is_no_percentile() -> None:
    """NaN, not zero."""
    assert math.isnan(percentile([], 0.5))
    assert all(math.isnan(bound) for bound in interval([], 0.5, seed=1))


def test_an_interval_holds_the_percentile_and_narrows_with_more_values() -> None:
    """As a bootstrap's does."""
    few, many = [float(n % 10) for n in range(40)], [float(n % 10) for n in range(4000)]
    low, high = interval(few, 0.5, seed=1)
    assert low <= percentile(sorted(few), 0.5) <= high
    low_of_many, high_of_many = interval(many, 0.5, seed=1)
    assert high_of_many - low_of_many <= high - low


@pytest.mark.parametrize("mix", [DAY, JUMP, PURCHASES])
def test_a_mix_is_whole(mix: Mix) -> None:
    """Its shares are percents of all, and it never begins with a press."""
    assert sum(mix.shares.values()) == 100
    assert Kind.CONFIRM not in mix.shares
    assert 1 < mix.updates_per_message < 2


def test_the_same_seed_gives_the_same_load() -> None:
    """And another seed another."""
    assert schedule.day(50, 30, DAY, seed=1) == schedule.day(50, 30, DAY, seed=1)
    assert schedule.day(50, 30, DAY, seed=1) != schedule.day(50, 30, DAY, seed=2)


@given(st.integers(0, 1000), st.integers(1, 500))
def test_arrivals_are_in_order_and_within_bounds(seed: int, users: int) -> None:
    """Whoever sends them need not sort."""
    for arrivals in (
        schedule.day(users, 10, DAY, seed),
        schedule.steady(users, 40, 10, DAY, seed),
        schedule.burst(users, JUMP, seed),
    ):
        assert all(one.at <= next_.at for one, next_ in pairwise(arrivals))
        assert all(0 <= arrival.at < 10 and 0 <= arrival.user < users for arrival in arrivals)


def test_a_day_is_busiest_in_the_evening_and_as_busy_as_named() -> None:
    """The peak's two hours hold what the named rate comes to, within four standard deviations."""
    users, seconds = 500, 120.0
    arrivals = schedule.day(users, seconds, DAY, seed=4)
    part = seconds / len(schedule.DAY_CURVE)
    counts = [0] * len(schedule.DAY_CURVE)
    for arrival in arrivals:
        counts[int(arrival.at / part)] += 1
    expected = users * schedule.MESSAGES_PER_USER_HOUR / 3600 * part
    assert counts.index(max(counts)) == schedule.DAY_CURVE.index(1.0)
    assert abs(max(counts) - expected) < 4 * math.sqrt(expected)


def test_a_steady_rate_counts_presses() -> None:
    """120 updates for 100 messages of the day's mix."""
    arrivals = schedule.steady(100, 60, 100, DAY, seed=5)
    trades = sum(arrival.kind in TRADES for arrival in arrivals)
    assert 60 * 100 == pytest.approx(len(arrivals) + trades, rel=0.05)


def test_a_burst_is_everybody_at_once() -> None:
    """Each user once."""
    arrivals = schedule.burst(200, JUMP, seed=6)
    assert {arrival.at for arrival in arrivals} == {0.0}
    assert sorted(arrival.user for arrival in arrivals) == list(range(200))


def test_purchases_of_a_user_differ_and_are_above_what_is_sold() -> None:
    """So each is found in the books again, and what was bought once can be sold."""
    bought = {text_of(Kind.BUY, "BTC", cents) for cents in range(1000)}
    assert len(bought) == 1000
    assert text_of(Kind.BUY, "BTC", 0) == "/buy BTC $20.00"
    assert text_of(Kind.SELL, "BTC", 499) == "/sell BTC $9.99"
    assert str(Ask(0, Kind.CONFIRM, 0.0, "BTC", 7).worth) == "20.07"


def test_rates_climb_by_a_third() -> None:
    """From 25/s to what was asked, not beyond."""
    assert schedule.rates_up_to(106) == [25, 33, 44, 59, 79, 105]


def test_each_kind_has_a_right_answer() -> None:
    """Or nothing it is answered with would count."""
    assert set(ANSWERS) == set(Kind)


def test_only_a_receipt_that_is_not_final_is_waited_over() -> None:
    """Other pages speak of what is under way as well."""
    assert PENDING.search("◷ Buying BTC is under way. I will tell you as soon as it is done.")
    assert not PENDING.search("What you can do\n/orders: what is under way")
    assert not PENDING.search("Your trades\n◷ Buying BTC is under way · receipt 7K3M-9Q2X")


def test_a_card_answers_the_purchase_of_its_worth() -> None:
    """Whatever comes first; what is worth nothing known answers the oldest it is right for."""
    first, second = (Ask(0, Kind.BUY, 0.0, "BTC", cents) for cents in (6, 7))
    price = Ask(0, Kind.PRICE, 0.0, "BTC", 0)
    waiting = [price, first, second]
    assert answered_by("Buy BTC?\n\nYou give: 20.07 USDT\nPrice: 64,000 USDT", waiting) is second
    assert answered_by("Buy BTC?\n\n20.06 USDT\nPrice: 64,000 USDT", waiting) is first
    assert answered_by("BTC  64,000.00 USDT", waiting) is price
    assert answered_by("I cannot get at the prices just now.", [second, first]) is second


def load_of(*latencies: float, refused: int = 0, unanswered: int = 0) -> Load:
    """A load with these right answers, and others."""
    load = Load(0.0)
    answered = [(seconds, False) for seconds in latencies] + [(0.1, True)] * refused
    for seconds, is_refused in answered:
        load.asks.append(Ask(1, Kind.PRICE, 0.0, "BTC", 0, seconds, is_refused))
    load.asks += [Ask(1, Kind.PRICE, 0.0, "BTC", 0) for _ in range(unanswered)]
    return load


def test_keeping_up_means_all_answered_rightly_in_time() -> None:
    """Any refusal, silence or slowness counts."""
    assert keeps_up(load_of(0.1, 0.25))
    assert not keeps_up(load_of(0.1, 0.26))
    assert not keeps_up(load_of(0.1, refused=1))
    assert not keeps_up(load_of(0.1, unanswered=1))
    assert not keeps_up(load_of())


def test_the_verdict_names_symptom_limit_and_queue() -> None:
    """Cores before a single core, a single core before waiting."""
    watch = Watch(cores=2, seconds=10, used={"gateway-0": 9.5, "postgres": 3, DRIVER: 2})
    watch.queues = [{"telegram": 3, "workers": 40}, {"telegram": 80, "workers": 5}]
    slow = load_of(0.1, 3.0, unanswered=2)

    assert what_broke(load_of(0.1), watch) == "nothing"
    watch.machine_used = 19.5
    told = what_broke(slow, watch)
    assert told.startswith(
        "2 of 4 not answered, p99 3000 ms: all 2 cores were busy (gateway-0 95 %"
    )
    assert "strangers 50 %" in told
    assert told.endswith("up to 80 waited at: telegram")
    watch.machine_used = 15.0
    assert "gateway-0, one process, had its core busy" in what_broke(slow, watch)
    watch.used["gateway-0"] = 5.0
    assert "no core was busy" in what_broke(slow, watch)
