"""An order ends once, filled or rejected, whatever happens on the way, and the books agree."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.unit.user_worker.fakes import ANN
from tests.unit.user_worker.fakes_orders import draft_of
from tests.unit.user_worker.fakes_trading import (
    FUNDS,
    Fault,
    Market,
    market_of,
)

from user_worker.application.carrying_out import CarryingOut, CarryingPace
from user_worker.application.recurring import Rhythm
from user_worker.application.resuming import Resumer
from user_worker.domain.carrying_out import (
    Answer,
    Fresh,
    Record,
    Step,
    VenueSaid,
    VenueState,
    next_step,
)
from user_worker.domain.orders import (
    Draft,
    Money,
    Order,
    OrderState,
    Refused,
    Side,
    Wish,
)
from user_worker.domain.pauses import Pauses
from user_worker.errors import DependencyDown

AT_ONCE = Pauses(0.0, 0.0)
PACE = CarryingPace(4, AT_ONCE, AT_ONCE)
LIVES_MAX = 60
Decide = Callable[..., Step]
CALLS_MAX = 24
"""In which faults are met: twice as many as an order needs without any."""
MANY_FAULTS = st.lists(st.one_of(st.none(), st.sampled_from(Fault)), max_size=CALLS_MAX)
FEW_FAULTS = st.dictionaries(
    st.integers(0, CALLS_MAX - 1), st.sampled_from(Fault), min_size=1, max_size=4
).map(lambda faults: [faults.get(call) for call in range(CALLS_MAX)])
SOME_FAULTS = st.one_of(FEW_FAULTS, MANY_FAULTS)
BUY = draft_of(Wish(Side.BUY, "BTC", Money(Decimal(100))))
"""Spends 100 USDT; at the venue's first price of 100 it brings 1 BTC."""


async def carried_to_the_end(market: Market, draft: Draft, decide: Decide = next_step) -> Order:
    """Accept a draft and let worker after worker carry it out, each from the record alone."""
    market.orders.drafts[draft.draft_id] = draft
    for _ in range(LIVES_MAX):
        carrying_out = CarryingOut(market.orders, market.books, market.venue, PACE, decide)
        market.way.is_dead, claim = False, market.way.claim
        carrying_out.begin(claim, lambda: None)
        try:
            await market.orders.accept(claim, ANN, draft.draft_id, "en")
            await Resumer(market.orders, carrying_out, 10, Rhythm(1.0, AT_ONCE, AT_ONCE)).look()
            carried = carrying_out.start(claim, await market.orders.look(draft.draft_id))
            assert carried is not None
            await asyncio.wait({carried.task})
            if carried.task.exception() is None and carried.task.result().state.is_final:
                break
        except DependencyDown:
            pass
        except BaseException as death:
            if type(death).__name__ not in ("Died", "ClaimLost"):
                raise
        carrying_out.stop(claim)
        market.way.epoch += 1  # somebody else claims
    market.way.deliver_late()
    return market.orders.rows[draft.draft_id].order


def assert_right(market: Market, order: Order) -> None:
    """The order, the books and the venue tell the same story, each effect at most once."""
    usdt, btc = market.books.account("paper:USDT"), market.books.account("paper:BTC")
    holds = market.books.holds.get(order.order_id, [])
    assert order.state.is_final
    assert len(holds) <= 1
    assert 0 == usdt.held
    assert market.venue.executions <= 1
    if order.state is OrderState.FILLED:
        assert order.spent is not None
        assert order.received is not None
        assert order.fee is not None
        assert 1 == market.venue.executions
        assert ["posted"] == [hold.state for hold in holds]
        assert FUNDS - order.spent == usdt.posted
        assert order.received - order.fee == btc.posted
        assert {"hold": 1, "fill": 1} == {k: n for k, n in market.books.applied.items() if n}
    else:
        assert order.refused is not None
        assert 0 == market.venue.executions
        assert [] == [hold.state for hold in holds if hold.state != "voided"]
        assert (FUNDS, Decimal(0)) == (usdt.posted, btc.posted)
    for asset_id, account in market.books.accounts.items():
        given_at_first = FUNDS if asset_id == "paper:USDT" else 0
        assert given_at_first == account.posted + market.books.venue[asset_id]
    steps = [step for step, _, _ in market.orders.rows[order.order_id].steps]
    assert len(set(steps)) == len(steps)
    epochs = [epoch for _, _, epoch in market.orders.rows[order.order_id].steps]
    assert sorted(epochs) == epochs


