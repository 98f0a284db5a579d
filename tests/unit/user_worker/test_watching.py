"""The watch over prices: judged as they are heard, tried until the database has said what is."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from tests.unit.user_worker.fakes import CLAIM, until
from tests.unit.user_worker.watching_house import PACE, House, quote_at, watches

from user_worker.domain.resting import Direction
from user_worker.domain.triggers import Purpose
from user_worker.errors import ClaimLost, DependencyDown
from user_worker.resting_ports import Reached

pytestmark = pytest.mark.virtual_time


async def test_a_price_that_is_met_triggers_what_waits_for_it_and_nothing_else() -> None:
    """Each once, whatever is quoted afterwards."""
    house = House()
    near, far = house.place(100), house.place(50)
    rising = house.place(200, direction=Direction.AT_OR_ABOVE)
    async with house.running():
        await until(lambda: house.waiting.pages >= 2)
        house.feed.say(quote_at(101))
        house.feed.say(quote_at(100))
        house.feed.say(quote_at(99))
        await until(lambda: house.waiting.orders)
        await asyncio.sleep(0.03)

    assert {near} == house.waiting.orders.keys()
    assert {far, rising} == house.waiting.rows.keys()
    assert [1] == house.waiting.batches


async def test_a_price_that_was_met_and_left_again_counts() -> None:
    """It is judged in the moment it is heard."""
    house = House()
    order_id = house.place(100)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        house.feed.say(quote_at(100))
        house.feed.say(quote_at(500))
        await until(lambda: order_id in house.waiting.orders)


@pytest.mark.parametrize("is_heard", [True, False])
async def test_a_stale_quote_triggers_nothing(is_heard: bool) -> None:
    """Neither heard nor as the latest."""
    house = House()
    if not is_heard:
        house.feed.say(quote_at(1, age=10.5))
    house.place(100)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.02)
        if is_heard:
            house.feed.say(quote_at(1, age=10.5))
        await asyncio.sleep(0.02)
        assert {} == house.waiting.orders
        house.feed.say(quote_at(1, age=9.5))
        await until(lambda: house.waiting.orders)


async def test_a_new_owner_judges_what_it_reads_by_the_latest_quote() -> None:
    """All pages of it."""
    house = House()
    ids = {house.place(100) for _ in range(5)}
    house.feed.say(quote_at(99))
    async with house.running():
        await until(lambda: len(house.waiting.orders) == 5)
    assert ids == house.waiting.orders.keys()
    assert 3 == house.waiting.pages


async def test_what_is_placed_while_its_shard_is_read_is_watched_once() -> None:
    """And judged at once when its price is met already."""
    house = House()
    house.waiting.gate = asyncio.Event()
    async with house.running():
        await until(lambda: house.waiting.pages)
        house.feed.say(quote_at(99))
        order_id = house.place(100, is_told=True)
        await until(lambda: order_id in house.waiting.orders)
        house.waiting.gate.set()
        await asyncio.sleep(0.02)
    assert 1 == sum(house.waiting.batches)


async def test_what_is_cancelled_is_watched_no_longer() -> None:
    """Also when its price was met just before."""
    house = House()
    order_id = house.place(100)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        del house.waiting.rows[order_id]
        house.feed.say(quote_at(100))
        house.watcher.remove(CLAIM, order_id)
        await asyncio.sleep(0.02)
    assert [] == house.waiting.batches


async def test_what_a_freeze_cancelled_is_watched_no_longer() -> None:
    """Nobody names it: the shard is read again, and what is not found is let go. A limit order
    whose price was met is neither, and the venue is not asked about it any more.
    """
    house = House()
    house.market.venue.price = Decimal(101)
    for _ in range(5):
        house.place(50)
    house.place(100, Purpose.LIMIT)
    kept = house.place(50)
    async with house.running():
        await until(lambda: house.waiting.pages >= 4)
        house.feed.say(quote_at(100))
        await until(lambda: house.market.way.calls)
        assert 7 == watches()
        house.waiting.rows = {kept: house.waiting.rows[kept]}
        house.watcher.read_again(CLAIM)
        await until(lambda: watches() == 1)
        looked = house.market.way.calls
        await asyncio.sleep(0.03)
        assert looked == house.market.way.calls
        house.feed.say(quote_at(50))
        await until(lambda: kept in house.waiting.orders)
    assert [1] == house.waiting.batches


async def test_what_is_placed_behind_the_page_being_read_is_watched() -> None:
    """It is not found, and is not let go: it began to wait after the reading had begun."""
    house = House()
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        house.waiting.gate = asyncio.Event()
        house.watcher.read_again(CLAIM)
        pages = house.waiting.pages
        await until(lambda: house.waiting.pages > pages)
        order_id = house.place(100, is_told=True)
        house.waiting.gate.set()
        await asyncio.sleep(0.02)
        house.feed.say(quote_at(100))
        await until(lambda: order_id in house.waiting.orders)


async def test_a_trigger_whose_answer_was_lost_outlives_a_reading() -> None:
    """It waits no longer, since it is an order: that is still to be carried out."""
    house = House()
    order_id = house.place(100)
    await house.watcher.read()
    house.feed.say(quote_at(100))
    house.waiting.failures = [DependencyDown("database", "answer lost")]
    with pytest.raises(DependencyDown):
        await house.watcher.act()
    house.watcher.read_again(CLAIM)
    await house.watcher.read()
    await asyncio.sleep(PACE.look_again_seconds)
    await house.watcher.act()
    assert house.carrying_out.has(CLAIM, order_id)
    await house.carrying_out.close()


async def test_a_lost_answer_is_asked_for_again_and_meets_the_order() -> None:
    """It was made, and is carried out."""
    house = House()
    order_id = house.place(100)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        house.waiting.failures = [DependencyDown("database", "answer lost")]
        house.feed.say(quote_at(100))
        await until(lambda: len(house.waiting.batches) == 2)
        await until(lambda: house.carrying_out.has(CLAIM, order_id))
    assert {order_id} == house.waiting.orders.keys()


async def test_what_finds_no_room_is_tried_until_it_does() -> None:
    """Though the price has gone away meanwhile."""
    house = House()
    house.waiting.room = 0
    order_id = house.place(100)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        house.feed.say(quote_at(100))
        house.feed.say(quote_at(500))
        await until(lambda: len(house.waiting.batches) >= 3)
        assert {} == house.waiting.orders
        house.waiting.room = 1
        await until(lambda: order_id in house.waiting.orders)


async def test_a_limit_order_triggers_only_when_the_venue_would_execute_it() -> None:
    """Its quote is met long before, but for the spread."""
    house = House()
    house.market.venue.price = Decimal(101)
    order_id = house.place(100, Purpose.LIMIT)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        house.feed.say(quote_at(100))
        looked = house.market.way.calls
        await until(lambda: house.market.way.calls >= looked + 3)
        assert [] == house.waiting.batches
        house.market.venue.price = Decimal(100)
        await until(lambda: order_id in house.waiting.orders)


async def test_a_limit_order_whose_price_has_gone_waits_for_it_anew() -> None:
    """Nobody is asked about it until then."""
    house = House()
    house.market.venue.price = Decimal(101)
    order_id = house.place(100, Purpose.LIMIT)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        house.feed.say(quote_at(100))
        house.feed.say(quote_at(500))
        await until(lambda: house.market.way.calls)
        await asyncio.sleep(0.03)
        assert 1 == house.market.way.calls
        house.market.venue.price = Decimal(99)
        house.feed.say(quote_at(99))
        await until(lambda: order_id in house.waiting.orders)


async def test_a_limit_order_without_room_asks_the_venue_anew_before_it_triggers() -> None:
    """By the time there is room its price may have gone."""
    house = House()
    house.waiting.room = 0
    order_id = house.place(100, Purpose.LIMIT)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        house.feed.say(quote_at(100))
        await until(lambda: house.waiting.batches)
        house.market.venue.price = Decimal(101)
        await asyncio.sleep(0.03)
        tried = len(house.waiting.batches)
        house.waiting.room = 1
        await asyncio.sleep(0.05)
        assert tried == len(house.waiting.batches)
        house.market.venue.price = Decimal(100)
        await until(lambda: order_id in house.waiting.orders)


async def test_a_venue_that_is_away_holds_no_stop_back() -> None:
    """The limit order is asked about again."""
    house = House()
    house.market.way.faults = iter([])

    async def away(*_: object) -> None:
        raise DependencyDown("venue", "away")

    real = house.market.venue.preview
    house.market.venue.preview = away  # type: ignore[assignment, method-assign]
    limit, stop = house.place(100, Purpose.LIMIT), house.place(100)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        house.feed.say(quote_at(100))
        await until(lambda: stop in house.waiting.orders)
        assert limit not in house.waiting.orders
        house.market.venue.preview = real  # type: ignore[method-assign]
        await until(lambda: limit in house.waiting.orders)


async def test_an_alert_is_reached_by_the_quote_that_met_it_and_wakes_the_teller() -> None:
    """Not by the one that came before it was acted upon."""
    house = House()
    alert_id = house.place(100, Purpose.ALERT, Direction.AT_OR_ABOVE)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        house.feed.say(quote_at(105))
        house.feed.say(quote_at(120))
        await until(lambda: house.waiting.reached)
        await until(house.carrying_out.ended_untold.is_set)
    assert [Reached(alert_id, quote_at(105))] == house.waiting.reached


@pytest.mark.parametrize("purpose", [Purpose.MARKET, Purpose.ALERT])
async def test_a_lost_claim_gives_the_shard_up(purpose: Purpose) -> None:
    """Whichever write met it."""
    house = House()
    house.place(100, purpose)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        house.waiting.failures = [ClaimLost(str(CLAIM))]
        house.feed.say(quote_at(100))
        await until(lambda: house.lost)


async def test_a_shard_that_is_given_up_is_watched_no_longer() -> None:
    """What it waited for is the next owner's."""
    house = House()
    house.place(100)
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        await house.carrying_out.finish(CLAIM, 0.0)
        house.feed.say(quote_at(100))
        await asyncio.sleep(0.03)
        assert [] == house.waiting.batches
        house.carrying_out.begin(CLAIM, lambda: None)
        await until(lambda: house.waiting.orders)


