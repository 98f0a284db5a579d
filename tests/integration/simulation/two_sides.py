"""The simulated PostgreSQL beside the real one, at the same moment of the same frozen time.

Time stands still on both sides but for `pass_time`: before each operation the real database's
times are moved by what its clock went on meanwhile, so that a lease of three seconds ends on both
sides after the same operation.
"""

import enum
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from unittest import mock
from uuid import UUID

import asyncpg
from google.protobuf.message import Message
from google.protobuf.text_format import MessageToString
from tests.integration.stores import make_claims, pool_of
from tests.simulation.network import Network
from tests.simulation.placement import PlacementTables, ShardRow
from tests.simulation.seeding import at, seeded

from chassis.postgres import Pool
from devbox.database import Database
from kernel import identifiers
from kernel.sharding import Claim, ShardKey
from user_worker.domain.carrying_out import VenueSaid
from user_worker.domain.jobs import Job
from user_worker.domain.orders import Order
from user_worker.errors import WorkerError
from user_worker.ports import UndoneJobs
from user_worker.postgres import shares
from user_worker.trading_ports import Notice

Result = TypeVar("Result")
POOL = "default.main"
STORY_LINES, STORY_LINE_CHARACTERS = 12, 400
"""What is told of the operations before the one that was answered in two ways."""
TIMES = {
    "placement.workers": ("lease_until", "registered_at"),
    "placement.shards": ("ownerless_since",),
    "worker.drafts": ("made_at", "expires_at"),
    "worker.orders": ("accepted_at", "submit_before", "ended_at"),
    "worker.events": ("made_at", "relayed_at"),
    "worker.attempts": ("counted_at",),
    "worker.resting_orders": ("placed_at", "expires_at", "ended_at"),
    "worker.alerts": ("placed_at", "expires_at", "ended_at"),
    "worker.freezes": ("frozen_at",),
    "worker.plans": ("made_at", "expires_at", "next_at", "counted_since", "ended_at"),
    "worker.shares": ("shared_at", "ended_at"),
    "worker.copies": ("made_at", "expires_at", "began_at", "ended_at"),
    "worker.copied": ("taken_at",),
    "ledger.transfers": ("expires_at",),
}


class AtOnce(Network):
    """A network on which nothing takes time and nothing goes wrong."""

    def __init__(self) -> None:
        """Needs no loop."""

    async def call(
        self, service: str, what: str, effect: Callable[[], Result], *, is_plain: bool = False
    ) -> Result:
        """Let the effect take place."""
        return effect()


@dataclass
class TwoSides:
    """Both sides, and what they share: the time, and the ids that are made."""

    owner: Any
    pools: Callable[[str], Awaitable[Pool]]
    placement: PlacementTables
    now: float = 0.0
    behind: timedelta = timedelta()
    """How far the real database's times are before the simulated ones."""
    _operation: int = 0

    def pass_time(self, seconds: float) -> None:
        """Let time pass on both sides."""
        self.now += seconds

    def real_time(self, moment: float) -> datetime:
        """A moment of the frozen time as the real database's clock has it now."""
        return datetime.now(UTC) + timedelta(seconds=moment - self.now)

    async def both(
        self, simulated: Callable[[], Awaitable[Any]], real: Callable[[], Awaitable[Any]]
    ) -> tuple[Any, Any]:
        """Do one operation on either side; gives both answers, an error's name for an error."""
        self._operation += 1
        self.now += 0.001
        expected = await self._answer(simulated)
        await self._set_back()
        return expected, await self._answer(real)

    async def _answer(self, side: Callable[[], Awaitable[Any]]) -> Any:
        # The same ids on both sides, if both make as many.
        with (
            seeded(random.Random(self._operation), lambda: self.now),
            mock.patch.object(shares, "uuid4", identifiers.new_uuid7),
        ):
            try:
                return await side()
            except (WorkerError, LookupError, ValueError, asyncpg.PostgresError) as error:
                return type(error).__name__

    async def _set_back(self) -> None:
        real: datetime = await self.owner.fetchval("SELECT clock_timestamp()")
        behind = real - at(self.now)
        moved, self.behind = behind - self.behind, behind
        by = f"+ make_interval(secs => {moved.total_seconds():f})"
        await self.owner.execute(
            ";".join(
                f"UPDATE {table} SET {', '.join(f'{c} = {c} {by}' for c in columns)}"  # noqa: S608 (ours)
                for table, columns in TIMES.items()
            )
        )


