"""Copied trades in a real PostgreSQL: across shards, each once, by the follower's owner alone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from tests.integration.user_worker.ruled import (
    HELD,
    Room,
    execution,
    offer_of,
    open_room,
    waiting,
)

from devbox.database import Database
from kernel.sharding import Claim
from user_worker.domain.freezing import Stopped
from user_worker.domain.notes import CopiesMissed, CopyEnded, CopySkipped
from user_worker.domain.orders import Order, Refusal, Refused, Rule, Side
from user_worker.domain.rules import (
    Copy,
    CopyProblem,
    CopyState,
    Share,
    Stakes,
    TooMany,
    cause_of_copy,
)
from user_worker.errors import ClaimLost
from user_worker.postgres import PostgresPreferences
from user_worker.postgres.copy_statements import LOCK_SHARE
from user_worker.rule_ports import Held, LeaderTrade
from user_worker.trading_ports import EndEvent, Offer, Seen

SPEND = Decimal("12.5")
LEADERS_SHARD, FOLLOWERS_SHARD = 0, 1
END = "UPDATE worker.orders SET state = 'filled', ended_at = clock_timestamp() WHERE order_id = $1"


@dataclass
class Pair:
    """A leader and a follower, in shards of their own."""

    room: Room
    leader: UUID
    follower: UUID
    leaders: Claim
    followers: Claim
    share: Share
    copy: Copy

    async def trade(self, offer: Offer | None = None, units: str = "1") -> Order:
        """The leader trades, and his order is filled."""
        return await self.room.filled(await self.order(offer), self.leaders, units)

    async def order(self, offer: Offer | None = None) -> Order:
        """The leader orders."""
        draft = await self.room.drafts.keep(self.leaders, uuid4(), self.leader, offer or offer_of())
        assert not isinstance(draft, Refusal)
        seen = await self.room.orders.accept(self.leaders, self.leader, draft.draft_id, "")
        assert isinstance(seen, Seen)
        return seen.order

    async def to_take(self, back_seconds: float = 600, count_max: int = 10) -> list[LeaderTrade]:
        """What the follower's owner finds."""
        copies = self.room.copies
        return list(await copies.to_take([self.followers], back_seconds, count_max))

    async def stakes(self, order: Order) -> Stakes | None:
        """What a sale of the leader's is measured by."""
        symbol = order.draft.wish.symbol
        trade = LeaderTrade(self.followers, self.copy, "", order.order_id, Side.SELL, symbol)
        return await self.room.copies.stakes(trade)

    async def taken(self, offer: Offer | None = None) -> Order:
        """Take the only trade there is."""
        (trade,) = await self.to_take()
        seen = await self.room.copies.take(trade, offer or offer_of(spend=10))
        assert isinstance(seen, Seen)
        return seen.order

    async def age(self, seconds: float) -> None:
        """Let what was filled have been so long ago, and the copy have begun before."""
        owner = self.room.owner
        await owner.execute("UPDATE worker.copies SET began_at = began_at - interval '2 days'")
        await owner.execute("ALTER TABLE worker.orders DISABLE TRIGGER orders_follow_the_arrows")
        await owner.execute(
            "UPDATE worker.orders SET ended_at = ended_at - make_interval(secs => $1)", seconds
        )


