"""Schema `placement` in memory, each method one of its functions as one transaction, and the two
ports in front of it. A transaction is atomic here, so that fence and write are: what READ COMMITTED
does to them between two statements is stepped through in tests/integration/placement.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from tests.simulation.network import Network

from kernel.sharding import Claim, ShardKey
from shard_operator.errors import PlacementAway
from shard_operator.planning import Change, ShardPlacement
from shard_operator.usershard import UserShard
from shard_operator.weighing import weight_of
from shard_operator.workloads import PlacementObserved, WorkerLease
from user_worker.domain.ownership import Observed, ShardSeen
from user_worker.errors import ClaimLost, DependencyDown, NameTaken

NEVER = float("-inf")
FORGET_AFTER_SECONDS = 3600.0


@dataclass(slots=True)
class WorkerRow:
    """placement.workers"""

    incarnation: UUID
    lease_until: float
    registered_at: float
    draining: bool = False


@dataclass(slots=True)
class ShardRow:
    """placement.shards"""

    key: ShardKey
    ownerless_since: float | None
    epoch: int = 0
    owner: str | None = None
    owner_incarnation: UUID | None = None
    desired_owner: str | None = None
    users: int = 0


class PlacementTables:
    """One pool's placement."""

    def __init__(self, pool: str, now: Callable[[], float]) -> None:
        self.pool = pool
        self.now = now
        self.workers: dict[str, WorkerRow] = {}
        self.shards: dict[int, ShardRow] = {}
        self.policy: tuple[int, bool, int, int] | None = None
        self.notify: Callable[[], None] = lambda: None
        self.claimed: Callable[[ShardRow, str, UUID], None] = lambda *_: None
        """Called with a shard as it was before a claim, and who claims it."""
        self.written: Callable[[Claim], None] = lambda _: None
        """Called with the claim of every write that passed the fence."""
        self.refused: Callable[[Claim], None] = lambda _: None
        """Called with the claim of every write that did not."""

    def fence(self, claim: Claim) -> None:
        """placement.fence. Raises ClaimLost."""
        if not self.is_newest(claim):
            self.refused(claim)
            raise ClaimLost(str(claim))
        self.written(claim)

    def is_newest(self, claim: Claim) -> bool:
        """placement.fence_batch, of one claim."""
        row = self.shards.get(claim.shard)
        return row is not None and claim.pool == self.pool and row.epoch == claim.epoch >= 1

    def ensure_shard(self, shard: int) -> None:
        """placement.ensure_shard"""
        if shard not in self.shards:
            self.shards[shard] = ShardRow(ShardKey(self.pool, shard), self.now())
            self.notify()

    def register(self, worker: str, incarnation: UUID, lease_seconds: float) -> None:
        """placement.register_worker"""
        self.workers[worker] = WorkerRow(incarnation, self.now() + lease_seconds, self.now())
        self.notify()

    def register_again(
        self, worker: str, incarnation: UUID, previous: UUID, lease_seconds: float
    ) -> bool:
        """placement.register_worker_again"""
        row = self.workers.get(worker)
        is_another = row is not None and row.incarnation not in (previous, incarnation)
        if row is not None and is_another and row.lease_until > self.now():
            return False
        self.register(worker, incarnation, lease_seconds)
        return True

    def heartbeat(self, worker: str, incarnation: UUID, lease_seconds: float) -> bool:
        """placement.heartbeat"""
        row = self.workers.get(worker)
        if row is None or row.incarnation != incarnation or row.lease_until <= self.now():
            return False
        row.lease_until = self.now() + lease_seconds
        return True

    def drain(self, worker: str, incarnation: UUID) -> None:
        """placement.drain_worker"""
        row = self.workers.get(worker)
        if row is not None and row.incarnation == incarnation:
            row.draining = True
        self.notify()

    def deregister(self, worker: str, incarnation: UUID) -> None:
        """placement.deregister_worker"""
        row = self.workers.get(worker)
        if row is not None and row.incarnation == incarnation:
            del self.workers[worker]
        self.notify()

    def claim(
        self, key: ShardKey, worker: str, incarnation: UUID, orphan_seconds: float
    ) -> Claim | None:
        """placement.claim_shard"""
        row, mine = self.shards.get(key.shard), self.workers.get(worker)
        if row is None or mine is None or mine.incarnation != incarnation:
            return None
        if mine.draining or mine.lease_until <= self.now() or not self.is_free(row):
            return None
        if row.desired_owner != worker and self.now() <= orphan_seconds + self._ownerless(row):
            return None
        self.claimed(row, worker, incarnation)
        row.epoch += 1
        row.owner, row.owner_incarnation, row.ownerless_since = worker, incarnation, None
        return Claim(key.pool, key.shard, row.epoch)

    def release(self, claim: Claim, worker: str, incarnation: UUID) -> bool:
        """placement.release_shard"""
        row = self.shards.get(claim.shard)
        if row is None or (row.owner, row.owner_incarnation, row.epoch) != (
            worker,
            incarnation,
            claim.epoch,
        ):
            return False
        row.owner, row.owner_incarnation, row.ownerless_since = None, None, self.now()
        self.notify()
        return True

    def observe(self, worker: str, shards_per_worker_max: int, drain_seconds: float) -> Observed:
        """The worker's look, as its adapter asks for it; the caller names itself."""
        policy = self.policy
        return Observed(
            worker=worker,
            incarnation=UUID(int=0),
            shards=tuple(
                self._seen(row)
                for row in self.shards.values()
                if worker in (row.owner, row.desired_owner) or not self.is_served(row)
            ),
            shards_per_worker_max=policy[2] if policy else shards_per_worker_max,
            drain_timeout_seconds=policy[3] if policy else drain_seconds,
        )

    def is_free(self, row: ShardRow) -> bool:
        """Whether a claim may take the shard from whoever owned it."""
        return not self.is_served(row)

    def is_served(self, row: ShardRow) -> bool:
        """Whether the shard's owner has a living lease."""
        lease = self._owner_lease(row)
        return lease is not None and lease > self.now()

    def assign(self, change: Change) -> bool:
        """placement.assign_shard"""
        row = self.shards.get(change.shard)
        if row is None or row.desired_owner != change.expected:
            return False
        row.desired_owner = change.desired
        self.notify()
        return True

    def forget_workers(self) -> int:
        """placement.forget_workers"""
        owners = {(row.owner, row.owner_incarnation) for row in self.shards.values()}
        gone = [
            name
            for name, row in self.workers.items()
            if row.lease_until < self.now() - FORGET_AFTER_SECONDS
            and (name, row.incarnation) not in owners
        ]
        for name in gone:
            del self.workers[name]
        return len(gone)

    def placement(self) -> PlacementObserved:
        """The operator's look."""
        return PlacementObserved(
            shards=tuple(
                ShardPlacement(
                    row.key.shard, row.desired_owner, self._live_owner(row), weight_of(row.users)
                )
                for _, row in sorted(self.shards.items())
            ),
            workers=tuple(
                WorkerLease(
                    name,
                    row.lease_until > self.now(),
                    row.draining,
                    row.lease_until - self.now(),
                )
                for name, row in sorted(self.workers.items())
            ),
            users=sum(row.users for row in self.shards.values()),
            ownerless_seconds={
                number: self.now() - since
                for number, row in sorted(self.shards.items())
                if not self.is_served(row) and (since := self._ownerless(row)) != NEVER
            },
        )

    def ensure_policy(self, user_shard: UserShard) -> bool:
        """Write the pool's policy."""
        spec = user_shard.spec
        wanted = (
            spec.users_per_shard,
            spec.accept_new_users,
            spec.workers.shards_per_worker_max,
            spec.rebalance.drain_timeout_seconds,
        )
        is_new, self.policy = self.policy != wanted, wanted
        return is_new

    def _live_owner(self, row: ShardRow) -> str | None:
        return row.owner if self.is_served(row) else None

    def _owner_lease(self, row: ShardRow) -> float | None:
        owner = self.workers.get(row.owner) if row.owner is not None else None
        if owner is None or owner.incarnation != row.owner_incarnation:
            return None
        return owner.lease_until

    def _ownerless(self, row: ShardRow) -> float:
        if row.ownerless_since is not None:
            return row.ownerless_since
        owner = self.workers.get(row.owner) if row.owner is not None else None
        if owner is None:
            return NEVER
        is_same = owner.incarnation == row.owner_incarnation
        return owner.lease_until if is_same else owner.registered_at

    def _seen(self, row: ShardRow) -> ShardSeen:
        desired = self.workers.get(row.desired_owner) if row.desired_owner is not None else None
        return ShardSeen(
            key=row.key,
            epoch=row.epoch,
            owner=row.owner,
            owner_incarnation=row.owner_incarnation,
            ownerless_seconds=(None if self.is_served(row) else self.now() - self._ownerless(row)),
            desired_owner=row.desired_owner,
            desired_can_own=(
                desired is not None and desired.lease_until > self.now() and not desired.draining
            ),
        )


