"""What users are to be told. Each row has its own mark, so the order of commits does not matter;
rows that were relayed a week ago go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.postgres import Connection, Pool, fence
from kernel.identifiers import new_uuid7
from kernel.sharding import Claim
from user_worker.domain.notes import Note, decode_note, encode_note, kind_of
from user_worker.postgres.answering import answering
from user_worker.postgres.trading_rows import SELECT_ORDER, seen_of
from user_worker.trading_ports import EndEvent, Event, NoteEvent

_UNRELAYED = f"""
SELECT claims.n, e.event_id, e.kind, e.user_id AS told_user_id, e.language AS told_language,
    e.details, ended.*
FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS claims (pool, shard, n)
JOIN worker.events e
    ON e.pool = claims.pool AND e.shard = claims.shard AND e.relayed_at IS NULL
LEFT JOIN LATERAL ({SELECT_ORDER} WHERE o.order_id = e.order_id) AS ended ON true
ORDER BY e.made_at LIMIT $3
"""  # noqa: S608 (columns of ours)
_ADD = """
INSERT INTO worker.events (event_id, pool, shard, kind, subject_id, user_id, language, details)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (kind, subject_id) DO NOTHING
"""
_MARK = """
UPDATE worker.events SET relayed_at = clock_timestamp()
WHERE event_id = ANY($1) AND pool = $2 AND shard = $3 AND relayed_at IS NULL
"""
FORGOTTEN_AT_ONCE_MAX = 1000
"""Old events of a shard removed whenever some are marked."""
# The clock is read once, so that the index is searched by it.
_FORGET_OLD = f"""
DELETE FROM worker.events WHERE event_id IN (
    SELECT event_id FROM worker.events WHERE pool = $1 AND shard = $2
        AND relayed_at < (SELECT clock_timestamp() - interval '7 days')
    ORDER BY relayed_at LIMIT {FORGOTTEN_AT_ONCE_MAX})
"""  # noqa: S608 (a number of ours)


@dataclass(frozen=True, slots=True)
class NewNote:
    """A note to be told to a user."""

    subject_id: UUID
    """What it is about: one note of each kind about each subject."""
    user_id: UUID
    language: str
    note: Note


async def add_notes(connection: Connection, claim: Claim, notes: Sequence[NewNote]) -> None:
    """Write notes in the transaction that does what they tell; safe to repeat.

    The transaction has asked the fence.
    """
    await connection.executemany(
        _ADD,
        [
            (
                *(new_uuid7(), claim.pool, claim.shard, kind_of(new.note), new.subject_id),
                *(new.user_id, new.language, encode_note(new.note)),
            )
            for new in notes
        ],
    )


class PostgresEvents:
    """worker.events."""

    def __init__(self, connections: Pool) -> None:
        self._connections = connections

    async def unrelayed(self, claims: Sequence[Claim], count_max: int) -> Sequence[Event]:
        """Read the events of some shards that were not relayed yet, oldest first."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(
                _UNRELAYED, [c.pool for c in claims], [c.shard for c in claims], count_max
            )
        return [_event_of(row, claims[row["n"] - 1]) for row in rows]

    async def mark_relayed(self, claim: Claim, event_ids: Sequence[UUID]) -> None:
        """Mark events of one shard as relayed. Safe to repeat."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(_MARK, list(event_ids), claim.pool, claim.shard)
            await connection.execute(_FORGET_OLD, claim.pool, claim.shard)


def _event_of(row: Any, claim: Claim) -> Event:
    if row["details"] is None:
        return EndEvent(row["event_id"], claim, seen_of(row).order, row["language"])
    return NoteEvent(
        event_id=row["event_id"],
        claim=claim,
        user_id=row["told_user_id"],
        language=row["told_language"],
        note=decode_note(row["kind"], row["details"]),
    )
