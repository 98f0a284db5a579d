"""The one task that reconciles: every pool at its own period, and all when something happened.

Events only wake; what to do is always found by looking. No event says that a worker died, so a pool
is looked at again when the first lease in it would be over: then the shards of whoever did not
renew it are given away at once, and not a period later. A storm of events costs at most one pass
per `PASS_SPACING_SECONDS`. A pool that fails is logged, counted and tried at its next period; it
never stops the others, and only `LeadershipLost` ends the task.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from chassis.reminders import TELL_AGAIN_SECONDS
from chassis.telemetry import get_logger
from shard_operator import metrics
from shard_operator.controller import Controller
from shard_operator.errors import ApiRefused, LeadershipLost, TryLater
from shard_operator.usershard import UserShard, find_taken

PASS_SPACING_SECONDS = 0.25
"""Least time between two passes: one placement change makes a burst of notifications."""

AFTER_LEASE_END_SECONDS = 0.02
"""The look must not come before the end: the answer took a while to come, and clocks differ."""

IDLE_PERIOD_SECONDS = 3.0
"""How often to look for pools when there are none."""


class ReconcileLoop:
    """Runs a controller over the pools that `list_pools` names at each pass."""

    def __init__(
        self,
        controller: Controller,
        list_pools: Callable[[], Sequence[UserShard]],
        wake: asyncio.Event,
    ) -> None:
        self._controller = controller
        self._list_pools = list_pools
        self._wake = wake
        self._due: dict[str, float] = {}
        self._told: dict[str, tuple[str, float]] = {}
        self._log = get_logger(__name__)
        self._passed_at: float | None = None

    def silent_seconds(self) -> float:
        """How long ago the last pass ended; 0 before the first one began. Liveness looks at it."""
        return 0.0 if self._passed_at is None else time.monotonic() - self._passed_at

    async def run(self) -> None:
        """Reconcile until cancelled."""
        self._passed_at = time.monotonic()
        while True:
            all_due = self._wake.is_set()
            self._wake.clear()
            await self._pass(all_due=all_due)
            self._passed_at = time.monotonic()
            await asyncio.sleep(PASS_SPACING_SECONDS)
            pause = min(self._due.values(), default=self._passed_at + IDLE_PERIOD_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, pause - time.monotonic())):
                    await self._wake.wait()

    async def _pass(self, *, all_due: bool) -> None:
        pools = {user_shard.pool: user_shard for user_shard in self._list_pools()}
        taken = find_taken(pools.values())
        for gone in self._due.keys() - pools.keys():
            del self._due[gone]
            self._told.pop(gone, None)
            self._controller.forget(gone)
            self._log.info("pool_left_alone", pool=gone, why="its UserShard was deleted")
        for pool, user_shard in pools.items():
            if all_due or time.monotonic() >= self._due.get(pool, 0.0):
                lease_end = await self._reconcile(user_shard, taken.get(pool, ""))
                pause: float = user_shard.spec.scaling.poll_period_seconds
                if lease_end is not None:
                    pause = min(pause, lease_end + AFTER_LEASE_END_SECONDS)
                self._due[pool] = time.monotonic() + pause

    async def _reconcile(self, user_shard: UserShard, taken_by: str) -> float | None:
        """Reconcile one pool; the seconds until the first lease in it would be over."""
        pool, begun = user_shard.pool, time.monotonic()
        outcome, lease_end = "done", None
        try:
            reconciled = await self._controller.reconcile(user_shard, taken_by=taken_by)
            if (placement := reconciled.observation.placement) is not None:
                lease_end = placement.seconds_to_lease_end()
        except LeadershipLost:
            raise
        except TryLater as error:
            outcome = "later"
            self._tell_problem("reconcile_later", pool, str(error))
        except ApiRefused as error:
            outcome = "failed"
            self._tell_problem("reconcile_refused", pool, str(error))
        except Exception:  # noqa: BLE001 (the door: one pool's defect must not stop the others)
            outcome = "failed"
            self._log.exception("reconcile_failed", pool=pool)
        if outcome == "done":
            self._told.pop(pool, None)
        metrics.note_reconcile(pool, outcome, time.monotonic() - begun)
        return lease_end

    def _tell_problem(self, event: str, pool: str, problem: str) -> None:
        """Once, and again after a while: a poll every few seconds would fill the log with it."""
        told, at = self._told.get(pool, ("", 0.0))
        now = time.monotonic()
        if problem != told or now - at >= TELL_AGAIN_SECONDS:
            self._told[pool] = (problem, now)
            self._log.warning(event, pool=pool, problem=problem)
