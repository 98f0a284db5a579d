"""Group commit: requests of many callers share a transaction, and each gets its own answers.

Requests queue in lanes; a shard always uses the same lane, so two batches under way never wait for
each other's accounts, and while one lane waits for the disk another one decides. What a lane hands
over at once is cut so that no transaction has more than `operations_max` operations: it must stay
far below the role's `transaction_timeout`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from chassis.errors import ServiceError
from chassis.micro_batch import MicroBatcher
from ledger import metrics
from ledger.application.registry import AssetRegistry
from ledger.domain.assets import Registry
from ledger.domain.operations import Answer, Request, check_digits


class OperationStore(Protocol):
    """The books, as operations change them."""

    async def apply(
        self, requests: Sequence[Request], registry: Registry
    ) -> Sequence[list[Answer] | ServiceError]:
        """Apply a batch in one transaction; per request, in order, its answers or its error.

        A request whose claim is stale, or whose data the database refuses, has an error of its own
        and nothing of it is written. Raises TryAgain: then nothing, or all of it, was written.
        """
        ...


@dataclass(frozen=True, slots=True)
class ApplyLimits:
    """What bounds group commit."""

    lanes: int
    """Batches under way at once."""
    requests_max: int
    """Requests per batch."""
    operations_max: int
    """Operations per transaction."""
    queue_max: int
    """Requests that may wait per lane."""


class Applying:
    """Applies requests. Close it after the last call: what was accepted is written first."""

    def __init__(self, store: OperationStore, registry: AssetRegistry, limits: ApplyLimits) -> None:
        self._store = store
        self._registry = registry
        self._operations_max = limits.operations_max
        self._lanes: list[MicroBatcher[Request, list[Answer]]] = [
            MicroBatcher(self._apply, limits.requests_max, 0, limits.queue_max)
            for _ in range(limits.lanes)
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for lane in self._lanes:
            await lane.aclose()

    async def apply(self, request: Request) -> list[Answer]:
        """Apply one request with the next batch; an answer per operation, in order.

        Raises MalformedRequest (an amount finer than its asset), StaleClaim, BooksRefused,
        LimitReached (too many wait already), TryAgain: then the same again is safe.
        """
        check_digits(request.operations, await self._registry.assets())
        lane = self._lanes[hash(request.claim.key) % len(self._lanes)]
        answers = await lane.submit(request)
        for (outcome, replayed), count in Counter((a.outcome, a.replayed) for a in answers).items():
            metrics.OPERATIONS.labels(outcome.value, replayed).inc(count)
        return answers

    async def _apply(self, batch: Sequence[Request]) -> list[list[Answer] | Exception]:
        registry = await self._registry.assets()
        results: list[list[Answer] | Exception] = []
        for requests in self._cut(batch):
            metrics.BATCH_OPERATIONS.observe(sum(len(r.operations) for r in requests))
            try:
                results.extend(await self._store.apply(requests, registry))
            except ServiceError as error:
                results.extend([error] * len(requests))
        return results

    def _cut(self, batch: Sequence[Request]) -> Iterator[Sequence[Request]]:
        first, operations = 0, 0
        for place, request in enumerate(batch):
            if place > first and operations + len(request.operations) > self._operations_max:
                yield batch[first:place]
                first, operations = place, 0
            operations += len(request.operations)
        yield batch[first:]