def run(
    faults: Sequence[Fault | None],
    decide: Decide = next_step,
    *,
    price: int = 100,
    funds: int = 1000,
    is_open_first: bool = False,
    forgets_keys: bool = False,
) -> None:
    """Play one story and look at its end."""

    async def story() -> None:
        market = market_of(faults)
        market.books.account("paper:USDT").posted = Decimal(funds)
        market.books.venue["paper:USDT"] = FUNDS - funds  # type: ignore[assignment]
        market.venue.price = Decimal(price)
        market.venue.is_open_first = is_open_first
        market.books.forgets_keys = forgets_keys
        draft = replace(BUY, receive_min=Decimal("0.9"))
        order = await carried_to_the_end(market, draft, decide)
        if funds >= 100:
            assert_right(market, order)
        else:
            assert (OrderState.REJECTED, Refused.INSUFFICIENT_FUNDS) == (order.state, order.refused)
            assert 0 == market.venue.executions

    asyncio.run(story())


@settings(max_examples=400, deadline=None)
@given(SOME_FAULTS, st.sampled_from([100, 50, 200]), st.sampled_from([1000, 99]), st.booleans())
def test_whatever_fails_an_order_ends_once_and_the_books_agree(
    faults: list[Fault | None], price: int, funds: int, is_open_first: bool
) -> None:
    """Lost calls and answers, late arrivals, deaths, newer claims, time passing, a moved price."""
    run(faults, price=price, funds=funds, is_open_first=is_open_first)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("call", range(12))
def test_a_single_fault_at_any_call_changes_nothing(fault: Fault, call: int) -> None:
    """Each gap by itself, so that a failure names it."""
    run([*[None] * call, fault])


async def test_what_the_venue_has_not_heard_of_in_time_is_tombstoned_not_sent_again() -> None:
    """The time passes while it is asked about: the database is looked at before the decision."""
    before_it_is_sent = [None] * 6
    market = market_of([*before_it_is_sent, Fault.NEVER_ARRIVED, None, Fault.TIME_PASSED])
    order = await carried_to_the_end(market, BUY)

    assert (OrderState.REJECTED, Refused.TOO_LATE) == (order.state, order.refused)
    assert 0 == market.venue.executions


def _voids_on_not_found(order: Order, last: Answer | Fresh | None, *, is_late: bool) -> Step:
    said = last.said if isinstance(last, Answer) else None
    if said == VenueSaid(VenueState.NOT_FOUND):
        return Record(OrderState.GIVEN_UP, "venue", "gone", refused=Refused.TOO_LATE)
    return next_step(order, last, is_late=is_late)


def _takes_unknown_for_failed(order: Order, last: Answer | Fresh | None, *, is_late: bool) -> Step:
    if order.state is OrderState.SUBMITTED and last is None:
        return Record(OrderState.GIVEN_UP, "venue", "failed", refused=Refused.TOO_LATE)
    return next_step(order, last, is_late=is_late)


def _gives_an_unanswered_hold_up(
    order: Order, last: Answer | Fresh | None, *, is_late: bool
) -> Step:
    if order.state is OrderState.ACCEPTED and is_late and last is None:
        return Record(OrderState.REJECTED, "hold", "late", refused=Refused.TOO_LATE)
    return next_step(order, last, is_late=is_late)


@pytest.mark.parametrize(
    "decide", [_voids_on_not_found, _takes_unknown_for_failed, _gives_an_unanswered_hold_up]
)
def test_a_saga_that_guesses_loses_money(decide: Decide) -> None:
    """The property finds each of the classical mistakes, so it can be believed."""
    with pytest.raises(AssertionError):
        _search(lambda faults: run(faults, decide))


def test_books_that_forget_their_keys_hold_twice() -> None:
    """The same of a ledger without idempotency keys."""
    with pytest.raises(AssertionError):
        _search(lambda faults: run(faults, forgets_keys=True))


def _search(story: Callable[[list[Fault | None]], None]) -> None:
    """Look for a counterexample, always in the same order."""

    @settings(
        max_examples=500,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(SOME_FAULTS)
    def search(faults: list[Fault | None]) -> None:
        story(faults)

    search()
