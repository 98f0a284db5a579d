"""What users and their copies have by their trades, in a real PostgreSQL."""

from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.e2e.reconciling import CHECKS
from tests.integration.user_worker.ruled import Room, execution, offer_of, open_room

from chassis.migrations import folder_of
from devbox.database import Database
from kernel.sharding import Claim
from user_worker.domain.orders import Order, Refusal, Side
from user_worker.domain.rules import Copy
from user_worker.trading_ports import Offer, Seen

FORGET_HOLDINGS = """
DROP FUNCTION worker.count_trade CASCADE;
DROP TABLE worker.holdings;
DROP INDEX worker.orders_open_of_user;
ALTER TABLE worker.orders DROP COLUMN trade_number, DROP COLUMN held_before;
"""
NUMBERS = "SELECT order_id, trade_number, held_before FROM worker.orders ORDER BY order_id"
HOLDINGS = "SELECT * FROM worker.holdings ORDER BY holder_id, symbol"


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables."""
    async with open_room(database) as opened:
        yield opened


def sale_of(units: str) -> Offer:
    """A sale."""
    return offer_of(side=Side.SELL, units=units)


async def ordered(room: Room, claim: Claim, user_id: UUID, offer: Offer) -> Order:
    """An order accepted just now."""
    draft = await room.drafts.keep(claim, uuid4(), user_id, offer)
    assert not isinstance(draft, Refusal)
    seen = await room.orders.accept(claim, user_id, draft.draft_id, "")
    assert isinstance(seen, Seen)
    return seen.order


async def copied(room: Room, claim: Claim, leader: UUID, follower: UUID) -> Copy:
    """An active copy."""
    share = await room.shares.share(claim, leader)
    offered = await room.copies.offer(claim, uuid4(), follower, share.code, Decimal(50), 100)
    assert isinstance(offered, Copy)
    confirmed = await room.copies.confirm(claim, follower, offered.copy_id, "")
    assert isinstance(confirmed, Copy)
    return confirmed


async def held(room: Room) -> dict[tuple[UUID, str], tuple[int, Decimal]]:
    """By holder and symbol: how many trades, and what is left of them."""
    return {
        (row["holder_id"], row["symbol"]): (row["trades"], row["held"])
        for row in await room.rows("holdings")
    }


async def disagreements(room: Room) -> list[str]:
    """What the check of the books finds wrong about holdings."""
    checks = {
        claim: statement
        for claim, statement in CHECKS.items()
        if "holdings" in statement or "trade_number" in statement
    }
    assert 2 == len(checks)
    return [claim for claim, statement in checks.items() if await room.owner.fetch(statement)]


async def test_each_execution_counts_once_for_its_user_and_its_copy(room: Room) -> None:
    """Less the fee of what was bought; what ended otherwise counts nothing."""
    claim, leader, follower = await room.claim_shard(0), uuid4(), uuid4()
    copy = await copied(room, claim, leader, follower)
    await room.filled(await ordered(room, claim, leader, offer_of()), claim, "8")
    await room.filled(await ordered(room, claim, leader, sale_of("2")), claim, "2")
    await room.filled(await ordered(room, claim, leader, offer_of("ETH")), claim, "5")
    await room.refused(await ordered(room, claim, leader, offer_of()), claim)
    (trade, *_) = await room.copies.to_take([claim], 600, 5)
    taken = await room.copies.take(trade, offer_of())
    assert isinstance(taken, Seen)
    order = await room.executed(taken.order, claim, "0.5")
    await room.orders.record(claim, taken.order, execution(order, "9"), nobody_waits=True)
    await room.ended(order, claim)
    await room.filled(await ordered(room, claim, follower, offer_of()), claim, "3")

    assert await held(room) == {
        (leader, "BTC"): (2, Decimal(6)),
        (leader, "ETH"): (1, Decimal(5)),
        (follower, "BTC"): (2, Decimal("3.5")),
        (copy.copy_id, "BTC"): (1, Decimal("0.5")),
    }
    assert [] == await disagreements(room)


async def test_a_holding_that_is_wrong_is_found_by_the_books_check(room: Room) -> None:
    """As is one that is missing, and a trade that was numbered or measured wrongly."""
    claim, user = await room.claim_shard(0), uuid4()
    for _ in range(2):
        await room.filled(await ordered(room, claim, user, offer_of()), claim, "8")
    await room.owner.execute("ALTER TABLE worker.orders DISABLE TRIGGER orders_follow_the_arrows")
    for wrong in (
        "UPDATE worker.holdings SET held = held + 1",
        "UPDATE worker.holdings SET trades = trades + 1",
        "DELETE FROM worker.holdings",
        "UPDATE worker.orders SET trade_number = trade_number + 1",
        "UPDATE worker.orders SET held_before = 1 WHERE trade_number = 2",
        "UPDATE worker.orders SET held_before = NULL, trade_number = NULL",
    ):
        broken = room.owner.transaction()
        await broken.start()
        await room.owner.execute(wrong)
        assert 1 == len(await disagreements(room)), wrong
        await broken.rollback()


async def test_the_fee_of_a_purchase_is_not_held(room: Room) -> None:
    """That of a sale is in the currency."""
    claim, user = await room.claim_shard(0), uuid4()
    for offer, fee in ((offer_of(), "0.1"), (sale_of("0.4"), "0.3")):
        order = await ordered(room, claim, user, offer)
        await room.owner.execute(
            "UPDATE worker.orders SET state = 'held' WHERE order_id = $1", order.order_id
        )
        await room.owner.execute(
            "UPDATE worker.orders SET state = 'executed', spent = $2, received = 1, fee = $3"
            " WHERE order_id = $1",
            *(order.order_id, offer.terms.spend.value, Decimal(fee)),
        )

    assert {(user, "BTC"): (2, Decimal("0.5"))} == await held(room)


async def test_what_was_traded_before_is_counted_as_if_it_were_counted_then(room: Room) -> None:
    """By the migration: numbers, what was held before each trade, and what is held now."""
    claim, leader, follower = await room.claim_shard(0), uuid4(), uuid4()
    await copied(room, claim, leader, follower)
    for offer, units in ((offer_of(), "8"), (offer_of("ETH"), "3"), (sale_of("2"), "2")):
        await room.filled(await ordered(room, claim, leader, offer), claim, units)
    for trade in await room.copies.to_take([claim], 600, 5):
        taken = await room.copies.take(trade, offer_of())
        assert isinstance(taken, Seen)
        await room.filled(taken.order, claim)
    await room.executed(await ordered(room, claim, leader, sale_of("1")), claim, "1")
    await ordered(room, claim, leader, offer_of())
    numbers, holdings = await room.owner.fetch(NUMBERS), await room.owner.fetch(HOLDINGS)
    await room.owner.execute(FORGET_HOLDINGS)
    async with room.owner.transaction():
        await room.owner.execute((folder_of("user_worker") / "0006_holdings.sql").read_text())

    assert numbers == await room.owner.fetch(NUMBERS)
    assert holdings == await room.owner.fetch(HOLDINGS)
    assert 4 == len(holdings)


async def test_only_trades_change_holdings(room: Room) -> None:
    """Whoever works for a shard may read them, and write none."""
    for change in ("DELETE FROM", "TRUNCATE"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await room.connections.execute(f"{change} worker.holdings")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await room.connections.execute("UPDATE worker.orders SET held_before = 1, trade_number = 1")
