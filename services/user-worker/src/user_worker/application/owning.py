"""How this worker comes to own shards, keeps them, and gives them up.

One run of `_serve` is one incarnation: registered under an id of its own, kept alive by a heartbeat
each second, over when a heartbeat is refused or the lease's end on this side's clock has come. Then
every shard is dropped at once and a new incarnation begins. While it lives, `_converge` observes
placement each second, or when woken, and does what `plan_ownership` says; a hand-over runs beside
it, so a long drain holds up nothing.

On stop the worker says so and serves on for a moment, until the operator has named the next owners:
so a shard pauses for a move and not for a decision. Then it drains and releases all that are left
at the same time, and deregisters; the heartbeat goes on until then. If the database is away
meanwhile, the lease ends it.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.ending import end_tasks
from chassis.telemetry import get_logger
from kernel.identifiers import new_uuid7
from kernel.sharding import ShardKey
from user_worker import metrics
from user_worker.application.outages import note_answer, note_outage
from user_worker.application.shards import Shards
from user_worker.domain.lease import Lease
from user_worker.domain.ownership import (
    Drop,
    HandOver,
    OrphanRule,
    Release,
    TakeUp,
    plan_ownership,
)
from user_worker.domain.pauses import Pauses
from user_worker.errors import DependencyDown
from user_worker.ports import Placement

ASSIGNED_WAIT_SECONDS = 1.0
"""How long a worker that stops serves on until its shards are assigned to others: several rounds of
the operator's loop. Without an operator it is a second of the pod's grace period."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OwnershipPace:
    """The rhythm of owning."""

    lease_seconds: float
    lease_margin_seconds: float
    heartbeat_seconds: float
    poll_seconds: float
    gather_seconds: float
    claims_at_once_max: int
    orphans: OrphanRule
    after_outage: Pauses


