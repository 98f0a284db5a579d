"""Old rows go a bounded number at a time, and what is looked for by its age is found by its age.

A statement that reads or removes whatever there is works until there is much of it; then it takes
longer than its transaction may, and never works again.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.integration.user_worker.ruled import Room, open_room

from devbox.database import Database
from kernel.sharding import Claim
from user_worker.postgres import copy_statements, events, waiting

MANY = 20_000


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables."""
    async with open_room(database) as opened:
        yield opened


async def copied(room: Room, claim: Claim, age: str, state: str = "active") -> UUID:
    """A copy, and marks so old."""
    share, leader, copy = uuid4(), uuid4(), uuid4()
    mine = (claim.pool, claim.shard)
    await room.owner.execute(
        "INSERT INTO worker.shares VALUES ($1, $2, $3, $4, 'AAAA-AAAA')", share, leader, *mine
    )
    await room.owner.execute(
        "INSERT INTO worker.copies (copy_id, job_id, user_id, pool, shard, share_id, leader_id,"
        " spend, slippage_basis_points, state, expires_at, began_at, ended_at) VALUES ($1, $2, $3,"
        " $4, $5, $6, $7, 50, 100, $8, now(), now(), CASE WHEN $8 = 'ended' THEN now() END)",
        *(copy, uuid4(), uuid4(), *mine, share, leader, state),
    )
    await room.owner.execute(
        "INSERT INTO worker.copied SELECT $1, gen_random_uuid(), $2, $3, 'ordered',"
        " now() - $4::text::interval FROM generate_series(1, $5)",
        *(copy, *mine, age, MANY),
    )
    return copy


async def told(room: Room, claim: Claim, age: str) -> None:
    """Notes that were told so long ago."""
    await room.owner.execute(
        "INSERT INTO worker.events (event_id, pool, shard, kind, subject_id, user_id, language,"
        " details, relayed_at) SELECT gen_random_uuid(), $1, $2, 'copy-ended', gen_random_uuid(),"
        " gen_random_uuid(), '', '{}', now() - $3::text::interval FROM generate_series(1, $4)",
        *(claim.pool, claim.shard, age, MANY),
    )


async def left(room: Room, table: str) -> int:
    """How many rows there are."""
    return len(await room.rows(table))


async def test_old_marks_go_so_many_at_a_time(room: Room) -> None:
    """Until none are left."""
    claim = await room.claim_shard(0)
    await copied(room, claim, "8 days")
    await room.copies.pass_over([claim])
    assert MANY - copy_statements.FORGOTTEN_AT_ONCE_MAX == await left(room, "copied")
    await room.copies.pass_over([claim])
    assert 0 == await left(room, "copied")


async def test_old_marks_of_copies_that_ended_go_too(room: Room) -> None:
    """Also where nobody copies any more."""
    claim = await room.claim_shard(0)
    await copied(room, claim, "8 days", "ended")
    await room.copies.pass_over([claim])
    assert MANY > await left(room, "copied")


async def test_old_events_go_so_many_at_a_time(room: Room) -> None:
    """With each that is marked."""
    claim = await room.claim_shard(0)
    await told(room, claim, "8 days")
    await room.events.mark_relayed(claim, [uuid4()])
    assert MANY - events.FORGOTTEN_AT_ONCE_MAX == await left(room, "events")


async def test_what_is_not_old_enough_is_not_read(room: Room) -> None:
    """Its age is looked up in the index, however much there is."""
    claim = await room.claim_shard(0)
    await copied(room, claim, "1 day")
    await told(room, claim, "1 day")
    await room.owner.execute(
        "INSERT INTO worker.alerts (alert_id, user_id, pool, shard, symbol, direction, price,"
        " expires_at) SELECT gen_random_uuid(), gen_random_uuid(), $1, $2, 'BTC', 'at-or-below', 1,"
        " now() + '1 day' FROM generate_series(1, $3)",
        *(claim.pool, claim.shard, MANY),
    )
    await room.owner.execute("ANALYZE")
    place, places = (claim.pool, claim.shard), ([claim.pool], [claim.shard])
    for statement, arguments in (
        (copy_statements.FORGET_OLD_MARKS, place),
        (copy_statements.WITH_COPIES_OR_MARKS, places),
        (events._FORGET_OLD, place),
        (waiting._EXPIRED, places),
        (waiting._EXPIRE_ALERTS, (*place, 10)),
    ):
        read = await read_by(room, statement, *arguments)
        assert read < 100, f"{read} rows are read by {statement}"


async def test_a_sale_is_copied_without_reading_what_was_ever_traded(room: Room) -> None:
    """Neither by its leader nor by the copy: it is asked about for each follower."""
    claim = await room.claim_shard(0)
    copy = await copied(room, claim, "1 day")
    ((leader, follower),) = await room.owner.fetch("SELECT leader_id, user_id FROM worker.copies")
    await room.owner.execute("ALTER TABLE worker.orders DISABLE TRIGGER ALL")
    for user, rule_id in ((leader, None), (follower, copy)):
        await room.owner.execute(
            "INSERT INTO worker.drafts SELECT draft.* FROM generate_series(1, 9999) AS n CROSS JOIN"
            " LATERAL (SELECT gen_random_uuid(), gen_random_uuid(), $1::uuid, 'ns.pool', 0,"
            " lpad(n::text, 4, '0') || '-0000', 'sell', 'BTC', 'units', 1, 'paper:BTC', 'BTC', 1,"
            " 'paper:USDT', 'USDT', 1, 0, 1, NULL::numeric, 1, 100, true, now(), now(),"
            " 'confirmed', CASE WHEN $2::uuid IS NOT NULL THEN 'copy' END, $2::uuid) AS draft",
            *(user, rule_id),
        )
    await room.owner.execute(
        "INSERT INTO worker.orders (order_id, user_id, pool, shard, state, submit_before, spent,"
        " received, fee, ended_at, trade_number, held_before) SELECT draft_id, user_id, pool,"
        " shard, 'filled', now(), 1, 1, 0, now() - interval '1 day', row_number() OVER (PARTITION"
        " BY user_id), 1 FROM worker.drafts"
    )
    await room.owner.execute("ANALYZE")
    sale = await room.owner.fetchval(
        "SELECT order_id FROM worker.orders WHERE user_id = $1 LIMIT 1", leader
    )
    stakes = (copy_statements.STAKES, sale, "BTC", copy, follower)
    to_take = (copy_statements.TO_TAKE, [claim.pool], [claim.shard], 15.0, 600.0, 5)
    for statement, *arguments in (stakes, to_take):
        read = await read_by(room, statement, *arguments)
        assert read < 100, f"{read} rows are read by {statement}"


async def read_by(room: Room, statement: str, *arguments: object) -> float:
    """How many rows a statement reads, kept or not."""
    explained = await room.owner.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *arguments)
    return sum(_rows_read(json.loads(explained)[0]["Plan"]))


def _rows_read(node: dict[str, Any]) -> Iterator[float]:
    """Rows each scan of a plan has read, kept or not."""
    if node["Node Type"].endswith("Scan"):
        loops = node["Actual Loops"]
        yield loops * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    for child in node.get("Plans", ()):
        yield from _rows_read(child)