@asynccontextmanager
async def two_sides(database: Database) -> AsyncIterator[TwoSides]:
    """Both sides, empty."""
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        # Moving times is no change of an order: its triggers would refuse it.
        await owner.execute("SET session_replication_role = replica")

        async def open_pool(role: str) -> Pool:
            return await stack.enter_async_context(pool_of(database, role, connections_max=1))

        sides = TwoSides(owner, open_pool, PlacementTables(POOL, lambda: sides.now))
        yield sides


class Asked:
    """Asks the same of simulated and real adapters, compares the answers and remembers both, so
    that what led to a difference is told with it.
    """

    def __init__(
        self,
        sides: TwoSides,
        ports: Mapping[str, tuple[Any, Any]],
        plain: Callable[[Any], Any] = lambda answer: answer,
    ) -> None:
        self.answered: Counter[str] = Counter()
        """How often each question had which kind of answer, as in "hold APPLIED"."""
        self._sides = sides
        self._ports = ports
        self._plain = plain
        self._story: list[str] = []

    async def ask(self, port: str, what: str, *arguments: Any, **named: Any) -> Any:
        """Ask a method of a port; gives what both sides answered."""
        simulated, real = self._ports[port]
        return await self.compare(
            f"{what}({', '.join(map(told, (*arguments, *named.values())))})",
            lambda: getattr(simulated, what)(*arguments, **named),
            lambda: getattr(real, what)(*arguments, **named),
        )

    async def compare(
        self,
        question: str,
        simulated: Callable[[], Awaitable[Any]],
        real: Callable[[], Awaitable[Any]],
    ) -> Any:
        """Do one operation on either side; gives what both answered."""
        sides = await self._sides.both(simulated, real)
        expected, answer = map(self._plain, sides)
        before = "\n".join(line[:STORY_LINE_CHARACTERS] for line in self._story[-STORY_LINES:])
        both = f"simulated: {told(expected)}\nreal: {told(answer)}"
        assert expected == answer, f"{before}\n{question}\n{both}"
        self._story.append(f"{question}: {told(answer)}")
        self.answered[f"{question.partition('(')[0]} {_kind(answer)}"] += 1
        return answer


def told(what: Any) -> str:
    """An what or an answer as a person wants to read it, in one line."""
    match what:
        case Claim():
            return f"{what.shard}@{what.epoch}"
        case UUID():
            return f"{what.int % 1_000_000}"
        case Order():
            draft = what.draft
            return (
                f"{draft.wish.side.value} {told(what.order_id)} of {told(draft.user_id)}:"
                f" {draft.spend.value} for {draft.receive_min} to {draft.receive_max}"
                f" {draft.receive.asset_id}, executed {what.spent} for {what.received}"
                f" less {what.fee}"
            )
        case VenueSaid(state, refused, spent, received, charged):
            why = "" if refused is None else f" {refused.name}"
            return f"{state.name}{why} {spent} for {received} less {charged}"
        case Job(job_id, _, user_id, seq, _, given):
            return f"job {told(job_id)} ({seq} of {told(user_id)}: {given})"
        case UndoneJobs(claim, is_stale, jobs, next_seqs):
            stale = " stale" if is_stale else ""
            seqs = ", ".join(f"{told(u)}: {seq}" for u, seq in (next_seqs or {}).items())
            return f"{told(claim)}{stale} {told(jobs)} next {seqs or next_seqs}"
        case Notice(event_id, user_id, replies):
            return f"notice {told(event_id)} to {told(user_id)}: {told(replies)}"
        case list() | tuple():
            return f"[{', '.join(map(told, what))}]"
        case Message():
            return MessageToString(what, as_one_line=True)
        case _:
            return repr(what)


def _kind(answer: Any) -> str:
    """What an answer is called: an outcome's or an error's name, else its type's or its truth."""
    match answer:
        case VenueSaid():
            return (answer.refused or answer.state).name
        case enum.Enum():
            return answer.name
        case str():
            return answer
        case bool() | list() | tuple() | None:
            return str(bool(answer))
        case _:
            return type(answer).__name__


async def take_shard(sides: TwoSides, database: Database, shard: int) -> Claim:
    """Claim a shard on both sides; each claim is newer."""
    claim = await make_claims(database)(shard)
    row = sides.placement.shards.setdefault(shard, ShardRow(ShardKey(POOL, shard), None))
    row.epoch = claim.epoch
    return claim


def drawn(seed: int) -> random.Random:
    """What a sequence of operations is drawn from."""
    return random.Random(seed)
