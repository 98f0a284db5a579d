"""The venue's SQL: the first outcome of every order id.

A batch of proposals is one transaction: the fences of all claims first, then what is there, then
the homes of users who are new, then the rows, of which the primary key keeps the first. Users and
rows are inserted in the order of their ids, so that two batches with the same ids wait for each
other in one direction; who waited inserts nothing, and its next statement sees the other's rows
(READ COMMITTED takes a new snapshot per statement).

The shard of a user is that of the claim that came first, until the user is moved; an order is its
user's. Another shard's claim, valid as it may be, is answered ShardMismatch. A tombstone knows no
user: it belongs to the shard.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import asyncpg

from chassis.errors import ShardMismatch, StaleClaim
from chassis.postgres import Connection, Pool, fence_batch, retry_transaction, transaction
from kernel.money import AssetId
from kernel.sharding import ShardKey
from pricing.paper_venue.domain import (
    FINGERPRINT_VERSION,
    Amount,
    Fill,
    Kept,
    Order,
    Outcome,
    Proposal,
    Refusal,
    State,
    fingerprint,
)
from pricing.paper_venue.errors import AnotherOrder

_FIND = """
    SELECT o.order_id, coalesce(u.pool, o.pool) AS pool, coalesce(u.shard, o.shard) AS shard,
           o.state, o.refusal, o.fingerprint_version, o.fingerprint,
           o.spend_asset_id, o.receive_asset_id, o.spent, o.received, o.fee, o.price
    FROM venue.orders o LEFT JOIN venue.users u USING (user_id)
    WHERE o.order_id = ANY ($1::uuid[])
"""
_HOMES = "SELECT user_id, pool, shard FROM venue.users WHERE user_id = ANY ($1::uuid[])"
_REGISTER = """
    INSERT INTO venue.users (user_id, pool, shard) VALUES ($1, $2, $3)
    ON CONFLICT (user_id) DO NOTHING
"""
_KEEP = """
    INSERT INTO venue.orders (
        order_id, pool, shard, state, refusal,
        user_id, side, symbol, spend_asset_id, spend, receive_asset_id, receive_min, receive_max,
        fingerprint_version, fingerprint,
        spent, received, fee, price,
        quote_price, quote_source, quote_stated_at
    ) VALUES (
        $2, $3, $4, $5, $6,
        $7, $8, $9, $10, $11, $12, $13, $14,
        $15, $16,
        $17, $18, $19, $20,
        $21, $22, $23
    )
    ON CONFLICT (order_id) DO NOTHING
    RETURNING $1::integer AS place
"""


class PostgresOrders:
    """Outcomes in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep(self, proposals: Sequence[Proposal]) -> list[Kept | Exception]:
        """See application.OrderStore.

        When the database refuses a row, each proposal gets a transaction of its own, so that only
        the one that is to blame fails.
        """
        try:
            return await retry_transaction(self._pool, lambda c: _keep(c, proposals))
        except asyncpg.PostgresError as error:
            if len(proposals) == 1:
                return [error]
        return [(await self.keep([proposal]))[0] for proposal in proposals]

    async def find(self, order_id: UUID) -> Outcome | None:
        """See application.OrderStore."""
        async with transaction(self._pool, readonly=True) as connection:
            row = await connection.fetchrow(_FIND, [order_id])
        return None if row is None else _outcome(row)


async def _keep(connection: Connection, proposals: Sequence[Proposal]) -> list[Kept | Exception]:
    fenced = await fence_batch(connection, [proposal.claim for proposal in proposals])
    valid = [p for p, is_newest in zip(proposals, fenced, strict=True) if is_newest]
    kept = await _find(connection, [p.order_id for p in valid])
    new = {
        place: proposal
        for place, proposal in enumerate(proposals)
        if fenced[place] and proposal.order_id not in kept
    }
    strangers = await _strangers(connection, new)
    first = await _insert(connection, {p: new[p] for p in new.keys() - strangers})
    kept |= await _find(connection, [new[place].order_id for place in new.keys() - first])

    def answer(place: int, proposal: Proposal) -> Kept | Exception:
        if not fenced[place]:
            return StaleClaim(f"the claim {proposal.claim} is not the newest of its shard")
        if place in strangers:
            return ShardMismatch()
        if place in first:
            return Kept(proposal.outcome, is_first=True)
        return _compared(proposal, kept[proposal.order_id])

    return [answer(place, proposal) for place, proposal in enumerate(proposals)]


