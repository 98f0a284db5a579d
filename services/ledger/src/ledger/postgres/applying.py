"""One transaction for a batch of requests.

The number of statements does not depend on the size of the batch:

1. the fence of every claim; a stale request is left out and answered so
2. the accounts involved, locked in the order of their ids
3. whatever else the decision needs: users, keys, holds, positions, and the time
4. `ledger.domain.bookkeeping.decide`, which asks nobody
5. one statement for each kind of row that changes

Whoever changes a hold, a position or a balance holds the lock of the account, so what is read after
the locks stays true until the commit. What no lock covers are rows that are not there yet: an
account or a key that another ledger is making at this moment. Those are inserted ON CONFLICT DO
NOTHING (which waits for the other one's end) and counted; a hold in the same situation meets its
unique index. Whoever finds he was overtaken rolls back and begins anew, and then sees the other's
rows. Keys are inserted in their order, so that two ledgers cannot wait for each other in a circle.

If the database refuses the data of a batch (a CHECK the decision did not foresee), the batch is
halved until the request to blame is alone: one bad request never fails its neighbours.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from chassis.errors import ServiceError, StaleClaim, TryAgain
from chassis.postgres import (
    TRANSACTION_TRIES_MAX,
    Connection,
    Pool,
    fence_batch,
    retry_transaction,
)
from kernel.money import AssetId
from kernel.sharding import ShardKey
from ledger import metrics
from ledger.domain.accounts import SPOT
from ledger.domain.assets import Registry
from ledger.domain.bookkeeping import decide
from ledger.domain.operations import Answer, Fill, Hold, Operation, Outcome, Release, Request
from ledger.domain.picture import (
    AccountState,
    Changes,
    HoldState,
    KnownKey,
    Picture,
    PositionKey,
)
from ledger.domain.positions import Position
from ledger.errors import BooksRefused

Result = list[Answer] | ServiceError

_LOCK_ACCOUNTS = """
    WITH wanted AS MATERIALIZED (
        SELECT a.account_id
        FROM unnest($1::uuid[], $2::text[]) AS n (user_id, asset_id)
        JOIN ledger.accounts a ON a.user_id = n.user_id AND a.asset_id = n.asset_id AND a.kind = $3
        UNION
        SELECT t.debit_account_id FROM ledger.transfers t
        WHERE t.order_id = ANY ($4::uuid[]) AND t.operation = 'hold'
    )
    SELECT a.account_id, a.user_id, a.asset_id, a.posted, a.held, a.posted_max, a.hold_max,
           a.faucet_given
    FROM wanted JOIN ledger.accounts a ON a.account_id = wanted.account_id
    ORDER BY a.account_id FOR NO KEY UPDATE OF a
"""
_READ_USERS = """
    SELECT user_id, pool, shard, clock_timestamp() AS now
    FROM ledger.users WHERE user_id = ANY ($1::uuid[])
"""
_READ_KEYS = """
    SELECT idempotency_key, fingerprint_version, fingerprint, outcome, transfer_id
    FROM ledger.idempotency_keys WHERE idempotency_key = ANY ($1::text[])
"""
_READ_HOLDS = """
    SELECT t.transfer_id, t.order_id, a.user_id, t.debit_account_id AS account_id, t.asset_id,
           t.amount, t.state, t.expires_at, t.posted_amount
    FROM ledger.transfers t JOIN ledger.accounts a ON a.account_id = t.debit_account_id
    WHERE t.order_id = ANY ($1::uuid[]) AND t.operation = 'hold'
"""
_READ_POSITIONS = """
    SELECT p.user_id, p.asset_id, p.currency_asset_id, p.quantity, p.cost
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS n (user_id, asset_id, currency_asset_id)
    JOIN ledger.positions p USING (user_id, asset_id, currency_asset_id)
"""
_OPEN_ACCOUNTS = """
    INSERT INTO ledger.accounts (account_id, user_id, asset_id, kind, posted, held)
    SELECT n.account_id, n.user_id, n.asset_id, $1, n.posted, n.held
    FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::numeric[], $6::numeric[])
        AS n (account_id, user_id, asset_id, posted, held)
    ORDER BY n.user_id, n.asset_id
    ON CONFLICT (user_id, asset_id, kind) DO NOTHING
"""
_CHANGE_ACCOUNTS = """
    UPDATE ledger.accounts a
    SET posted = n.posted, held = n.held, faucet_given = n.faucet_given
    FROM unnest($1::uuid[], $2::numeric[], $3::numeric[], $4::numeric[])
        AS n (account_id, posted, held, faucet_given)
    WHERE a.account_id = n.account_id
"""
_MAKE_HOLDS = """
    INSERT INTO ledger.transfers (
        transfer_id, operation, state, asset_id, amount, posted_amount, debit_account_id,
        credit_system, order_id, expires_at, made_at, resolved_at)
    SELECT n.transfer_id, 'hold', n.state, n.asset_id, n.amount, n.posted_amount, n.account_id,
           'venue', n.order_id, n.expires_at, $9,
           CASE WHEN n.state <> 'pending' THEN $9::timestamptz END
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::uuid[],
                $7::uuid[], $8::timestamptz[])
        AS n (transfer_id, state, asset_id, amount, posted_amount, account_id, order_id, expires_at)
