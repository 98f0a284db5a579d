"""What a handler of the conversation gets, and what it gives back.

A handler is an async function of a Context and the input it answers; it gives the replies in order.
It may run more than once for a job (a crash, an outage), so whatever it changes must be safe to
repeat; the replies of one run only are delivered. Adding a command is one module beside this one
and one line in `book`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, overload

from kernel.sharding import Claim
from user_worker.conversation.texts import Texts
from user_worker.domain.jobs import Command, Job, Press
from user_worker.domain.replies import Reply
from user_worker.errors import ClaimLost, DependencyDown
from user_worker.ports import (
    Gateway,
    Ledger,
    Pictures,
    Preferences,
    Pricing,
    Sessions,
    Trading,
    Wallet,
)
from user_worker.resting_ports import Resting
from user_worker.rule_ports import Copies, Freezes, Plans, Resolver, Shares

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


def present() -> datetime:
    """Give the present time. Only shown and counted back from, never decided by."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Services:
    """The services a handler may call."""

    pricing: Pricing
    wallet: Wallet
    ledger: Ledger
    trading: Trading
    resting: Resting
    sessions: Sessions
    gateway: Gateway
    pictures: Pictures
    freezes: Freezes
    resolver: Resolver
    plans: Plans
    copies: Copies
    shares: Shares
    stale_quote_seconds: float = 10.0
    """An older price is said to be too old to trade on; the venue, which decides, has its own."""
    plan_period_min_seconds: float = 3600.0
    copy_fresh_seconds: float = 600.0
    """How long a trade may still be copied, as `postgres.copies` counts it."""
    now: Callable[[], datetime] = present


@dataclass(frozen=True, slots=True)
class Context:
    """One job's surroundings."""

    job: Job
    claim: Claim
    """What every durable write is made under."""
    texts: Texts
    """In the user's language."""
    services: Services
    preferences: Preferences

    def message_key(self, kind: str) -> str:
        """Name a message of this job, so that it can be edited later: "<kind>:<job id>"."""
        return f"{kind}:{self.job.job_id}"


CommandHandler = Callable[[Context, Command], Awaitable[list[Reply]]]
PressHandler = Callable[[Context, Press], Awaitable[list[Reply]]]


@overload
async def together(one: Awaitable[A], two: Awaitable[B], /) -> tuple[A, B]: ...
@overload
async def together(
    one: Awaitable[A], two: Awaitable[B], three: Awaitable[C], /
) -> tuple[A, B, C]: ...
async def together(*calls: Awaitable[Any]) -> tuple[Any, ...]:
    """Make calls at the same time and wait for all; the gravest of their errors is raised.

    All are waited for (each has a deadline), so that none goes on behind a job that has ended.
    """
    results = await asyncio.gather(*calls, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise min(failures, key=_gravity)
    return tuple(results)


def _gravity(error: BaseException) -> int:
    # A lost claim ends everything; an outage comes before a refusal, which it may have caused.
    if isinstance(error, ClaimLost):
        return 0
    return 1 if isinstance(error, DependencyDown) else 2
