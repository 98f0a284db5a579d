"""The circuit breaker, by given time."""

from hypothesis import given
from hypothesis import strategies as st

from pricing.exchanges.breaker import (
    FAILURES_MAX,
    OPEN_SECONDS,
    OPEN_SECONDS_MAX,
    Breaker,
    State,
)


def opened(now: float = 0.0) -> Breaker:
    """A breaker that has just had too many failures."""
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        breaker = breaker.after_failure(now)
    return breaker


def test_it_opens_at_the_last_failure_allowed_and_not_before() -> None:
    """A success in between begins the count anew."""
    breaker = Breaker()
    for _ in range(FAILURES_MAX - 1):
        breaker = breaker.after_failure(0.0)
    assert breaker.admits(0.0)

    assert breaker.after_success().after_failure(0.0).admits(0.0)
    assert not breaker.after_failure(0.0).admits(0.0)


def test_after_its_time_one_probe_decides() -> None:
    """It closes at a success; at a failure it opens for twice as long."""
    breaker = opened()
    assert State.OPEN is breaker.state(OPEN_SECONDS - 0.001)
    assert State.HALF_OPEN is breaker.state(OPEN_SECONDS)

    assert State.CLOSED is breaker.after_success().state(OPEN_SECONDS)
    again = breaker.after_failure(OPEN_SECONDS)
    assert State.OPEN is again.state(3 * OPEN_SECONDS - 0.001)
    assert State.HALF_OPEN is again.state(3 * OPEN_SECONDS)


def test_an_exchange_that_stays_away_is_asked_less_often_down_to_a_bound() -> None:
    """Four probes a minute: five quick failures, then ever longer pauses."""
    breaker, now, calls = Breaker(), 0.0, 0
    while now < 3600.0:
        if breaker.admits(now):
            breaker, calls = breaker.after_failure(now), calls + 1
        now += 1.0

    assert 3600 / OPEN_SECONDS_MAX <= calls <= 3600 / OPEN_SECONDS_MAX + FAILURES_MAX + 5


def test_a_wish_to_be_left_alone_is_heeded_at_once() -> None:
    """For as long as wished, from the first time on; the next opening is not longer for it."""
    breaker = Breaker().after_throttling(10.0, 120.0)

    assert not breaker.admits(129.9)
    assert State.HALF_OPEN is breaker.state(130.0)
    assert not breaker.after_failure(130.0).admits(130.0 + OPEN_SECONDS - 0.1)
    assert breaker.after_failure(130.0).admits(130.0 + OPEN_SECONDS)


@given(st.lists(st.tuples(st.sampled_from(["good", "bad", "wait"]), st.floats(0.1, 100.0))))
def test_it_is_never_open_for_longer_than_the_bound_or_the_wish(
    events: list[tuple[str, float]],
) -> None:
    """Whatever happened, it admits a call again; a success always closes it."""
    breaker, now = Breaker(), 0.0
    for event, seconds in events:
        now += seconds
        match event:
            case "good":
                breaker = breaker.after_success()
                assert breaker.state(now) is State.CLOSED
            case "bad":
                breaker = breaker.after_failure(now)
                assert breaker.admits(now + OPEN_SECONDS_MAX)
            case _:
                breaker = breaker.after_throttling(now, seconds)
                assert not breaker.admits(now + seconds * 0.99)
                assert breaker.admits(now + seconds * 1.01)