def sale_of(units: str) -> Offer:
    """A sale."""
    return offer_of(side=Side.SELL, units=units)


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables; two copies a user, two followers a leader."""
    async with open_room(database) as opened:
        yield opened


@pytest.fixture
async def pair(room: Room) -> Pair:
    """Somebody who copies somebody else."""
    leaders, followers = (
        await room.claim_shard(LEADERS_SHARD),
        await room.claim_shard(FOLLOWERS_SHARD),
    )
    leader, follower = uuid4(), uuid4()
    share = await room.shares.share(leaders, leader)
    copy = await followed(room, followers, follower, share)
    return Pair(room, leader, follower, leaders, followers, share, copy)


async def offered(room: Room, claim: Claim, user_id: UUID, share: Share) -> Copy:
    """A copy, not confirmed."""
    copy = await room.copies.offer(claim, uuid4(), user_id, share.code, SPEND, 100)
    assert isinstance(copy, Copy)
    return copy


async def followed(room: Room, claim: Claim, user_id: UUID, share: Share) -> Copy:
    """An active copy."""
    copy = await offered(room, claim, user_id, share)
    confirmed = await room.copies.confirm(claim, user_id, copy.copy_id, "de")
    assert isinstance(confirmed, Copy)
    return confirmed


async def test_a_share_is_found_again_and_its_code_is_void_when_it_ends(room: Room) -> None:
    """A new one has a new code."""
    claim, ann, ben = await room.claim_shard(0), uuid4(), uuid4()
    share = await room.shares.share(claim, ann)
    assert share == await room.shares.share(claim, ann) == await room.shares.of_user(ann)
    assert None is await room.shares.of_user(ben)
    assert await room.shares.stop(claim, ann)
    assert not await room.shares.stop(claim, ann)

    said = await room.copies.offer(claim, uuid4(), ben, share.code, SPEND, 100)
    assert CopyProblem.UNKNOWN_CODE is said
    assert share.code != (await room.shares.share(claim, ann)).code


async def test_a_copy_is_offered_and_confirmed_once(pair: Pair) -> None:
    """Not of oneself, not twice; who leads is never told by more than the code."""
    room, claim = pair.room, pair.followers
    assert (SPEND, pair.share.code, CopyState.ACTIVE) == (
        *(pair.copy.spend, pair.copy.code),
        pair.copy.state,
    )
    assert pair.copy == await room.copies.confirm(claim, pair.follower, pair.copy.copy_id, "de")
    assert [pair.copy] == await room.copies.of_user(pair.follower)
    again = await room.copies.offer(claim, uuid4(), pair.follower, pair.share.code, SPEND, 100)
    assert CopyProblem.COPIED_ALREADY is again
    own = await room.copies.offer(pair.leaders, uuid4(), pair.leader, pair.share.code, SPEND, 100)
    assert CopyProblem.OWN_CODE is own
    assert None is await room.copies.confirm(claim, uuid4(), pair.copy.copy_id, "")
    assert None is await room.copies.confirm(pair.leaders, pair.follower, pair.copy.copy_id, "")
    found = await room.shares.of_user(pair.leader)
    assert found is not None
    assert 1 == found.followers


async def test_limits_of_copies_and_followers(pair: Pair) -> None:
    """Two and two; whoever comes at the same time from another shard is counted too."""
    room, other = pair.room, await pair.room.claim_shard(2)
    ben, cid = uuid4(), uuid4()
    offers = [
        await offered(room, pair.followers, ben, pair.share),
        await offered(room, other, cid, pair.share),
    ]
    share_id = await room.owner.fetchval("SELECT share_id FROM worker.shares")
    async with room.owner.transaction():
        await room.owner.execute(LOCK_SHARE, share_id)
        confirming = [
            await waiting(
                room.owner, room.copies.confirm(pair.followers, ben, offers[0].copy_id, "")
            ),
            await waiting(room.owner, room.copies.confirm(other, cid, offers[1].copy_id, "")),
        ]
    came = [await one for one in confirming]
    assert 1 == came.count(CopyProblem.FOLLOWERS_MAX)

    for _ in range(2):
        leader = await room.shares.share(pair.leaders, uuid4())
        offer = await offered(room, pair.followers, pair.follower, leader)
        said = await room.copies.confirm(pair.followers, pair.follower, offer.copy_id, "")
    assert TooMany(2) == said


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


async def test_a_leader_who_stops_sharing_ends_his_copies_by_their_own_owners(
    pair: Pair,
) -> None:
    """Nothing of his is copied from then on, and his followers are told."""
    await pair.trade()
    await pair.room.shares.stop(pair.leaders, pair.leader)
    assert [] == await pair.to_take()
    (row,) = await pair.room.rows("copies")
    assert "active" == row["state"]
    assert 1 == await pair.room.copies.pass_over([pair.followers])

    assert [CopyEnded(pair.share.code)] == await pair.room.notes(pair.followers)
    assert [] == await pair.room.copies.of_user(pair.follower)


async def test_nothing_of_a_frozen_leader_is_copied(pair: Pair) -> None:
    """Sharing itself goes on: when he trades again, he is copied again."""
    await pair.trade()
    freeze = uuid4()
    await pair.room.freezes.freeze(pair.leaders, freeze, pair.leader)
    assert [] == await pair.to_take()
    await pair.room.freezes.thaw(pair.leaders, pair.leader, freeze)

    assert 1 == len(await pair.to_take())
    assert None is not await pair.room.shares.of_user(pair.leader)


async def test_a_followers_freeze_ends_his_copies_whoever_comes_first(pair: Pair) -> None:
    """A take under way is found by it; a later one finds the copy ended."""
    await pair.trade()
    (trade,) = await pair.to_take()
    async with pair.room.owner.transaction():
        await pair.room.owner.execute("LOCK TABLE worker.orders IN ACCESS EXCLUSIVE MODE")
        taking = await waiting(pair.room.owner, pair.room.copies.take(trade, offer_of()))
        freezing = await waiting(
            pair.room.owner, pair.room.freezes.freeze(pair.followers, uuid4(), pair.follower)
        )
    seen, frozen = await taking, await freezing
    assert isinstance(seen, Seen)
    assert Stopped(copies=1, orders=1) == frozen.stopped
    assert (await pair.room.orders.look(seen.order.order_id)).order.is_frozen

    await pair.trade()
    assert [] == await pair.to_take()
    again = LeaderTrade(pair.followers, pair.copy, "", uuid4(), Side.BUY, "BTC")
    assert Held.GONE is await pair.room.copies.take(again, offer_of())
    said = await pair.room.copies.offer(
        pair.followers, uuid4(), pair.follower, pair.share.code, SPEND, 100
    )
    assert Refusal(Refused.FROZEN) == said


async def test_a_copy_that_was_stopped_takes_nothing_any_more(pair: Pair) -> None:
    """Not even what was found before."""
    await pair.trade()
    (trade,) = await pair.to_take()
    stopped = await pair.room.copies.end(pair.followers, pair.follower, pair.copy.copy_id)
    assert stopped is not None
    assert CopyState.ENDED is stopped.state
    assert None is await pair.room.copies.end(pair.followers, uuid4(), pair.copy.copy_id)

    assert Held.GONE is await pair.room.copies.take(trade, offer_of())
    await pair.room.copies.skip(trade, Refused.TOO_SMALL)
    assert [] == await pair.room.rows("copied")


async def test_somebody_who_is_forgotten_copies_nobody_and_is_copied_by_nobody(pair: Pair) -> None:
    """His plans end, too; a second time changes nothing."""
    wish = offer_of().wish
    plan = await pair.room.plans.offer(pair.leaders, uuid4(), pair.leader, wish, 100, 86_400, None)
    assert not isinstance(plan, Refusal)
    await pair.room.plans.confirm(pair.leaders, pair.leader, plan.plan_id, "")
    preferences = PostgresPreferences(pair.room.connections)
    for _ in range(2):
        await preferences.forget(pair.leaders, pair.leader)
        await preferences.forget(pair.followers, pair.follower)

    assert [] == list(await pair.room.plans.of_user(pair.leader))
    assert None is await pair.room.shares.of_user(pair.leader)
    assert [] == await pair.room.copies.of_user(pair.follower)
