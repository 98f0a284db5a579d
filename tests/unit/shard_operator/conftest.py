"""A world for the control loop without a cluster, a database or a clock of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shard_operator.controller import Controller
from shard_operator.errors import ApiRefused, PlacementAway
from shard_operator.planning import Change, ShardPlacement
from shard_operator.scaling import Backlog
from shard_operator.usershard import (
    ScaleTarget,
    ScalingPolicy,
    UserShard,
    UserShardSpec,
    UserShardStatus,
)
from shard_operator.workloads import PlacementObserved, PodTrouble, WorkerLease, WorkersObserved


@dataclass
class World:
    """The four protocols at once; workers converge when a test says so."""

    asked: int | None = 2
    alive: int = 2
    draining: frozenset[str] = frozenset()
    shards: dict[int, ShardPlacement] = field(default_factory=dict)
    backlog: Backlog | None = field(default_factory=lambda: Backlog({}, {}, None))
    placement_away: bool = False
    placement_readonly: bool = False
    refuses: str = ""
    """Why the count may not be read ("read") or written ("write")."""
    troubles: tuple[PodTrouble, ...] = ()
    writer: str = "kubectl"
    ownerless_seconds: dict[int, float] = field(default_factory=dict)
    lease_seconds: float = 3.0
    now: float = 1000.0
    scaled: list[int] = field(default_factory=list)
    statuses: list[UserShardStatus] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    policies: int = 0

    def with_shards(self, count: int) -> "World":
        """Make shards nobody owns yet."""
        self.shards = {n: ShardPlacement(n, None, None) for n in range(count)}
        return self

    def settled(self, shards: int) -> "World":
        """Make shards, each of them at the worker whose turn it is."""
        owners = [self.name(n % self.alive) for n in range(shards)]
        self.shards = {n: ShardPlacement(n, owner, owner) for n, owner in enumerate(owners)}
        return self

    def converge(self) -> None:
        """Let every living desired owner claim, and every pod asked for come up and no other."""
        if self.asked is not None:
            self.alive = self.asked
        living = {self.name(n) for n in range(self.alive)}
        for number, shard in self.shards.items():
            self.shards[number] = replace(
                shard, owner=shard.desired if shard.desired in living else None
            )

    @staticmethod
    def name(ordinal: int) -> str:
        """A worker's name."""
        return f"purser-user-worker-{ordinal}"

    async def observe_workers(self, namespace: str, target: ScaleTarget) -> WorkersObserved | None:
        """The target."""
        if self.refuses == "read":
            raise ApiRefused(403, "Forbidden", "statefulsets cannot be listed")
        if self.asked is None:
            return None
        names = tuple(self.name(n) for n in range(self.asked))
        return WorkersObserved(
            self.asked,
            self.alive,
            names,
            "uid",
            "app=worker",
            troubles=self.troubles,
            writer=self.writer,
        )

    async def scale(self, namespace: str, target: ScaleTarget, replicas: int) -> None:
        """Write the count."""
        if self.refuses == "write":
            raise ApiRefused(403, "Forbidden", "statefulsets/scale cannot be patched")
        self.scaled.append(replicas)
        self.asked = replicas

    async def observe_placement(self, pool: str) -> PlacementObserved:
        """The tables."""
        if self.placement_away:
            raise PlacementAway("the database cannot be reached (OSError)")
        leases = tuple(
            WorkerLease(
                self.name(n),
                alive=True,
                draining=self.name(n) in self.draining,
                seconds_left=self.lease_seconds,
            )
            for n in range(self.alive)
        )
        return PlacementObserved(
            tuple(self.shards.values()), leases, 7, ownerless_seconds=self.ownerless_seconds
        )

    async def ensure_policy(self, user_shard: UserShard) -> bool:
        """The policy is written once."""
        if self.placement_readonly:
            raise PlacementAway("PostgreSQL refuses (ReadOnlySQLTransactionError, SQLSTATE 25006)")
        self.policies += 1
        return self.policies == 1

    async def assign(self, pool: str, changes: Sequence[Change]) -> int:
        """Write desired owners as the database does."""
        written = 0
        for change in changes:
            shard = self.shards[change.shard]
            if shard.desired == change.expected:
                self.shards[change.shard] = replace(shard, desired=change.desired)
                written += 1
        return written

    async def forget_workers(self, pool: str) -> int:
        """Nobody is long dead here."""
        return 0

    async def measure_backlog(self, pool: str, shards: Sequence[int]) -> Backlog | None:
        """The backlog."""
        return self.backlog

    async def write_status(self, user_shard: UserShard, status: UserShardStatus) -> int | None:
        """Keep every status written; the object's version counts them."""
        self.statuses.append(status)
        return len(self.statuses)

    async def record_event(
        self, user_shard: UserShard, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Keep every event."""
        self.events.append((reason, message))

    def clock(self) -> datetime:
        """Wall time that follows `now`."""
        return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.now)

    def controller(self) -> Controller:
        """A control loop in this world."""
        return Controller(
            workloads=self,
            store=self,
            backlogs=self,
            reporter=self,
            monotonic=lambda: self.now,
            wall_clock=self.clock,
        )


@pytest.fixture
def world() -> World:
    """Two workers, no shards, no work."""
    return World()


@pytest.fixture
def user_shard() -> UserShard:
    """The minimal UserShard."""
    spec = UserShardSpec(scale_target_ref=ScaleTarget(name="purser-user-worker"))
    return UserShard(namespace="default", name="main", uid="u-1", generation=3, spec=spec)


@pytest.fixture
def unbraked(user_shard: UserShard) -> UserShard:
    """The same, whose count may fall as far as the backlog lets it at once."""
    scaling = ScalingPolicy(scale_down_stabilization_seconds=0)
    spec = msgspec.structs.replace(user_shard.spec, scaling=scaling)
    return msgspec.structs.replace(user_shard, spec=spec)
