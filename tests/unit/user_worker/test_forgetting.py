"""What ended long ago is removed in each shard, so much at a time, whatever becomes of others."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client import REGISTRY
from tests.unit.user_worker.fakes import CLAIM, until
from tests.unit.user_worker.fakes_trading import market_of

from kernel.sharding import Claim
from user_worker.application.carrying_out import CarryingOut, CarryingPace
from user_worker.application.forgetting import ROWS_MAX, Forgetter
from user_worker.application.recurring import Rhythm
from user_worker.domain.pauses import Pauses
from user_worker.errors import ClaimLost, DependencyDown

SOON = Pauses(0.001, 0.002)
OTHER = Claim(CLAIM.pool, CLAIM.shard + 1, 1)


@dataclass
class MemoryEnded:
    """How much there is of one kind in each shard."""

    rows: dict[Claim, int] = field(default_factory=dict)
    asked: list[Claim] = field(default_factory=list)
    failures: dict[Claim, Exception] = field(default_factory=dict)

    async def old(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Say where there is some."""
        return [claim for claim in claims if self.rows.get(claim)]

    async def forget(self, claim: Claim, count_max: int) -> Mapping[str, int]:
        """Remove some."""
        self.asked.append(claim)
        if claim in self.failures:
            raise self.failures.pop(claim)
        removed = min(count_max, self.rows[claim])
        self.rows[claim] -= removed
        return {"alerts": removed, "plans": 0}


class House:
    """A forgetter wired as in main, on memory, which owns two shards."""

    def __init__(self) -> None:
        market = market_of(())
        self.ended, self.lost = MemoryEnded(), list[Claim]()
        self.carrying_out = CarryingOut(
            market.orders, market.books, market.venue, CarryingPace(4, SOON, SOON)
        )
        for claim in (CLAIM, OTHER):
            self.carrying_out.begin(claim, lambda lost=claim: self.lost.append(lost))  # type: ignore[misc]
        self.forgetter = Forgetter(self.ended, self.carrying_out, Rhythm(3600.0, SOON, SOON))


def removed() -> float:
    """How many rows were counted as removed."""
    return REGISTRY.get_sample_value("purser_worker_forgotten_total", {"table": "alerts"}) or 0.0


async def test_all_that_is_old_goes_in_bounded_batches_and_at_once() -> None:
    """No period is waited for while there is more; shards without any are not written to."""
    house, before = House(), removed()
    house.ended.rows = {CLAIM: 2 * ROWS_MAX + 1}
    task = asyncio.create_task(house.forgetter.run())
    await until(lambda: house.ended.rows == {CLAIM: 0})
    task.cancel()
    assert [CLAIM] * 3 == house.ended.asked
    assert 2 * ROWS_MAX + 1 == removed() - before


async def test_a_lost_claim_gives_the_shard_up_and_keeps_no_other_back() -> None:
    """What is old there is its new owner's."""
    house = House()
    house.ended.rows = {CLAIM: 1, OTHER: 1}
    house.ended.failures = {CLAIM: ClaimLost(str(CLAIM))}
    assert not await house.forgetter.look()
    assert [CLAIM] == house.lost
    assert {CLAIM: 1, OTHER: 0} == house.ended.rows


async def test_an_outage_is_an_outage() -> None:
    """Told to whoever does it again and again."""
    house = House()
    house.ended.rows = {CLAIM: 1}
    house.ended.failures = {CLAIM: DependencyDown("database", "away")}
    with pytest.raises(DependencyDown):
        await house.forgetter.look()
    await house.forgetter.look()
    assert {CLAIM: 0} == house.ended.rows


async def test_without_a_shard_nothing_is_asked() -> None:
    """As before the first claim."""
    house = House()
    house.ended.rows = {CLAIM: 1}
    for claim in (CLAIM, OTHER):
        await house.carrying_out.finish(claim, 0.0)
    assert not await house.forgetter.look()
    assert [] == house.ended.asked
