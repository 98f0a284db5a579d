"""The simulation's placement answers as the real one does, whatever is asked in whatever order."""

from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID

import pytest
from tests.integration.simulation.two_sides import POOL, AtOnce, TwoSides, drawn, two_sides
from tests.simulation.placement import SimulatedPlacement, SimulatedStore

from devbox.database import Database
from kernel.sharding import Claim, ShardKey
from shard_operator.planning import Change
from shard_operator.postgres import PostgresPlacement as OperatorPlacement
from shard_operator.workloads import PlacementObserved
from user_worker.domain.ownership import Observed
from user_worker.postgres import PostgresPlacement

OPERATIONS = 200
WORKERS = ("worker-0", "worker-1", "worker-2")
SHARDS = 3
LEASE_SECONDS = ORPHAN_SECONDS = 30.0
STEP_SECONDS = 8.0
"""No sum of it comes within two seconds of a lease's end: a busy machine decides nothing."""


def _in_order(observed: Observed) -> tuple[Observed, list[float]]:
    """Sort the rows, and set apart how long each shard was without an owner: a clock that stands
    still stands not quite still.
    """
    rows = sorted(observed.shards, key=lambda seen: seen.key)
    seconds = [seen.ownerless_seconds for seen in rows if seen.ownerless_seconds is not None]
    plain = [
        seen if seen.ownerless_seconds is None else replace(seen, ownerless_seconds=0.0)
        for seen in rows
    ]
    return replace(observed, shards=tuple(plain)), seconds


def _without_seconds(seen: PlacementObserved) -> PlacementObserved:
    workers = tuple(replace(worker, seconds_left=0.0) for worker in seen.workers)
    return replace(seen, workers=workers, ownerless_seconds={})


class _Sequence:
    """A random sequence of operations."""

    def __init__(self, sides: TwoSides, random: Random, real: Any, real_store: Any) -> None:
        self.sides = sides
        self.answered: set[str] = set()
        self._random = random
        self._real = real
        self._simulated = SimulatedPlacement(AtOnce(), sides.placement, 40, 20.0)
        self._stores = (SimulatedStore(AtOnce(), sides.placement), real_store)
        self._incarnations = [UUID(int=n + 1) for n in range(5)]

    async def make_shard(self, shard: int) -> None:
        """As the gateway makes it."""

        async def make() -> None:
            self.sides.placement.ensure_shard(shard)

        call = "SELECT placement.ensure_shard($1, $2)"
        await self.sides.both(make, lambda: self.sides.owner.execute(call, POOL, shard))

    async def step(self) -> None:
        """Do one."""
        random = self._random
        name, incarnation = random.choice(WORKERS), random.choice(self._incarnations)
        shard, epoch = random.randrange(SHARDS + 1), random.randint(1, 4)
        key, claim = ShardKey(POOL, shard), Claim(POOL, shard, epoch)
        desired = random.choice((None, *WORKERS))
        row = self.sides.placement.workers.get(name)
        if row is not None and random.random() < 0.7:
            incarnation = row.incarnation
        if random.random() < 0.7 and shard in self.sides.placement.shards:
            newest = self.sides.placement.shards[shard]
            claim = Claim(POOL, shard, max(1, newest.epoch))
            desired = newest.desired_owner
        change = Change(shard, desired, random.choice(WORKERS), None)
        match random.randrange(11):
            case 0 | 1:
                await self._ask("register", name, incarnation, LEASE_SECONDS)
            case 2 | 3:
                await self._ask("heartbeat", name, incarnation, LEASE_SECONDS)
            case 4:
                kind = random.choice(("drain", "deregister", "heartbeat"))
                more = (LEASE_SECONDS,) if kind == "heartbeat" else ()
                await self._ask(kind, name, incarnation, *more)
            case 5 | 6:
                await self._ask("claim", key, name, incarnation, ORPHAN_SECONDS)
            case 7:
                await self._ask("release", claim, name, incarnation)
            case 8:
                await self._tell("assign", POOL, [change])
            case 9:
                self.sides.pass_time(STEP_SECONDS * random.randint(1, 5))
            case _:
                await self._ask("observe", name, incarnation)
                await self._tell("observe_placement", POOL)
                await self._tell("forget_workers", POOL)
                self.sides.pass_time(random.choice((0.0, 0.0, 0.0, 4000.0)))

    async def _ask(self, what: str, *arguments: Any) -> None:
        simulated, real = await self.sides.both(
            lambda: getattr(self._simulated, what)(*arguments),
            lambda: getattr(self._real, what)(*arguments),
        )
        if what == "observe":
            (simulated, expected), (real, seconds) = _in_order(simulated), _in_order(real)
            assert expected == pytest.approx(seconds, abs=1.0)
        self._compare(what, arguments, simulated, real)

    async def _tell(self, what: str, *arguments: Any) -> None:
        simulated, real = await self.sides.both(
            lambda: getattr(self._stores[0], what)(*arguments),
            lambda: getattr(self._stores[1], what)(*arguments),
        )
        if what == "observe_placement":
            assert [w.seconds_left for w in simulated.workers] == pytest.approx(
                [w.seconds_left for w in real.workers], abs=1.0
            )
            assert simulated.ownerless_seconds == pytest.approx(real.ownerless_seconds, abs=1.0)
            simulated, real = _without_seconds(simulated), _without_seconds(real)
        self._compare(what, arguments, simulated, real)

    def _compare(self, what: str, arguments: Any, simulated: Any, real: Any) -> None:
        assert simulated == real, f"{what}{arguments}"
        self.answered.add(f"{what} {bool(real)}")


@pytest.mark.parametrize("seed", range(2))
async def test_both_sides_give_the_same_answers(database: Database, seed: int) -> None:
    """Also under the claims of the dead, the draining and the replaced."""
    async with two_sides(database) as sides:
        real = PostgresPlacement(await sides.pools("purser_worker"), POOL, 40, 20.0)
        real_store = OperatorPlacement(await sides.pools("purser_operator"))
        sequence = _Sequence(sides, drawn(seed), real, real_store)
        for shard in range(SHARDS):
            await sequence.make_shard(shard)

        for _ in range(OPERATIONS):
            await sequence.step()

    met = {"claim True", "claim False", "heartbeat True", "heartbeat False", "assign True"}
    assert met <= sequence.answered
