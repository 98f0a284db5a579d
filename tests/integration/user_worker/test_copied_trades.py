"""Copied trades in a real PostgreSQL: across shards, each once, by the follower's owner alone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest
from tests.integration.user_worker.copying import (
    FOLLOWERS_SHARD,
    Pair,
    followed,
    sale_of,
    standing_pair,
)
from tests.integration.user_worker.ruled import HELD, execution, offer_of, waiting

from devbox.database import Database
from user_worker.domain.notes import CopiesMissed, CopySkipped
from user_worker.domain.orders import Refused, Rule, Side
from user_worker.domain.rules import CopyState, Stakes, cause_of_copy
from user_worker.errors import ClaimLost
from user_worker.rule_ports import Held, LeaderTrade
from user_worker.trading_ports import EndEvent, Seen

END = "UPDATE worker.orders SET state = 'filled', ended_at = clock_timestamp() WHERE order_id = $1"


@pytest.fixture
async def pair(database: Database) -> AsyncIterator[Pair]:
    """Somebody who copies somebody else."""
    async with standing_pair(database) as pair:
        yield pair


async def test_a_leaders_fill_is_copied_once_by_the_followers_owner(pair: Pair) -> None:
    """Its cause is the leader's order; its end is told."""
    leaders_order = await pair.trade()
    assert [] == list(await pair.room.copies.to_take([pair.leaders], 600, 10))
    (trade,) = await pair.to_take()
    assert (Side.BUY, "BTC", leaders_order.order_id, pair.copy, "de") == (
        *(trade.side, trade.symbol, trade.leader_order_id),
        *(trade.copy, trade.language),
    )
    came = await asyncio.gather(*[pair.room.copies.take(trade, offer_of()) for _ in range(4)])
    assert [Held.GONE] * 3 == [c for c in came if not isinstance(c, Seen)]
    assert [] == await pair.to_take()

    cause = cause_of_copy(pair.copy.copy_id, leaders_order.order_id)
    draft = await pair.room.drafts.of_job(pair.follower, cause)
    assert draft is not None
    assert Rule.COPY is draft.rule
    order = (await pair.room.orders.look(draft.draft_id)).order
    await pair.room.refused(order, pair.followers)
    (event,) = await pair.room.events.unrelayed([pair.followers], 10)
    assert isinstance(event, EndEvent)


async def test_a_stale_owner_and_one_of_another_shard_copy_nothing(pair: Pair) -> None:
    """The follower's row is in the follower's shard."""
    await pair.trade()
    (trade,) = await pair.to_take()
    await pair.room.claim_shard(FOLLOWERS_SHARD)
    for write in (pair.room.copies.take(trade, offer_of()), pair.room.copies.skip(trade, None)):
        with pytest.raises(ClaimLost):
            await write
    stranger = LeaderTrade(
        pair.leaders, trade.copy, "", trade.leader_order_id, trade.side, trade.symbol
    )
    assert Held.GONE is await pair.room.copies.take(stranger, offer_of())
    assert [] == await pair.room.rows("copied")


async def test_a_fill_that_commits_late_is_found_late(pair: Pair) -> None:
    """Marks are per trade: what was taken after it hides nothing."""
    early = await pair.room.executed(await pair.order(offer_of("ETH")), pair.leaders)
    async with pair.room.owner.transaction():
        await pair.room.owner.execute(END, early.order_id)
        late = await pair.trade()
        assert [late.order_id] == [trade.leader_order_id for trade in await pair.to_take()]
        await pair.taken()

    assert [early.order_id] == [trade.leader_order_id for trade in await pair.to_take()]


async def test_a_sale_waits_for_a_purchase_before_it_whose_end_commits_late(pair: Pair) -> None:
    """Else nothing would be sold of what is bought for good a moment later."""
    await pair.room.filled(await pair.order(), pair.leaders, "1")
    await pair.taken()
    purchase = await pair.room.executed(await pair.order(), pair.leaders, "9")
    async with pair.room.owner.transaction():
        await pair.room.owner.execute(END, purchase.order_id)
        sale = await pair.trade(sale_of("5"), units="5")
        after = await pair.trade()
        other = await pair.trade(offer_of("ETH"))
        assert [other.order_id] == [trade.leader_order_id for trade in await pair.to_take()]

    found = [trade.leader_order_id for trade in await pair.to_take()]
    assert [purchase.order_id, sale.order_id, after.order_id] == found[:3]


async def test_whatever_was_executed_before_a_sale_is_part_of_what_was_held(pair: Pair) -> None:
    """However late its end is recorded: the leader could sell it, and half of it is half."""
    await pair.trade(units="1")
    purchase = await pair.room.executed(await pair.order(), pair.leaders, "9")
    sale = await pair.trade(sale_of("5"), units="5")
    await pair.room.ended(purchase, pair.leaders)

    assert Stakes(Decimal(5), Decimal(10), Decimal(0)) == await pair.stakes(sale)


@pytest.mark.parametrize("is_committed", [True, False])
async def test_executions_of_one_symbol_are_counted_in_the_order_of_their_commits(
    pair: Pair, *, is_committed: bool
) -> None:
    """The second waits until the first is committed, or was not there."""
    room = pair.room
    purchase, sale = await pair.order(), await pair.order(sale_of("5"))
    held = (await room.orders.record(pair.leaders, sale, HELD, nobody_waits=True)).order
    await room.orders.record(pair.leaders, purchase, HELD, nobody_waits=True)
    begun = room.owner.transaction()
    await begun.start()
    await room.owner.execute(
        "UPDATE worker.orders SET state = 'executed', spent = 100, received = 9, fee = 1"
        " WHERE order_id = $1",
        purchase.order_id,
    )
    selling = await waiting(
        room.owner,
        room.orders.record(pair.leaders, held, execution(held, "5"), nobody_waits=True),
    )
    await (begun.commit() if is_committed else begun.rollback())
    await selling

    numbers = "SELECT trade_number, held_before FROM worker.orders WHERE order_id = $1"
    expected = (2, Decimal(8)) if is_committed else (1, Decimal(0))
    assert [expected] == [tuple(row) for row in await room.owner.fetch(numbers, sale.order_id)]


