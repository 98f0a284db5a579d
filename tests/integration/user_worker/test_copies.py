"""Sharing and copying in a real PostgreSQL: how it is agreed, its limits, and how it ends."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from tests.integration.user_worker.copying import SPEND, Pair, offered, standing_pair
from tests.integration.user_worker.ruled import offer_of, waiting

from devbox.database import Database
from user_worker.domain.freezing import Stopped
from user_worker.domain.notes import CopyEnded
from user_worker.domain.orders import Refusal, Refused, Side
from user_worker.domain.rules import CopyProblem, CopyState, TooMany
from user_worker.postgres import PostgresPreferences
from user_worker.postgres.copy_statements import LOCK_SHARE
from user_worker.rule_ports import Held, LeaderTrade
from user_worker.trading_ports import Seen


@pytest.fixture
async def pair(database: Database) -> AsyncIterator[Pair]:
    """Somebody who copies somebody else."""
    async with standing_pair(database) as pair:
        yield pair


async def test_a_share_is_found_again_and_its_code_is_void_when_it_ends(pair: Pair) -> None:
    """A new one has a new code."""
    room, claim, ann, ben = pair.room, pair.leaders, uuid4(), uuid4()
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