class Owner:
    """Owns shards for one worker, through as many incarnations as it takes."""

    def __init__(
        self, worker: str, placement: Placement, shards: Shards, pace: OwnershipPace
    ) -> None:
        self.worker = worker
        self.incarnation: UUID | None = None
        """None while no incarnation is registered."""
        self.wake = asyncio.Event()
        """Set to observe placement now rather than within the second."""
        self._placement = placement
        self._shards = shards
        self._pace = pace
        self._drain_timeout_seconds = 0.0
        self._beside: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Own shards until `stop` is set and all of them are given up."""
        while not stop.is_set():
            incarnation = new_uuid7()
            lease = Lease(self._pace.lease_seconds, self._pace.lease_margin_seconds)
            if await self._register(incarnation, lease, stop):
                self.incarnation = incarnation
                try:
                    await self._serve(incarnation, lease, stop)
                finally:
                    self.incarnation = None

    async def _register(self, incarnation: UUID, lease: Lease, stop: asyncio.Event) -> bool:
        now = asyncio.get_running_loop().time
        for pause in self._pace.after_outage:
            if stop.is_set():
                break
            sent_at = now()
            try:
                await self._placement.register(self.worker, incarnation, self._pace.lease_seconds)
            except DependencyDown as outage:
                note_outage(outage, "register")
                await asyncio.sleep(pause)
            else:
                lease.renewed(sent_at)
                note_answer("database", "register")
                _log.info("registered", worker=self.worker, incarnation=str(incarnation))
                return True
        return False

    async def _serve(self, incarnation: UUID, lease: Lease, stop: asyncio.Event) -> None:
        beating = asyncio.create_task(self._keep(incarnation, lease))
        converging = asyncio.create_task(self._converge(incarnation))
        stopping = asyncio.create_task(stop.wait())
        tasks: list[asyncio.Task[Any]] = [beating, converging, stopping]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await _cancelled(converging)
            if not beating.done():
                leaving = asyncio.create_task(self._leave(incarnation))
                tasks.append(leaving)
                await asyncio.wait({leaving, beating}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if beating.done():
                metrics.LEASE_LOSSES.inc()
            self._shards.drop_all("the incarnation is over")
            for task in [*tasks, *self._beside]:
                await _cancelled(task)

    async def _keep(self, incarnation: UUID, lease: Lease) -> None:
        """Heartbeat until the lease is over; then return."""
        now = asyncio.get_running_loop().time
        period = self._pace.heartbeat_seconds
        pause = period
        while True:
            await asyncio.sleep(min(pause, lease.remaining(now())))
            sent_at = now()
            if lease.is_over(sent_at):
                _log.error("lease_over", incarnation=str(incarnation))
                return
            pause = period / 4
            try:
                async with asyncio.timeout(min(period, lease.remaining(sent_at))):
                    lives = await self._placement.heartbeat(
                        self.worker, incarnation, self._pace.lease_seconds
                    )
            except DependencyDown as outage:
                note_outage(outage, "heartbeat")
                continue
            except TimeoutError:
                note_outage(DependencyDown("database", "no answer in time"), "heartbeat")
                continue
            if not lives:
                _log.error("lease_refused", incarnation=str(incarnation))
                return
            lease.renewed(sent_at)
            note_answer("database", "heartbeat")
            pause = period

    async def _converge(self, incarnation: UUID) -> None:
        """Bring what is owned to what is wished for, again and again."""
        while True:
            self.wake.clear()
            try:
                await self._converge_once(incarnation)
            except DependencyDown as outage:
                note_outage(outage, "observe")
            else:
                note_answer("database", "observe")
            try:
                async with asyncio.timeout(self._pace.poll_seconds):
                    await self.wake.wait()
                # A move of many shards rings once for each of them.
                await asyncio.sleep(self._pace.gather_seconds)
            except TimeoutError:
                pass

    async def _converge_once(self, incarnation: UUID, *, may_claim: bool = True) -> None:
        observed = await self._placement.observe(self.worker, incarnation)
        self._drain_timeout_seconds = observed.drain_timeout_seconds
        owned = self._shards.all()
        held = {shard.claim.key: shard.claim.epoch for shard in owned}
        draining = frozenset(shard.claim.key for shard in owned if shard.draining.is_set())
        claims: list[ShardKey] = []
        for action in plan_ownership(observed, held, draining, self._pace.orphans):
            match action:
                case Drop(key):
                    self._shards.drop(key, "placement knows a newer claim")
                case Release(claim):
                    await self._placement.release(claim, self.worker, incarnation)
                case HandOver(key):
                    self._run_beside(self._hand_over(key, incarnation))
                case TakeUp(key) if may_claim:
                    claims.append(key)
        for first in range(0, len(claims), self._pace.claims_at_once_max):
            some = claims[first : first + self._pace.claims_at_once_max]
            await asyncio.gather(*(self._take_up(key, incarnation) for key in some))

    async def _take_up(self, key: ShardKey, incarnation: UUID) -> None:
        try:
            claim = await self._placement.claim(
                key, self.worker, incarnation, self._pace.orphans.after_seconds
            )
        except DependencyDown as outage:
            # Its answer may be lost: the next round finds the claim and releases it.
            note_outage(outage, "claim")
            return
        if claim is not None:
            self._shards.open(claim)

    async def _hand_over(self, key: ShardKey, incarnation: UUID) -> None:
        claim = await self._shards.drain(key, self._drain_timeout_seconds)
        if claim is None:
            return
        try:
            await self._placement.release(claim, self.worker, incarnation)
        except DependencyDown as outage:
            # The next round releases it, or the lease ends.
            note_outage(outage, "release")

    async def _leave(self, incarnation: UUID) -> None:
        """Give everything up in an orderly way."""
        await self._if_answered(self._placement.drain(self.worker, incarnation))
        with suppress(TimeoutError):
            async with asyncio.timeout(ASSIGNED_WAIT_SECONDS):
                await self._hand_over_as_assigned(incarnation)
        for shard in self._shards.readable():
            self._run_beside(self._hand_over(shard.claim.key, incarnation))
        if self._beside:
            await asyncio.wait(self._beside)
        await self._if_answered(self._placement.deregister(self.worker, incarnation))
        _log.info("left", worker=self.worker, incarnation=str(incarnation))

    async def _hand_over_as_assigned(self, incarnation: UUID) -> None:
        while self._shards.readable():
            self.wake.clear()
            await self._if_answered(self._converge_once(incarnation, may_claim=False))
            # A lost notification costs the rest of the wait; the shards are handed over after it.
            await self.wake.wait()
            await asyncio.sleep(self._pace.gather_seconds)

    async def _if_answered(self, call: Coroutine[Any, Any, None]) -> None:
        try:
            await call
        except DependencyDown as outage:
            note_outage(outage, "leave")

    def _run_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for it; one that failed raises its error here."""
    await end_tasks({task})
    if not task.cancelled():
        task.result()
