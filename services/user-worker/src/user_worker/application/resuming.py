"""Orders whose job is gone: looked for in the database and carried out.

After a claim, and every few seconds, the orders under way of all shards are read and those nobody
carries out are started. That is all there is to a takeover: the record says where each order
stands. A job that is run again meets the same task as the resumer; so does an order whose
acceptance was committed though its answer was lost.
"""

import asyncio
from dataclasses import dataclass

from user_worker import metrics
from user_worker.application.carrying_out import CarryingOut
from user_worker.application.outages import note_answer, note_outage
from user_worker.domain.pauses import Pauses
from user_worker.errors import DependencyDown
from user_worker.trading_ports import Orders


@dataclass(frozen=True, slots=True)
class ResumingPace:
    """How orders are looked for."""

    period_seconds: float
    orders_per_shard_max: int
    after_outage: Pauses


class Resumer:
    """Finds orders that nobody carries out."""

    def __init__(self, orders: Orders, carrying_out: CarryingOut, pace: ResumingPace) -> None:
        self._orders = orders
        self._carrying_out = carrying_out
        self._pace = pace

    async def run(self) -> None:
        """Look until cancelled."""
        pauses = iter(self._pace.after_outage)
        begun = self._carrying_out.begun
        while True:
            begun.clear()
            try:
                await self.look()
            except DependencyDown as outage:
                note_outage(outage, "resume")
                await asyncio.sleep(next(pauses))
                continue
            pauses = iter(self._pace.after_outage)
            note_answer("database", "resume")
            try:
                async with asyncio.timeout(self._pace.period_seconds):
                    await begun.wait()
            except TimeoutError:
                pass

    async def look(self) -> None:
        """Start what is under way and nobody carries out."""
        claims = self._carrying_out.claims()
        if not claims:
            return
        for underway in await self._orders.under_way(claims, self._pace.orders_per_shard_max):
            if self._carrying_out.has(underway.claim, underway.seen.order.order_id):
                continue
            if self._carrying_out.start(underway.claim, underway.seen) is not None:
                metrics.ORDERS_RESUMED.inc()
