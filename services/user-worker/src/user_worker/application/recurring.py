"""Work that is done again and again beside the jobs, and survives whatever goes wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chassis.telemetry import get_logger
from user_worker import metrics
from user_worker.application.outages import note_answer, note_outage
from user_worker.application.waiting import is_set_within
from user_worker.domain.pauses import Pauses
from user_worker.errors import ClaimLost, DependencyDown

Item = TypeVar("Item")

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often something is done."""

    period_seconds: float
    """When nothing wakes it before."""
    after_outage: Pauses
    after_trouble: Pauses
    """After an unexpected error: it takes a person to mend it."""


async def again_and_again(
    work: Callable[[], Awaitable[bool]], purpose: str, wake: asyncio.Event, rhythm: Rhythm
) -> None:
    """Do `work` until cancelled: when `wake` is set, after each period, and at once when it says
    that there is more to do.
    """
    missed: set[str] = set()
    outages, troubles = iter(rhythm.after_outage), iter(rhythm.after_trouble)
    while True:
        wake.clear()
        try:
            has_more = await work()
        except DependencyDown as outage:
            note_outage(outage, purpose)
            missed.add(outage.dependency)
            await asyncio.sleep(next(outages))
            continue
        except Exception:  # noqa: BLE001 (a mistake here must not stop the shards)
            metrics.TROUBLES.labels(purpose).inc()
            _log.exception("work_in_trouble", purpose=purpose)
            await asyncio.sleep(next(troubles))
            continue
        outages, troubles = iter(rhythm.after_outage), iter(rhythm.after_trouble)
        while missed:
            note_answer(missed.pop(), purpose)
        if not has_more:
            await is_set_within(wake, rhythm.period_seconds)


async def each_by_itself(
    items: Sequence[Item], work: Callable[[Item], Awaitable[None]], at_once_max: int
) -> None:
    """Do `work` for each of some items, so many at once, whatever becomes of the others.

    Raises one of their failures when all have ended, an outage last: it mends itself. What a newer
    owner does now is no failure.
    """
    slots = asyncio.Semaphore(at_once_max)

    async def one(item: Item) -> None:
        async with slots:
            await work(item)

    results = await asyncio.gather(*map(one, items), return_exceptions=True)
    failures = [
        result
        for result in results
        if isinstance(result, BaseException) and not isinstance(result, ClaimLost)
    ]
    if failures:
        raise min(failures, key=lambda failure: isinstance(failure, DependencyDown))
