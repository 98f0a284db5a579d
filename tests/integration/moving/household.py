"""A user with something of every kind in every room, two pools to be in, and movers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from chassis.postgres import Pool
from gateway.domain import ShardRoom
from gateway.postgres import Moves
from kernel.identifiers import new_uuid7
from kernel.sharding import ShardKey
from purser.gateway.v1 import job_pb2

BOT = 1
MAIN, FAST = "default.main", "default.fast"
HOME, AWAY, OTHER = ShardKey(MAIN, 0), ShardKey(FAST, 0), ShardKey(MAIN, 1)
USERS_PER_SHARD = 50
ROOM = ShardRoom(AWAY, USERS_PER_SHARD, USERS_PER_SHARD)
OPEN_STATES = ("accepted", "held", "submitted", "executed", "given-up")
KEYS = {
    "gateway.users": "user_id",
    "gateway.inbox": "job_id",
    "ledger.users": "user_id",
    "wallet.wallets": "user_id",
    "venue.users": "user_id",
    "venue.orders": "order_id",
    "worker.drafts": "draft_id",
    "worker.orders": "order_id",
    "worker.events": "event_id",
    "worker.resting_orders": "order_id",
    "worker.alerts": "alert_id",
    "worker.plans": "plan_id",
    "worker.copies": "copy_id",
    "worker.copied": "copy_id",
    "worker.shares": "share_id",
    "worker.freezes": "user_id",
    "worker.preferences": "user_id",
}
"""Every table whose rows name a user's shard, and what a row is known by."""

Sql = "asyncpg.Pool[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Household:
    """What one user has, by what has to become of it."""

    user_id: UUID
    telegram_id: int
    goes: Mapping[str, frozenset[UUID]]
    """Rows by table that follow the user."""
    stays: Mapping[str, frozenset[UUID]]
    """Rows by table that are history."""


async def open_pools(sql: Any) -> None:
    """Declare both pools and make their shards."""
    for pool in (MAIN, FAST):
        await sql.execute(
            "INSERT INTO placement.pools VALUES ($1, $2, true, 40, 20)", pool, USERS_PER_SHARD
        )
    for key in (HOME, AWAY, OTHER):
        await sql.execute("INSERT INTO gateway.shards VALUES ($1, $2, 0)", key.pool, key.shard)
        await sql.execute("SELECT placement.ensure_shard($1, $2)", key.pool, key.shard)


async def claim(sql: Any, key: ShardKey, worker: str = "worker-0") -> int:
    """Claim a shard as a living worker would; the epoch."""
    run = uuid4()
    await sql.execute("SELECT placement.register_worker($1, $2, $3, 60)", key.pool, worker, run)
    await sql.execute(
        "UPDATE placement.shards SET owner = NULL, owner_incarnation = NULL,"
        " ownerless_since = clock_timestamp() WHERE pool = $1 AND shard = $2",
        *(key.pool, key.shard),
    )
    epoch = await sql.fetchval(
        "SELECT placement.claim_shard($1, $2, $3, $4, -1)", key.pool, key.shard, worker, run
    )
    return int(epoch)


async def where(sql: Any, table: str, ids: Sequence[UUID] | frozenset[UUID]) -> set[ShardKey]:
    """The shards that rows name."""
    rows = await sql.fetch(
        f"SELECT pool, shard FROM {table} WHERE {KEYS[table]} = ANY ($1)",  # noqa: S608
        list(ids),
    )
    return {ShardKey(row["pool"], row["shard"]) for row in rows}


async def move(mover: Pool, *users: UUID, source: ShardKey = HOME, room: ShardRoom = ROOM) -> None:
    """Move users as the command does."""
    await Moves(mover).move(users, source, room)


