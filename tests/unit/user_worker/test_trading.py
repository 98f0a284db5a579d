"""What the conversation is answered when it asks for drafts and orders."""

import asyncio
from contextlib import suppress
from decimal import Decimal
from uuid import uuid4

import pytest
from tests.unit.user_worker.fakes import ANN, BEN, CLAIM, until
from tests.unit.user_worker.fakes_trading import (
    Fault,
)
from tests.unit.user_worker.trading_house import RHYTHM, WISH, House

from user_worker.application.resuming import Resumer
from user_worker.application.trading import HINDERED_SECONDS
from user_worker.domain.carrying_out import BooksSaid
from user_worker.domain.orders import (
    Draft,
    DraftState,
    OrderState,
    Refusal,
    Refused,
    Side,
    Units,
    Wish,
)
from user_worker.domain.pauses import Pauses
from user_worker.errors import ClaimLost

pytestmark = pytest.mark.virtual_time
LONG = Pauses(60.0, 60.0)


async def test_a_wish_is_resolved_once_and_the_job_that_runs_again_meets_the_draft() -> None:
    """Though the price has moved meanwhile, and the money is gone."""
    house, job_id = House(), uuid4()
    draft = await house.trading.propose(CLAIM, job_id, ANN, WISH, 100)
    house.venue.price, house.ledger.posted = Decimal(50), Decimal(0)
    again = await house.trading.propose(CLAIM, job_id, ANN, WISH, 100)

    assert isinstance(draft, Draft)
    assert (Decimal(100), Decimal(1)) == (draft.spend.value, draft.receive.value)
    assert draft == again
    assert {} == house.market.orders.rows


async def test_a_user_who_never_said_start_is_given_an_account_and_a_sentence() -> None:
    """Nothing to spend is said, not raised."""
    house = House()
    house.ledger.posted = Decimal(0)

    found = await house.trading.propose(CLAIM, uuid4(), ANN, WISH, 100)
    assert Refusal(Refused.NOTHING_TO_SPEND, symbol="USDT") == found
    assert 1 == house.ledger.calls
    assert {} == house.drafts.kept


async def test_an_unknown_symbol_is_refused_before_anybody_is_asked() -> None:
    """No account is opened for it."""
    house = House()
    wish = Wish(Side.BUY, "NOPE", Units(Decimal(1)))

    found = await house.trading.propose(CLAIM, uuid4(), ANN, wish, 100)
    assert Refusal(Refused.UNKNOWN_SYMBOL) == found
    assert 0 == house.ledger.calls


async def test_a_confirmed_draft_is_filled_while_the_job_waits() -> None:
    """Nobody has to be told later."""
    house = House()
    draft = house.offer()
    order = await house.confirm(draft)

    assert [OrderState.FILLED, 100, 1] == [order.state, order.spent, order.received]
    assert not house.market.orders.rows[draft.draft_id].is_event
    assert order == await house.confirm(draft)
    assert 1 == house.venue.executions


async def test_two_presses_at_once_are_one_order() -> None:
    """Both jobs wait for the same task."""
    house = House()
    house.venue.gate.clear()
    draft = house.offer()
    jobs = asyncio.gather(house.confirm(draft), house.confirm(draft))
    await until(lambda: house.venue.submissions)
    await asyncio.sleep(0.01)
    house.venue.gate.set()
    one, other = await jobs

    assert one == other
    assert (1, 1) == (house.venue.submissions, house.venue.executions)


@pytest.mark.parametrize("state", [DraftState.CANCELLED, DraftState.EXPIRED])
async def test_what_is_not_open_is_given_back_and_nothing_changes(state: DraftState) -> None:
    """And a draft of somebody else's does not exist."""
    house = House()
    draft = house.offer(state=state)

    assert draft == await house.trading.confirm(CLAIM, ANN, draft.draft_id)
    assert None is await house.trading.confirm(CLAIM, BEN, draft.draft_id)
    assert None is await house.trading.confirm(CLAIM, ANN, uuid4())
    assert {} == house.market.orders.rows
    assert {} == house.market.books.answers


async def test_an_order_that_takes_long_is_told_later() -> None:
    """The job is answered with the order as it stands; the order goes on without it."""
    house = House(wait_seconds=0.02)
    house.venue.gate.clear()
    draft = house.offer()
    order = await house.confirm(draft)
    assert OrderState.SUBMITTED is order.state

    house.venue.gate.set()
    await until(lambda: house.row(draft).state is OrderState.FILLED)
    assert house.market.orders.rows[draft.draft_id].is_event


async def test_a_job_that_is_cancelled_does_not_take_its_order_along() -> None:
    """Its end is told by an event, since nobody waits any more."""
    house = House()
    house.venue.gate.clear()
    draft = house.offer()
    job = asyncio.create_task(house.confirm(draft))
    await until(lambda: house.venue.submissions)
    job.cancel()
    with suppress(asyncio.CancelledError):
        await job

    house.venue.gate.set()
    await until(lambda: house.row(draft).state is OrderState.FILLED)
    assert house.market.orders.rows[draft.draft_id].is_event