async def _find(connection: Connection, order_ids: Collection[UUID]) -> dict[UUID, asyncpg.Record]:
    if not order_ids:
        return {}
    return {row["order_id"]: row for row in await connection.fetch(_FIND, order_ids)}


async def _strangers(connection: Connection, proposals: Mapping[int, Proposal]) -> set[int]:
    """Register the users who are new; give the places of those whose home is another shard."""
    users: dict[UUID, ShardKey] = {}
    for proposal in proposals.values():
        if proposal.order is not None:
            users.setdefault(proposal.order.user_id, proposal.claim.key)
    homes = await _homes(connection, users)
    if missing := sorted(users.keys() - homes.keys()):
        await connection.executemany(
            _REGISTER, [(u, users[u].pool, users[u].shard) for u in missing]
        )
        homes |= await _homes(connection, missing)
    return {
        place
        for place, proposal in proposals.items()
        if proposal.order is not None and homes[proposal.order.user_id] != proposal.claim.key
    }


async def _homes(connection: Connection, user_ids: Collection[UUID]) -> dict[UUID, ShardKey]:
    if not user_ids:
        return {}
    rows = await connection.fetch(_HOMES, list(user_ids))
    return {row["user_id"]: ShardKey(row["pool"], row["shard"]) for row in rows}


async def _insert(connection: Connection, proposals: Mapping[int, Proposal]) -> set[int]:
    """Insert rows in the order of their ids; give the places that were first."""
    if not proposals:
        return set()
    in_order = sorted(proposals.items(), key=lambda item: (item[1].order_id, item[0]))
    rows = await connection.fetchmany(_KEEP, [(place, *_row(p)) for place, p in in_order])
    return {row["place"] for row in rows}


def _row(proposal: Proposal) -> tuple[object, ...]:
    """Give a proposal's columns, in the order of `_KEEP`."""
    claim, outcome, quote = proposal.claim, proposal.outcome, proposal.quote
    return (
        proposal.order_id,
        claim.pool,
        claim.shard,
        outcome.state.value,
        None if outcome.refusal is None else outcome.refusal.value,
        *_order_columns(proposal.order),
        *_fill_columns(outcome.fill),
        *(
            (None, None, None)
            if quote is None
            else (quote.price, quote.source.value, quote.stated_at)
        ),
    )


def _order_columns(order: Order | None) -> tuple[object, ...]:
    if order is None:
        return (None,) * 10
    return (
        order.user_id,
        order.side.value,
        order.symbol,
        order.spend.asset_id,
        order.spend.value,
        order.receive_min.asset_id,
        order.receive_min.value,
        order.receive_max,
        FINGERPRINT_VERSION,
        fingerprint(order),
    )


def _fill_columns(fill: Fill | None) -> tuple[object, ...]:
    if fill is None:
        return (None,) * 4
    return (fill.spent.value, fill.received.value, fill.fee.value, fill.price)


def _compared(proposal: Proposal, row: asyncpg.Record) -> Kept | Exception:
    """Answer a proposal with what was there before it."""
    if ShardKey(row["pool"], row["shard"]) != proposal.claim.key:
        return ShardMismatch("the claim is valid, and the order belongs to another shard")
    outcome = _outcome(row)
    if proposal.order is None or outcome.state is State.TOMBSTONED:
        return Kept(outcome, is_first=False)
    if (row["fingerprint_version"], row["fingerprint"]) != (
        FINGERPRINT_VERSION,
        fingerprint(proposal.order),
    ):
        return AnotherOrder()
    return Kept(outcome, is_first=False)


def _outcome(row: asyncpg.Record) -> Outcome:
    state = State(row["state"])
    if state is State.REFUSED:
        return Outcome(state, refusal=Refusal(row["refusal"]))
    if state is State.TOMBSTONED:
        return Outcome(state)
    asset_id = AssetId(row["receive_asset_id"])
    fill = Fill(
        spent=Amount(AssetId(row["spend_asset_id"]), row["spent"]),
        received=Amount(asset_id, row["received"]),
        fee=Amount(asset_id, row["fee"]),
        price=row["price"],
    )
    return Outcome(state, fill=fill)