async def test_what_was_copied_is_not_copied_on_and_what_was_before_is_not_copied(
    pair: Pair,
) -> None:
    """No loops, however two follow one another."""
    share = await pair.room.shares.share(pair.followers, pair.follower)
    back = await followed(pair.room, pair.leaders, pair.leader, share)
    await pair.trade()
    await pair.room.filled(await pair.taken(), pair.followers)
    assert CopyState.ACTIVE is back.state
    assert [] == list(await pair.room.copies.to_take([pair.leaders, pair.followers], 600, 10))

    late = await followed(pair.room, pair.followers, uuid4(), pair.share)
    assert late.copy_id not in {trade.copy.copy_id for trade in await pair.to_take()}


async def test_a_sale_is_measured_by_what_the_leader_had_and_the_follower_copied(
    pair: Pair,
) -> None:
    """By the orders on record, those of the same symbol and this copy alone."""
    await pair.trade(units="8")
    bought = await pair.taken()
    await pair.trade(offer_of("ETH"), units="100")
    sale = await pair.trade(sale_of("2"), units="2")
    assert None is await pair.stakes(sale)
    await pair.room.filled(bought, pair.followers, "0.1")
    own = await pair.room.accepted(pair.followers, pair.follower)
    await pair.room.filled(own, pair.followers, "50")

    assert Stakes(Decimal(2), Decimal(8), Decimal("0.1")) == await pair.stakes(sale)
    (trade,) = [t for t in await pair.to_take() if t.leader_order_id == sale.order_id]
    copied = await pair.room.copies.take(trade, sale_of("0.025"))
    assert isinstance(copied, Seen)
    await pair.room.filled(copied.order, pair.followers, "0.025")
    rest = await pair.trade(sale_of("6"), units="6")
    expected = Stakes(Decimal(6), Decimal(6), Decimal("0.075"))
    assert expected == await pair.stakes(rest)


async def test_a_trade_comes_after_earlier_ones_of_its_symbol_that_are_still_to_be_taken(
    pair: Pair,
) -> None:
    """Also when they are not new any more: nothing is sold before it was bought, and no sale sells
    a share of what was bought after it.
    """
    bought = await pair.trade()
    sold = await pair.trade(sale_of("1"), units="1")
    await pair.age(60)
    again = await pair.trade()
    for _ in range(2):
        orders = [bought.order_id, sold.order_id, again.order_id]
        assert orders == [trade.leader_order_id for trade in await pair.to_take(30)]


async def test_trades_that_wait_hold_no_other_symbols_back(pair: Pair) -> None:
    """The first of each symbol are found before the second of any."""
    bought = [(await pair.trade()).order_id for _ in range(7)]
    others = [(await pair.trade(offer_of("ETH"))).order_id for _ in range(2)]
    found = [trade.leader_order_id for trade in await pair.to_take(count_max=5)]
    assert [*bought[:3], *others] == found


async def test_a_frequent_look_goes_back_some_moments_only(pair: Pair) -> None:
    """No look goes back further than trades are copied."""
    await pair.trade()
    await pair.age(60)
    for back_seconds, count in ((30.0, 0), (90.0, 1), (float("inf"), 1)):
        assert count == len(await pair.to_take(back_seconds))


async def test_what_is_too_old_is_marked_and_told_once(pair: Pair) -> None:
    """Two trades in one sentence."""
    for _ in range(2):
        await pair.trade()
    await pair.age(700)
    assert [] == await pair.to_take()
    assert 1 == await pair.room.copies.pass_over([pair.leaders, pair.followers])
    assert 0 == await pair.room.copies.pass_over([pair.leaders, pair.followers])

    assert [CopiesMissed(pair.share.code, 2, 500.0)] == await pair.room.notes(pair.followers)
    outcomes = [row["outcome"] for row in await pair.room.rows("copied")]
    assert ["missed", "missed"] == outcomes


async def test_a_shard_that_has_a_newer_owner_keeps_no_other_back(pair: Pair) -> None:
    """Its claim is left out, and the look goes on."""
    await pair.trade()
    await pair.age(700)
    stale = replace(pair.followers, epoch=pair.followers.epoch + 1)
    assert 1 == await pair.room.copies.pass_over([stale, pair.followers])


async def test_without_room_a_trade_waits_and_is_taken_later(pair: Pair) -> None:
    """No mark is left behind."""
    orders = [await pair.room.accepted(pair.followers, pair.follower) for _ in range(2)]
    await pair.trade()
    (trade,) = await pair.to_take()
    assert Held.NO_ROOM is await pair.room.copies.take(trade, offer_of())
    assert [] == await pair.room.rows("copied")
    await pair.room.refused(orders[0], pair.followers)

    await pair.taken()


async def test_a_skipped_trade_is_told_with_its_reason_and_one_with_nothing_to_sell_is_not(
    pair: Pair,
) -> None:
    """Both are dealt with for good."""
    await pair.trade()
    await pair.trade(offer_of("ETH"))
    first, second = await pair.to_take()
    for _ in range(2):
        await pair.room.copies.skip(first, Refused.TOO_SMALL)
        await pair.room.copies.skip(second, None)

    note = CopySkipped(pair.share.code, "buy", "BTC", "too-small")
    assert [note] == await pair.room.notes(pair.followers)
    assert [] == await pair.to_take()