class SimulatedPlacement:
    """ports.Placement"""

    def __init__(
        self,
        network: Network,
        tables: PlacementTables,
        shards_per_worker_max: int,
        drain_timeout_seconds: float,
    ) -> None:
        self._network = network
        self._tables = tables
        self._defaults = (shards_per_worker_max, drain_timeout_seconds)
        self._registered: UUID | None = None

    async def register(self, worker: str, incarnation: UUID, lease_seconds: float) -> None:
        """See ports."""
        tables, previous = self._tables, self._registered
        if previous is None:
            register = partial(tables.register, worker, incarnation, lease_seconds)
            await self._call("register", register)
        elif not await self._network.call(
            "database",
            "register again",
            lambda: tables.register_again(worker, incarnation, previous, lease_seconds),
        ):
            raise NameTaken("database", f"another process is {worker} now")
        self._registered = incarnation

    async def heartbeat(self, worker: str, incarnation: UUID, lease_seconds: float) -> bool:
        """See ports."""
        tables = self._tables
        return await self._network.call(
            "database", "heartbeat", lambda: tables.heartbeat(worker, incarnation, lease_seconds)
        )

    async def drain(self, worker: str, incarnation: UUID) -> None:
        """See ports."""
        await self._call("drain", lambda: self._tables.drain(worker, incarnation))

    async def deregister(self, worker: str, incarnation: UUID) -> None:
        """See ports."""
        await self._call("deregister", lambda: self._tables.deregister(worker, incarnation))

    async def observe(self, worker: str, incarnation: UUID) -> Observed:
        """See ports."""
        seen = await self._network.call(
            "database", "observe", lambda: self._tables.observe(worker, *self._defaults)
        )
        return Observed(
            worker,
            incarnation,
            seen.shards,
            seen.shards_per_worker_max,
            seen.drain_timeout_seconds,
        )

    async def claim(
        self, key: ShardKey, worker: str, incarnation: UUID, orphan_seconds: float
    ) -> Claim | None:
        """See ports."""
        return await self._network.call(
            "database",
            f"claim {key.shard}",
            lambda: self._tables.claim(key, worker, incarnation, orphan_seconds),
        )

    async def release(self, claim: Claim, worker: str, incarnation: UUID) -> None:
        """See ports."""
        await self._call(f"release {claim}", lambda: self._release(claim, worker, incarnation))

    def _release(self, claim: Claim, worker: str, incarnation: UUID) -> None:
        self._tables.release(claim, worker, incarnation)

    async def _call(self, what: str, effect: Callable[[], None]) -> None:
        await self._network.call("database", what, effect)


class SimulatedStore:
    """workloads.PlacementStore"""

    def __init__(self, network: Network, tables: PlacementTables) -> None:
        self._network = network
        self._tables = tables

    async def observe_placement(self, pool: str) -> PlacementObserved:
        """See workloads."""
        try:
            return await self._network.call("database", "placement", self._tables.placement)
        except DependencyDown as away:
            raise PlacementAway(str(away)) from away

    async def ensure_policy(self, user_shard: UserShard) -> bool:
        """See workloads."""
        return bool(await self._call("policy", lambda: self._tables.ensure_policy(user_shard)))

    async def assign(self, pool: str, changes: Sequence[Change]) -> int:
        """See workloads."""
        return await self._call(
            f"assign {changes}",
            lambda: sum(self._tables.assign(change) for change in changes),
        )

    async def forget_workers(self, pool: str) -> int:
        """See workloads."""
        return await self._call("forget", self._tables.forget_workers)

    async def _call(self, what: str, effect: Callable[[], int]) -> int:
        try:
            return await self._network.call("database", what, effect)
        except DependencyDown as away:
            raise PlacementAway(str(away)) from away