async def settle(sql: Any, telegram_id: int, key: ShardKey = HOME) -> Household:
    """Give a user something of every kind in a shard."""
    user = uuid4()
    place = (user, key.pool, key.shard)
    await sql.execute(
        "INSERT INTO gateway.users VALUES ($1, $4, $5, $2, $3, 4, 'en', 'Ann')",
        *(*place, BOT, telegram_id),
    )
    await sql.execute(
        "UPDATE gateway.shards SET users = users + 1 WHERE pool = $1 AND shard = $2", *place[1:]
    )
    done, set_aside, *undone = [await _job(sql, user, key, seq) for seq in (1, 2, 3, 4)]
    await _end(sql, done, 1)
    await _end(sql, set_aside, 2)
    money = await _money(sql, place)
    orders = {state: await _order(sql, place, state) for state in (*OPEN_STATES, "filled")}
    tombstone = orders["given-up"]
    await sql.execute(
        "INSERT INTO venue.orders (order_id, pool, shard, state) VALUES ($1, $2, $3, 'tombstoned')",
        *(tombstone, *place[1:]),
    )
    resting = {
        state: await _resting(sql, place, state)
        for state in ("offered", "waiting", "triggered", "cancelled")
    }
    rules = await _rules(sql, place)
    told, untold = await _event(sql, place, None), await _event(sql, place, orders["filled"])
    await sql.execute(
        "UPDATE worker.events SET relayed_at = clock_timestamp() WHERE event_id = $1", told
    )
    going_orders = frozenset(orders[state] for state in OPEN_STATES)
    goes = {
        "gateway.users": frozenset({user}),
        "gateway.inbox": frozenset({set_aside, *undone}),
        **money,
        "venue.orders": frozenset({tombstone}),
        "worker.orders": going_orders,
        "worker.drafts": frozenset({resting["offered"], await _draft(sql, place, "open")}),
        "worker.resting_orders": frozenset(
            resting[state] for state in ("offered", "waiting", "cancelled")
        ),
        "worker.events": frozenset({untold}),
        **rules,
    }
    stays = {
        "gateway.inbox": frozenset({done}),
        "worker.orders": frozenset({orders["filled"]}),
        "worker.drafts": frozenset({orders["filled"], resting["triggered"]}),
        "worker.resting_orders": frozenset({resting["triggered"]}),
        "worker.events": frozenset({told}),
        "worker.copied": rules["worker.copies"],
    }
    return Household(user, telegram_id, goes, stays)


async def _job(sql: Any, user: UUID, key: ShardKey, seq: int) -> UUID:
    job = job_pb2.Job(
        job_id=str(new_uuid7()), pool=key.pool, shard=key.shard, user_id=str(user), user_seq=seq
    )
    job.text.text = f"what was typed {seq}"
    await sql.execute(
        "INSERT INTO gateway.inbox (job_id, user_id, user_seq, pool, shard, accepted_at, payload)"
        " VALUES ($1, $2, $3, $4, $5, clock_timestamp(), $6)",
        *(UUID(job.job_id), user, seq, key.pool, key.shard, job.SerializeToString()),
    )
    return UUID(job.job_id)


async def _end(sql: Any, job_id: UUID, outcome: int) -> None:
    await sql.execute(
        "UPDATE gateway.inbox SET done_at = clock_timestamp(), outcome = $2 WHERE job_id = $1",
        *(job_id, outcome),
    )


async def _money(sql: Any, place: tuple[UUID, str, int]) -> dict[str, frozenset[UUID]]:
    user = place[0]
    await sql.execute("INSERT INTO ledger.users VALUES ($1, $2, $3)", *place)
    await sql.execute(
        "INSERT INTO ledger.accounts (account_id, user_id, asset_id, kind, posted, held)"
        " VALUES ($1, $2, 'paper:USDT', 'spot', 10000, 12.5)",
        *(uuid4(), user),
    )
    await sql.execute(
        "INSERT INTO wallet.key_encryption_keys VALUES ($1, 'canary') ON CONFLICT DO NOTHING",
        "0" * 16,
    )
    await sql.execute(
        "INSERT INTO wallet.wallets VALUES ($4, $1, $2, $3, $5, 1, $6, 'wrapped', 'sealed')",
        *(*place, uuid4(), f"0x{user.hex}{'0' * 8}", "0" * 16),
    )
    await sql.execute("INSERT INTO venue.users VALUES ($1, $2, $3)", *place)
    return {table: frozenset({user}) for table in ("ledger.users", "wallet.wallets", "venue.users")}


async def _draft(sql: Any, place: tuple[UUID, str, int], state: str) -> UUID:
    draft = uuid4()
    receipt = f"{draft.hex[:4]}-{draft.hex[4:8]}".upper()
    await sql.execute(
        "INSERT INTO worker.drafts (user_id, pool, shard, draft_id, job_id, receipt, side, symbol,"
        " size_kind, size_value, spend_asset_id, spend_symbol, spend, receive_asset_id,"
        " receive_symbol, receive, fee, receive_min, price, slippage_basis_points, is_simulated,"
        " expires_at, state) VALUES ($1, $2, $3, $4, $5, $6, 'buy', 'BTC', 'money', 100,"
        " 'paper:USDT', 'USDT', 100, 'paper:BTC', 'BTC', 0.001, 0, 0.0009, 100000, 100, true,"
        " clock_timestamp() + interval '1 minute', $7)",
        *(*place, draft, uuid4(), receipt, state),
    )
    return draft