async def test_what_has_waited_in_vain_is_ended_and_watched_no_longer() -> None:
    """The teller is woken."""
    house = House()
    order_id = house.place(100)
    async with house.running():
        await until(lambda: house.waiting.pages)
        house.waiting.past = [order_id]
        await until(house.carrying_out.ended_untold.is_set)
        house.feed.say(quote_at(100))
        await asyncio.sleep(0.02)
    assert [] == house.waiting.batches


async def test_an_unknown_write_has_the_shard_read_again() -> None:
    """What it may have placed is found."""
    house = House()
    async with house.running():
        await until(lambda: house.waiting.pages)
        await asyncio.sleep(0.01)
        order_id = house.place(100)
        house.feed.say(quote_at(100))
        await asyncio.sleep(0.02)
        assert {} == house.waiting.orders
        house.watcher.read_again(CLAIM)
        await until(lambda: order_id in house.waiting.orders)


async def test_a_page_that_cannot_be_read_is_read_again() -> None:
    """Until it can."""
    house = House()
    house.waiting.failures = [DependencyDown("database", "away")] * 3
    order_id = house.place(100)
    house.feed.say(quote_at(100))
    async with house.running():
        await until(lambda: order_id in house.waiting.orders)


async def test_many_are_triggered_in_bounded_batches() -> None:
    """At once, without waiting for a period."""
    house = House(replace(PACE, batch_max=10, page_rows=1000))
    for _ in range(95):
        house.place(100)
    house.feed.say(quote_at(100))
    async with house.running():
        await until(lambda: len(house.waiting.orders) == 95)
    assert max(house.waiting.batches) <= 10
    assert 95 == sum(house.waiting.batches)