async def test_the_resumer_and_the_job_meet_at_one_task() -> None:
    """The order is under way when the resumer looks; it looks away."""
    house = House()
    house.venue.gate.clear()
    draft = house.offer()
    job = asyncio.create_task(house.confirm(draft))
    await until(lambda: house.venue.submissions)
    resumer = Resumer(house.market.orders, house.carrying_out, 10, RHYTHM)
    await resumer.look()

    house.venue.gate.set()
    assert OrderState.FILLED is (await job).state
    assert 1 == house.venue.submissions
    assert not house.market.orders.rows[draft.draft_id].is_event


async def test_a_lost_claim_reaches_the_job_and_the_shard() -> None:
    """Whichever store says so first."""
    house = House([None, Fault.CLAIMED_ELSEWHERE])
    with pytest.raises(ClaimLost):
        await house.confirm(house.offer())
    assert [CLAIM] == house.lost


async def test_a_dropped_shard_stops_its_orders_at_once_and_starts_none() -> None:
    """What was recorded stays for the next owner."""
    house = House(wait_seconds=0.02)
    house.venue.gate.clear()
    draft = house.offer()
    await house.confirm(draft)
    house.carrying_out.stop(CLAIM)

    assert [] == house.carrying_out.claims()
    house.venue.gate.set()
    await asyncio.sleep(0.01)
    assert OrderState.SUBMITTED is house.row(draft).state
    assert 0 == house.venue.executions
    assert OrderState.ACCEPTED is (await house.confirm(house.offer())).state


async def test_a_drain_lets_an_order_end_and_cuts_one_that_hangs() -> None:
    """Within the bound it was given."""
    house = House(wait_seconds=0.01)
    house.venue.gate.clear()
    draft = house.offer()
    await house.confirm(draft)
    finishing = asyncio.create_task(house.carrying_out.finish(CLAIM, 5.0))
    await asyncio.sleep(0.01)
    house.venue.gate.set()
    assert 0 == await finishing
    assert OrderState.FILLED is house.row(draft).state

    hanging = House(wait_seconds=0.01)
    hanging.venue.gate.clear()
    await hanging.confirm(hanging.offer())
    assert 1 == await hanging.carrying_out.finish(CLAIM, 0.02)


async def test_a_drain_does_not_wait_for_an_order_at_rest() -> None:
    """Its dependency is down: the next owner goes on with it."""
    house = House([None, Fault.NEVER_ARRIVED], wait_seconds=0.01, pauses=LONG)
    draft = house.offer()
    await house.confirm(draft)

    async with asyncio.timeout(2):
        assert 0 == await house.carrying_out.finish(CLAIM, 30.0)
    assert OrderState.ACCEPTED is house.row(draft).state


@pytest.mark.parametrize(
    "said", [BooksSaid.NOT_FOUND, BooksSaid.ALREADY_VOIDED, BooksSaid.IDEMPOTENCY_MISMATCH]
)
async def test_an_answer_that_cannot_be_ends_nothing(said: BooksSaid) -> None:
    """The books do not know the hold of an executed order: it stays, and is asked again."""
    house = House(wait_seconds=0.05)
    house.market.books.impossible = said
    draft = house.offer()
    order = await house.confirm(draft)
    assert OrderState.EXECUTED is order.state

    house.market.books.impossible = None
    await until(lambda: house.row(draft).state is OrderState.FILLED)
    assert 1 == house.market.books.applied["fill"]


async def test_a_record_that_changes_nothing_is_trouble_not_a_loop() -> None:
    """A row of another shard, say: it is looked at, not tried a thousand times a second."""
    house = House([None, Fault.TIME_PASSED], wait_seconds=0.05, troubles=LONG)
    house.market.orders.is_deaf = True
    order = await house.confirm(house.offer())

    assert OrderState.ACCEPTED is order.state
    assert house.market.way.calls < 10
    await house.carrying_out.close()


async def test_the_resumer_takes_up_what_it_finds_after_a_claim_and_survives_an_outage() -> None:
    """Woken by the claim, long before its period."""
    house = House([None, Fault.DIED_BEFORE])
    draft = house.offer()
    with suppress(BaseException):
        await house.confirm(draft)
    house.market.way.is_dead = False
    house.market.way.faults = iter([Fault.NEVER_ARRIVED, Fault.NEVER_ARRIVED])
    resumer = Resumer(house.market.orders, house.carrying_out, 10, RHYTHM)
    running = asyncio.create_task(resumer.run())
    try:
        await until(lambda: house.row(draft).state is OrderState.FILLED)
    finally:
        running.cancel()
    assert house.market.orders.rows[draft.draft_id].is_event


async def test_a_job_does_not_wait_long_for_an_order_somebody_does_not_answer_for() -> None:
    """It keeps others from their turn: a moment for a restart, then it is told later."""
    house = House(wait_seconds=30.0, pauses=LONG)
    house.market.way.faults = iter([None, Fault.NEVER_ARRIVED])
    draft = house.offer()
    began = asyncio.get_running_loop().time()
    order = await house.confirm(draft)

    assert OrderState.ACCEPTED is order.state
    assert asyncio.get_running_loop().time() - began < HINDERED_SECONDS + 1
    assert house.market.orders.rows[draft.draft_id].tell_later
    await house.carrying_out.close()


async def test_nothing_runs_after_closing() -> None:
    """Whatever hangs is cancelled and waited for."""
    house = House(wait_seconds=0.01)
    house.venue.gate.clear()
    await house.confirm(house.offer())
    await house.carrying_out.close()

    assert [] == house.carrying_out.claims()
    assert 1 == len([t for t in asyncio.all_tasks() if not t.done()])