"""
_RESOLVE_HOLDS = """
    UPDATE ledger.transfers t
    SET state = n.state, posted_amount = n.posted_amount, resolved_at = $4
    FROM unnest($1::uuid[], $2::text[], $3::numeric[]) AS n (transfer_id, state, posted_amount)
    WHERE t.transfer_id = n.transfer_id
"""
_MAKE_TRANSFERS = """
    INSERT INTO ledger.transfers (
        transfer_id, operation, state, asset_id, amount, posted_amount, debit_account_id,
        debit_system, credit_account_id, credit_system, order_id, made_at, resolved_at)
    SELECT n.transfer_id, n.operation, 'posted', n.asset_id, n.amount, n.amount, n.debit_account_id,
           n.debit_system, n.credit_account_id, n.credit_system, n.order_id, $10, $10
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::numeric[], $5::uuid[], $6::text[],
                $7::uuid[], $8::text[], $9::uuid[])
        AS n (transfer_id, operation, asset_id, amount, debit_account_id, debit_system,
              credit_account_id, credit_system, order_id)
"""
_KEEP_KEYS = """
    INSERT INTO ledger.idempotency_keys (
        idempotency_key, fingerprint_version, fingerprint, outcome, transfer_id, answered_at)
    SELECT n.idempotency_key, n.fingerprint_version, n.fingerprint, n.outcome, n.transfer_id, $6
    FROM unnest($1::text[], $2::smallint[], $3::bytea[], $4::text[], $5::uuid[])
        AS n (idempotency_key, fingerprint_version, fingerprint, outcome, transfer_id)
    ON CONFLICT (idempotency_key) DO NOTHING
"""
_KEEP_TRADES = """
    INSERT INTO ledger.trades (
        order_id, user_id, side, spent_asset_id, spent, received_asset_id, received, fee,
        realised_pnl, posted_at)
    SELECT n.*, $10
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::numeric[], $6::text[],
                $7::numeric[], $8::numeric[], $9::numeric[]) AS n
"""
_CHANGE_POSITIONS = """
    INSERT INTO ledger.positions (user_id, asset_id, currency_asset_id, quantity, cost)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::numeric[], $5::numeric[])
    ON CONFLICT (user_id, asset_id, currency_asset_id)
    DO UPDATE SET quantity = excluded.quantity, cost = excluded.cost
"""


class _Overtaken(Exception):  # noqa: N818 (named after what happened)
    """Another ledger made a row this batch meant to make; nothing was written."""


class Batches:
    """Applies batches of requests."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def apply(self, requests: Sequence[Request], registry: Registry) -> list[Result]:
        """See application.OperationStore."""
        for _ in range(TRANSACTION_TRIES_MAX):
            try:
                return await retry_transaction(
                    self._pool, lambda connection: _apply(connection, requests, registry)
                )
            except (_Overtaken, asyncpg.UniqueViolationError):
                metrics.BATCHES_OVERTAKEN.inc()
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
                return await self._halve(requests, registry, error)
        raise TryAgain("other ledgers write the same rows")

    async def _halve(
        self, requests: Sequence[Request], registry: Registry, error: asyncpg.PostgresError
    ) -> list[Result]:
        if len(requests) == 1:
            metrics.REQUESTS_REFUSED.inc()
            constraint = getattr(error, "constraint_name", None) or error.sqlstate
            return [BooksRefused(f"the database refuses this request ({constraint})")]
        middle = len(requests) // 2
        first = await self.apply(requests[:middle], registry)
        return first + await self.apply(requests[middle:], registry)


async def _apply(
    connection: Connection, requests: Sequence[Request], registry: Registry
) -> list[Result]:
    claims = list(dict.fromkeys(request.claim for request in requests))
    newest = dict(zip(claims, await fence_batch(connection, claims), strict=True))
    valid = [request for request in requests if newest[request.claim]]
    answers: list[list[Answer]] = []
    if valid:
        operations = [operation for request in valid for operation in request.operations]
        picture = await _look(connection, operations, registry)
        answers, changes = decide(picture, [(r.claim.key, r.operations) for r in valid])
        await _write(connection, changes, picture.now)
    in_turn = iter(answers)
    return [
        next(in_turn)
        if newest[request.claim]
        else StaleClaim(f"the claim {request.claim} is not the newest of its shard")
        for request in requests
    ]


