"""Group commit: who shares a transaction, and who gets which answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from tests.unit.ledger.books import REGISTRY, usdt

from chassis.errors import LimitReached, MalformedRequest, ServiceError, StaleClaim, TryAgain
from kernel.sharding import Claim
from ledger.application import Applying, ApplyLimits, AssetRegistry
from ledger.domain.assets import Registry
from ledger.domain.operations import Answer, Fee, Operation, Outcome, Request

pytestmark = pytest.mark.virtual_time

CLAIM = Claim("default.main", 0, 1)
APPLIED = Answer(Outcome.APPLIED)


class Registries:
    """A registry that counts how often it is read, and can be away."""

    def __init__(self) -> None:
        self.reads = 0
        self.is_away = False

    async def list_assets(self) -> Registry:
        """See RegistryStore."""
        self.reads += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise TryAgain
        return REGISTRY


class Store:
    """Books that take a while, and do as they are told by a claim's epoch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.under_way = 0
        self.under_way_max = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def apply(
        self, requests: Sequence[Request], registry: Registry
    ) -> Sequence[list[Answer] | ServiceError]:
        """See OperationStore."""
        assert registry is REGISTRY
        self.under_way += 1
        self.under_way_max = max(self.under_way, self.under_way_max)
        self.batches.append([len(request.operations) for request in requests])
        await self.gate.wait()
        self.under_way -= 1
        if any(request.claim.epoch == 99 for request in requests):
            raise TryAgain
        return [
            StaleClaim() if request.claim.epoch == 0 else [APPLIED] * len(request.operations)
            for request in requests
        ]


def request(operations: int = 1, claim: Claim = CLAIM, value: str = "1") -> Request:
    """A request of so many charges."""
    fee = Fee(UUID(int=1), usdt(value))
    return Request(claim, [Operation(f"k{number}", fee) for number in range(operations)])


def applying(store: Store, **limits: int) -> Applying:
    """A use case over the store."""
    chosen = {"lanes": 1, "requests_max": 50, "operations_max": 100, "queue_max": 1000} | limits
    return Applying(store, AssetRegistry(Registries(), 60), ApplyLimits(**chosen))


@asynccontextmanager
async def warm(store: Store) -> AsyncIterator[Applying]:
    """The same with the registry read already, so that callers who come together queue together."""
    async with applying(store) as subject:
        await subject.apply(request())
        store.batches.clear()
        yield subject


async def test_requests_that_wait_share_transactions_of_bounded_size() -> None:
    """Never more operations than `operations_max`, and no request is cut in two."""
    store = Store()
    async with warm(store) as subject:
        sizes = [60, 60, 40, 100, 1, 1]
        answers = await asyncio.gather(*(subject.apply(request(size)) for size in sizes))

    assert store.batches == [[60], [60, 40], [100], [1, 1]]
    assert [len(answer) for answer in answers] == sizes


async def test_a_request_with_an_error_of_its_own_does_not_disturb_its_neighbours() -> None:
    """The stale one is told so; the others are answered."""
    store = Store()
    stale = Claim("default.main", 0, 0)
    async with warm(store) as subject:
        first, second, third = await asyncio.gather(
            subject.apply(request()),
            subject.apply(request(claim=stale)),
            subject.apply(request(2)),
            return_exceptions=True,
        )

    assert store.batches == [[1, 1, 2]]
    assert (first, third) == ([APPLIED], [APPLIED] * 2)
    assert isinstance(second, StaleClaim)


async def test_a_failed_transaction_fails_its_own_requests_only() -> None:
    """What was cut off into another transaction goes on."""
    store = Store()
    failing = Claim("default.main", 0, 99)
    async with applying(store, operations_max=1) as subject:
        results = await asyncio.gather(
            subject.apply(request(claim=failing)), subject.apply(request()), return_exceptions=True
        )

    assert isinstance(results[0], TryAgain)
    assert results[1] == [APPLIED]


async def test_one_shard_has_one_batch_under_way_and_several_shards_have_several() -> None:
    """Two batches must not wait for each other's accounts."""
    store = Store()
    store.gate.clear()
    claims = [Claim("default.main", shard, 1) for shard in range(64)]
    async with applying(store, lanes=4) as subject:
        same = [asyncio.create_task(subject.apply(request())) for _ in range(20)]
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(subject.apply(request())) for _ in range(20)]
        await asyncio.sleep(0.01)
        assert store.under_way == 1
        others += [asyncio.create_task(subject.apply(request(claim=claim))) for claim in claims]
        await asyncio.sleep(0.01)
        assert store.under_way == 4
        store.gate.set()
        await asyncio.gather(*same, *others)

    assert store.under_way_max == 4


async def test_more_than_may_wait_is_told_so_at_once() -> None:
    """A growing queue would only make everybody late."""
    store = Store()
    store.gate.clear()
    async with applying(store, queue_max=2, requests_max=1) as subject:
        tasks = [asyncio.create_task(subject.apply(request())) for _ in range(4)]
        await asyncio.sleep(0.01)
        with pytest.raises(LimitReached):
            await subject.apply(request())
        store.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [r for r in results if not isinstance(r, LimitReached)].count([APPLIED]) >= 2


async def test_an_amount_finer_than_its_asset_never_reaches_the_books() -> None:
    """It is the caller's mistake, and his alone."""
    store = Store()
    async with applying(store) as subject:
        with pytest.raises(MalformedRequest):
            await subject.apply(request(value="0.0000001"))

    assert store.batches == []


async def test_the_registry_is_read_once_however_many_ask() -> None:
    """Single flight, and remembered."""
    store = Registries()
    registry = AssetRegistry(store, 60)
    await asyncio.gather(*(registry.assets() for _ in range(50)))

    assert await registry.assets() == REGISTRY
    assert store.reads == 1


async def test_an_old_registry_serves_while_the_database_is_away() -> None:
    """It changes with a deployment only; without any, there is nothing to serve."""
    store = Registries()
    registry = AssetRegistry(store, 0)
    store.is_away = True
    with pytest.raises(TryAgain):
        await registry.assets()
    store.is_away = False
    await registry.assets()
    store.is_away = True

    assert await registry.assets() == REGISTRY
    assert store.reads == 3
