"""Notes in a real PostgreSQL: written with what they tell, once, and read back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from tests.integration.stores import ClaimShard, make_claims, pool_of

from chassis.postgres import fence, transaction
from devbox.database import Database
from user_worker.domain.notes import AlertExpired, UnknownNote
from user_worker.postgres import PostgresEvents
from user_worker.postgres.events import NewNote, add_notes
from user_worker.trading_ports import NoteEvent

NOTE = AlertExpired(
    symbol="BTC", direction="at-or-above", price=Decimal("12345678901.000000000000000001")
)


@dataclass
class Room:
    """worker.events and what is beside it."""

    connections: "asyncpg.Pool[asyncpg.Record]"
    events: PostgresEvents
    claim_shard: ClaimShard


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables, as the worker's role may use them."""
    async with pool_of(database, "purser_worker") as connections:
        yield Room(connections, PostgresEvents(connections), make_claims(database))


async def test_a_note_is_told_once_of_each_subject_until_it_is_marked(room: Room) -> None:
    """Whoever writes it again meets the first."""
    claim, new = await room.claim_shard(0), NewNote(uuid4(), uuid4(), "de", NOTE)
    for _ in range(2):
        async with transaction(room.connections) as connection:
            await fence(connection, claim)
            await add_notes(connection, claim, [new])

    (event,) = await room.events.unrelayed([claim], 10)
    assert NoteEvent(event.event_id, claim, new.user_id, "de", NOTE) == event
    assert [] == await room.events.unrelayed([await room.claim_shard(1)], 10)
    await room.events.mark_relayed(claim, [event.event_id])
    assert [] == await room.events.unrelayed([claim], 10)


async def test_a_note_of_a_later_version_is_read_as_unknown(room: Room) -> None:
    """Those beside it are read."""
    claim, new = await room.claim_shard(0), NewNote(uuid4(), uuid4(), "", NOTE)
    async with transaction(room.connections) as connection:
        await add_notes(connection, claim, [new])
        await connection.execute(
            "INSERT INTO worker.events (event_id, pool, shard, kind, subject_id, user_id, language,"
            " details) VALUES ($1, $2, $3, 'later', $1, $1, '', '{}')",
            *(uuid4(), claim.pool, claim.shard),
        )

    known, unknown = await room.events.unrelayed([claim], 10)
    assert [NOTE, UnknownNote("later")] == [
        event.note for event in (known, unknown) if isinstance(event, NoteEvent)
    ]


async def test_an_event_is_an_end_or_a_note_and_nothing_between(room: Room) -> None:
    """A note without what it tells is refused by the table."""
    claim = await room.claim_shard(0)
    with pytest.raises(asyncpg.CheckViolationError):
        async with transaction(room.connections) as connection:
            await connection.execute(
                "INSERT INTO worker.events (event_id, pool, shard, kind, subject_id)"
                " VALUES ($1, $2, $3, 'alert-expired', $1)",
                *(uuid4(), claim.pool, claim.shard),
            )