async def _look(
    connection: Connection, operations: Sequence[Operation], registry: Registry
) -> Picture:
    """Lock the accounts, then read the rest. Raises _Overtaken."""
    wanted, orders, traded = _named(operations)
    users = {operation.action.user_id for operation in operations}
    rows = await connection.fetch(_LOCK_ACCOUNTS, *_columns(wanted, 2), SPOT, list(orders))
    accounts = {(row["user_id"], AssetId(row["asset_id"])): AccountState(*row) for row in rows}
    homes = await connection.fetch(_READ_USERS, list(users))
    keys = await connection.fetch(_READ_KEYS, [o.idempotency_key for o in operations])
    holds = await connection.fetch(_READ_HOLDS, list(orders)) if orders else []
    positions = await connection.fetch(_READ_POSITIONS, *_columns(traded, 3)) if traded else []
    if any((hold["user_id"], hold["asset_id"]) not in accounts for hold in holds):
        # Made after the accounts were looked up: not under our lock.
        raise _Overtaken
    return Picture(
        now=homes[0]["now"] if homes else await connection.fetchval("SELECT clock_timestamp()"),
        registry=registry,
        users={row["user_id"]: ShardKey(row["pool"], row["shard"]) for row in homes},
        accounts=accounts,
        holds={row["order_id"]: HoldState(*row) for row in holds},
        positions={(row[0], row[1], row[2]): Position(row[3], row[4]) for row in positions},
        keys={row[0]: KnownKey(row[1], row[2], Outcome(row[3]), row[4]) for row in keys},
    )


def _named(
    operations: Sequence[Operation],
) -> tuple[set[tuple[UUID, AssetId]], set[UUID], set[PositionKey]]:
    """What the operations name: accounts, orders, and what may have been traded for what."""
    wanted: set[tuple[UUID, AssetId]] = set()
    orders: set[UUID] = set()
    traded: set[PositionKey] = set()
    for operation in operations:
        action = operation.action
        match action:
            case Fill():
                spent, received = action.spent.asset_id, action.received.asset_id
                wanted |= {(action.user_id, spent), (action.user_id, received)}
                traded |= {(action.user_id, spent, received), (action.user_id, received, spent)}
                orders.add(action.order_id)
            case Release():
                orders.add(action.order_id)
            case Hold():
                wanted.add((action.user_id, action.amount.asset_id))
                orders.add(action.order_id)
            case _:
                wanted.add((action.user_id, action.amount.asset_id))
    return wanted, orders, traded


async def _write(connection: Connection, changes: Changes, now: datetime) -> None:
    """Write what was decided. Raises _Overtaken."""
    await _write_accounts(connection, changes)
    await _write_transfers(connection, changes, now)
    await _write_trades(connection, changes, now)
    if keys := sorted(changes.keys.items()):
        rows = (
            (key, k.fingerprint_version, k.fingerprint, k.outcome.value, k.transfer_id)
            for key, k in keys
        )
        _require_all(await connection.execute(_KEEP_KEYS, *_columns(rows, 5), now), keys)


async def _write_accounts(connection: Connection, changes: Changes) -> None:
    if opened := changes.opened:
        rows = ((a.account_id, a.user_id, a.asset_id, a.posted, a.held) for a in opened)
        _require_all(await connection.execute(_OPEN_ACCOUNTS, SPOT, *_columns(rows, 5)), opened)
    if changed := changes.changed:
        balances = ((a.account_id, a.posted, a.held, a.faucet_given) for a in changed)
        await connection.execute(_CHANGE_ACCOUNTS, *_columns(balances, 4))


async def _write_transfers(connection: Connection, changes: Changes, now: datetime) -> None:
    if made := changes.holds_made:
        holds = (
            (h.transfer_id, h.state, h.asset_id, h.amount, h.posted_amount, h.account_id,
             h.order_id, h.expires_at)
            for h in made
        )  # fmt: skip
        await connection.execute(_MAKE_HOLDS, *_columns(holds, 8), now)
    if resolved := changes.holds_resolved:
        ends = ((h.transfer_id, h.state, h.posted_amount) for h in resolved)
        await connection.execute(_RESOLVE_HOLDS, *_columns(ends, 3), now)
    if transfers := changes.transfers:
        posted = (
            (t.transfer_id, t.operation, t.asset_id, t.amount, t.debit_account_id, t.debit_system,
             t.credit_account_id, t.credit_system, t.order_id)
            for t in transfers
        )  # fmt: skip
        await connection.execute(_MAKE_TRANSFERS, *_columns(posted, 9), now)


async def _write_trades(connection: Connection, changes: Changes, now: datetime) -> None:
    if trades := changes.trades:
        rows = (
            (t.order_id, t.user_id, t.side.value, t.spent.asset_id, t.spent.value,
             t.received.asset_id, t.received.value, t.fee, t.realised_pnl)
            for t in trades
        )  # fmt: skip
        await connection.execute(_KEEP_TRADES, *_columns(rows, 9), now)
    if positions := changes.positions:
        costs = ((*key, p.quantity, p.cost) for key, p in positions.items())
        await connection.execute(_CHANGE_POSITIONS, *_columns(costs, 5))


def _require_all(status: str, meant: Collection[object]) -> None:
    """Compare the command's status ("INSERT 0 7") with what was meant to be written."""
    if int(status.rpartition(" ")[2]) != len(meant):
        raise _Overtaken


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Turn rows into the arrays that `unnest` takes, also when there are none."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
