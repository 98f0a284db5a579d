"""One operator acts at a time: a `coordination.k8s.io` Lease, held as client-go holds one.

Every write of the Lease carries the resourceVersion it was read with, so of two candidates one is
refused. A holder renews every `renew_period_seconds`; it counts itself as the holder only until a
monotonic deadline, `renew_deadline_seconds` after the last successful renewal was *sent*, and ends
its process when that passes. A candidate compares no clocks either: it takes a Lease over once it
has itself watched it unchanged for the Lease's own duration. The deadline is shorter than the
duration, so the old holder has stopped before the new one begins. A clean stop empties the holder's
name, and the next candidate takes it at its next look.

Two holders at once (a paused process that wakes up) would still do no harm: every assignment is
conditional on what it was planned from, and the rest is written again by whoever leads.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Protocol

import msgspec

from chassis.reminders import Reminders
from chassis.telemetry import get_logger
from shard_operator.errors import ApiRefused, LeadershipLost, TryLater


class LeaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long an operator may be silent, and how fast the next one notices."""

    lease_name: str = "purser-operator"
    """Operators that share this name (in one namespace) take turns."""

    lease_duration_seconds: Annotated[int, msgspec.Meta(ge=2, le=300)] = 15
    """How long after its last sign a killed operator is replaced. Kubernetes' own components use
    15: long enough for an API server to restart. Workers go on serving meanwhile."""

    renew_deadline_seconds: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    """When a holder that cannot renew ends itself: earlier than anybody may take over."""

    renew_period_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 2.0
    """How often the holder renews: four tries fit into the deadline."""

    candidate_period_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 1.0
    """How often a candidate looks: an emptied Lease is taken within this."""

    def __post_init__(self) -> None:
        if not (
            self.renew_period_seconds < self.renew_deadline_seconds < self.lease_duration_seconds
        ):
            raise ValueError(
                "renew_period_seconds < renew_deadline_seconds < lease_duration_seconds must hold"
            )


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A Lease as it is on the server. `version` guards its next write."""

    holder: str
    duration_seconds: int
    acquired: str
    renewed: str
    transitions: int
    version: str


class LeaseStore(Protocol):
    """Where the Lease is. Everything raises `TryLater` and `ApiRefused` (409: outdated)."""

    async def read(self) -> LeaseRecord | None:
        """The Lease; None when there is none."""

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """Make the Lease."""

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        """Write the Lease, if its version is still the newest."""


class Leadership:
    """One process's part in the election."""

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        settings: LeaseSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._identity = identity
        self._settings = settings
        self._monotonic = monotonic
        self._held: LeaseRecord | None = None
        self._deadline = 0.0
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0
        self._log = get_logger(__name__)
        self._reminders = Reminders()

    @property
    def is_leading(self) -> bool:
        """Whether this process may act at this moment."""
        return self._held is not None and self._monotonic() < self._deadline

    async def acquire(self) -> None:
        """Wait until this process leads."""
        told = ""
        while not await self._try_acquire():
            holder = self._seen.holder if self._seen else ""
            if holder != told:
                self._log.info("standing_by", holder=holder)
                told = holder
            await asyncio.sleep(self._settings.candidate_period_seconds)
        self._log.info("leading", identity=self._identity, lease=self._settings.lease_name)

    async def keep(self) -> None:
        """Renew until cancelled. Raises `LeadershipLost`, at the deadline at the latest."""
        while True:
            await asyncio.sleep(self._settings.renew_period_seconds)
            remaining = self._deadline - self._monotonic()
            if remaining <= 0:
                raise LeadershipLost("the Lease could not be renewed in time")
            try:
                async with asyncio.timeout(remaining):
                    await self._renew()
            except TimeoutError:
                raise LeadershipLost("the Lease could not be renewed in time") from None
            except (TryLater, ApiRefused) as error:
                # A refusal is no loss: an API server that starts refuses whom it will know in a
                # moment (403), and a token may have to be read again (401).
                self._log.warning("renewal_failed", problem=str(error))

    async def release(self) -> None:
        """Give the Lease up, so that the next candidate need not wait. Never raises."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            await self._store.replace(replace(held, holder="", renewed=_now()))
            self._log.info("lease_released", lease=self._settings.lease_name)
        except (TryLater, ApiRefused) as error:
            self._log.warning("lease_not_released", problem=str(error))

    async def _try_acquire(self) -> bool:
        sent_at = self._monotonic()
        try:
            found = await self._store.read()
            if found is None:
                return self._take(sent_at, await self._store.create(self._claim_of(None)))
            if found != self._seen:
                self._seen, self._seen_at = found, self._monotonic()
            silent = self._monotonic() - self._seen_at
            if found.holder and found.holder != self._identity and silent < found.duration_seconds:
                return False
            return self._take(sent_at, await self._store.replace(self._claim_of(found)))
        except TryLater as error:
            if self._reminders.is_due(self._monotonic(), "lease_unknown", str(error)):
                self._log.warning("lease_unknown", problem=str(error))
        except ApiRefused as refusal:
            problem, is_news = str(refusal), refusal.status != 409
            if is_news and self._reminders.is_due(self._monotonic(), "lease_refused", problem):
                self._log.error("lease_refused", problem=problem)
        return False

    async def _renew(self) -> None:
        held = self._held
        if held is None:
            raise LeadershipLost("the Lease was given up")
        sent_at = self._monotonic()
        try:
            self._take(sent_at, await self._store.replace(self._renewal_of(held)))
        except ApiRefused as refusal:
            if refusal.status not in (404, 409):
                raise
            # A write of ours whose answer was lost raises the version too, and so does whoever
            # labels the Lease: look who holds it.
            found = await self._store.read()
            if found is None or found.holder != self._identity:
                self._held = None
                holder = found.holder if found else "nobody"
                raise LeadershipLost(f"the Lease is held by {holder}") from refusal
            # At once: others may write more often than this process renews.
            sent_at = self._monotonic()
            self._take(sent_at, await self._store.replace(self._renewal_of(found)))

    def _take(self, sent_at: float, record: LeaseRecord) -> bool:
        self._held = record
        self._deadline = sent_at + self._settings.renew_deadline_seconds
        return True

    def _claim_of(self, found: LeaseRecord | None) -> LeaseRecord:
        now = _now()
        return LeaseRecord(
            holder=self._identity,
            duration_seconds=self._settings.lease_duration_seconds,
            acquired=now,
            renewed=now,
            transitions=0 if found is None else found.transitions + 1,
            version="" if found is None else found.version,
        )

    def _renewal_of(self, held: LeaseRecord) -> LeaseRecord:
        return replace(held, renewed=_now())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