async def _order(sql: Any, place: tuple[UUID, str, int], state: str) -> UUID:
    order = await _draft(sql, place, "confirmed")
    is_executed, is_ended = state in ("executed", "filled"), state == "filled"
    await sql.execute(
        "INSERT INTO worker.orders (user_id, pool, shard, order_id, state, submit_before, spent,"
        " received, fee, refused, ended_at) VALUES ($1, $2, $3, $4, $5,"
        " clock_timestamp() + interval '1 minute', $6, $7, $8, $9,"
        " CASE WHEN $10 THEN clock_timestamp() END)",
        *(*place, order, state, *((100, 1, 0) if is_executed else (None, None, None))),
        *("slippage" if state == "given-up" else None, is_ended),
    )
    return order


async def _resting(sql: Any, place: tuple[UUID, str, int], state: str) -> UUID:
    draft = await _draft(sql, place, "open" if state == "offered" else "confirmed")
    is_ended = state in ("triggered", "cancelled")
    await sql.execute(
        "INSERT INTO worker.resting_orders (user_id, pool, shard, order_id, kind, symbol,"
        " direction, trigger_price, lasts_seconds, state, placed_at, expires_at, ended_at)"
        " VALUES ($1, $2, $3, $4, 'limit', 'BTC', 'at-or-below', 1, 3600, $5,"
        " CASE WHEN $6 THEN clock_timestamp() END,"
        " CASE WHEN $6 THEN clock_timestamp() + interval '1 hour' END,"
        " CASE WHEN $7 THEN clock_timestamp() END)",
        *(*place, draft, state, state != "offered", is_ended),
    )
    return draft


async def _rules(sql: Any, place: tuple[UUID, str, int]) -> dict[str, frozenset[UUID]]:
    alerts, plans = [uuid4(), uuid4()], [uuid4(), uuid4()]
    for alert, state in zip(alerts, ("waiting", "reached"), strict=True):
        await sql.execute(
            "INSERT INTO worker.alerts (user_id, pool, shard, alert_id, symbol, direction, price,"
            " state, expires_at, ended_at) VALUES ($1, $2, $3, $4, 'BTC', 'at-or-below', 1, $5,"
            " clock_timestamp() + interval '1 hour', CASE WHEN $6 THEN clock_timestamp() END)",
            *(*place, alert, state, state == "reached"),
        )
    for plan, state in zip(plans, ("active", "finished"), strict=True):
        await sql.execute(
            "INSERT INTO worker.plans (user_id, pool, shard, plan_id, job_id, symbol, size_kind,"
            " size_value, slippage_basis_points, period_seconds, state, expires_at, next_at,"
            " counted_since, ended_at) VALUES ($1, $2, $3, $4, $5, 'BTC', 'money', 5, 100, 60, $6,"
            " clock_timestamp(), clock_timestamp(), clock_timestamp(),"
            " CASE WHEN $7 THEN clock_timestamp() END)",
            *(*place, plan, uuid4(), state, state == "finished"),
        )
    shares = [uuid4(), uuid4()]
    for share, is_ended in zip(shares, (False, True), strict=True):
        code = f"{share.hex[:4]}-{share.hex[4:8]}".upper()
        await sql.execute(
            "INSERT INTO worker.shares (user_id, pool, shard, share_id, code, ended_at)"
            " VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN clock_timestamp() END)",
            *(*place, share, code, is_ended),
        )
    copy = uuid4()
    await sql.execute(
        "INSERT INTO worker.copies (user_id, pool, shard, copy_id, job_id, share_id, leader_id,"
        " spend, slippage_basis_points, state, expires_at, began_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, 5, 100, 'active', clock_timestamp(),"
        " clock_timestamp())",
        *(*place, copy, uuid4(), shares[0], uuid4()),
    )
    await sql.execute(
        "INSERT INTO worker.copied VALUES ($1, $2, $3, $4, 'ordered')", copy, uuid4(), *place[1:]
    )
    await sql.execute("INSERT INTO worker.freezes VALUES ($1, $2, $3, $4, '{}')", *place, uuid4())
    await sql.execute("INSERT INTO worker.preferences VALUES ($1, $2, $3, 'de')", *place)
    user = frozenset({place[0]})
    return {
        "worker.alerts": frozenset(alerts),
        "worker.plans": frozenset(plans),
        "worker.shares": frozenset(shares),
        "worker.copies": frozenset({copy}),
        "worker.freezes": user,
        "worker.preferences": user,
    }


async def _event(sql: Any, place: tuple[UUID, str, int], order: UUID | None) -> UUID:
    event = uuid4()
    if order is not None:
        await sql.execute(
            "INSERT INTO worker.events (event_id, order_id, pool, shard) VALUES ($1, $2, $3, $4)",
            *(event, order, *place[1:]),
        )
    else:
        await sql.execute(
            "INSERT INTO worker.events (user_id, pool, shard, event_id, kind, subject_id, language,"
            " details) VALUES ($1, $2, $3, $4, 'alert-expired', $5, 'en', '{}')",
            *(*place, event, uuid4()),
        )
    return event
