"""Who takes which chats when: what an outage of the database must not lead to."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import pytest

from chassis.errors import TryAgain
from gateway.application import SayLimits, Sending, SendLimits, sending
from gateway.domain import Ended, Ending, EndingRefused, Lane, Mark, OutboxRow
from purser.gateway.v1 import reply_pb2

AFTER_OUTAGE_SECONDS = 0.1
FAILURES = 3
LIMITS = SendLimits(
    lease_seconds=12,
    request_timeout_seconds=8,
    sweep_seconds=0.01,
    rows_in_memory_max=100,
    rows_per_look_max=10,
    chats_per_sweep_max=7,
    answers_concurrent_max=4,
    notices_concurrent_max=4,
    mark_batch_max=10,
    say=SayLimits(
        attempts_max=10, age_seconds_max=3600, press_age_seconds_max=15, backoff_seconds_max=60
    ),
)


class FakeLeases:
    """Empty; away for the first few looks. Notes when how many chats were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, int]] = []

    async def take_due(self, lane: Lane, chats_max: int) -> dict[UUID, tuple[int, list[OutboxRow]]]:
        """Note it."""
        self.asked.append((time.monotonic(), chats_max))
        if len(self.asked) <= FAILURES:
            raise TryAgain("away")
        return {}

    async def end_jobs(
        self, endings: Sequence[Ending], *, take_leases: bool
    ) -> list[Ended | EndingRefused]:
        """Unused here."""
        return []

    async def put_notices(
        self, notices: Sequence[tuple[UUID, UUID, Sequence[bytes]]]
    ) -> tuple[set[UUID], set[UUID]]:
        """Unused here."""
        return set(), set()

    async def look_again(self, lane: Lane, user_id: UUID) -> tuple[int, list[OutboxRow]] | None:
        """Unused here."""
        return None

    async def end_lease(self, lane: Lane, user_id: UUID, arrivals: int) -> bool:
        """Unused here."""
        return True

    async def give_up_leases(self) -> None:
        """Unused here."""

    async def mark(self, marks: Sequence[Mark]) -> list[bool]:
        """Unused here."""
        return []

    async def message_id(self, user_id: UUID, message_key: str) -> int | None:
        """Unused here."""
        return None


class Nobody:
    """Stands for Telegram and the buckets: nothing is sent here."""

    async def say(
        self, telegram_id: int, reply: reply_pb2.Reply, message_id: int | None, *, plain: bool
    ) -> int:
        """Unused here."""
        return 0

    async def answer_silently(self, press_id: str) -> None:
        """Unused here."""

    async def send_plain(self, telegram_id: int, text: str) -> None:
        """Unused here."""

    async def is_held(self) -> bool:
        """Unused here."""
        return False

    async def take(self, who: str, tokens: float = 1) -> float:
        """Unused here."""
        return 0.0


async def test_after_an_outage_of_the_database_nobody_takes_chats_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their leases ran out meanwhile, but their holders have yet to write down what they sent."""
    monkeypatch.setattr(sending, "AFTER_OUTAGE_SECONDS", AFTER_OUTAGE_SECONDS)
    leases, nobody = FakeLeases(), Nobody()
    sweeping = asyncio.create_task(
        Sending(leases, nobody, nobody, nobody, nobody, LIMITS).sweep(Lane.ANSWER)
    )
    async with asyncio.timeout(5):
        while len(leases.asked) < FAILURES + 2:  # noqa: ASYNC110 (the fake sets no event)
            await asyncio.sleep(0.01)
    sweeping.cancel()
    with suppress(asyncio.CancelledError):
        await sweeping

    answered, taken = leases.asked[FAILURES : FAILURES + 2]
    assert [7, 0, 0, 0, 7] == [chats_max for _, chats_max in leases.asked[: FAILURES + 2]]
    assert taken[0] - answered[0] >= AFTER_OUTAGE_SECONDS
