"""A leader, a follower and what is copied, in the worker's real tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

from tests.integration.user_worker.ruled import Room, offer_of, open_room

from devbox.database import Database
from kernel.sharding import Claim
from user_worker.domain.orders import Order, Refusal, Side
from user_worker.domain.rules import Copy, Share, Stakes
from user_worker.rule_ports import LeaderTrade
from user_worker.trading_ports import Offer, Seen

SPEND = Decimal("12.5")
LEADERS_SHARD, FOLLOWERS_SHARD = 0, 1


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


@asynccontextmanager
async def standing_pair(database: Database) -> AsyncIterator[Pair]:
    """Somebody who copies somebody else; at most two copies a user, two followers a leader."""
    async with open_room(database) as room:
        leaders, followers = (
            await room.claim_shard(LEADERS_SHARD),
            await room.claim_shard(FOLLOWERS_SHARD),
        )
        leader, follower = uuid4(), uuid4()
        share = await room.shares.share(leaders, leader)
        copy = await followed(room, followers, follower, share)
        yield Pair(room, leader, follower, leaders, followers, share, copy)


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
