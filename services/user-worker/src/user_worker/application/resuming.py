"""Orders whose job is gone: looked for in the database and carried out.

After a claim, and every few seconds, the orders under way of all shards are read and those nobody
carries out are started. That is all there is to a takeover: the record says where each order
stands. A job that is run again meets the same task as the resumer; so does an order whose
acceptance was committed though its answer was lost.
"""

from user_worker import metrics
from user_worker.application.carrying_out import CarryingOut
from user_worker.application.recurring import Rhythm, again_and_again
from user_worker.trading_ports import Orders


class Resumer:
    """Finds orders that nobody carries out."""

    def __init__(
        self, orders: Orders, carrying_out: CarryingOut, orders_per_shard_max: int, rhythm: Rhythm
    ) -> None:
        self._orders = orders
        self._carrying_out = carrying_out
        self._orders_per_shard_max = orders_per_shard_max
        self._rhythm = rhythm

    async def run(self) -> None:
        """Look until cancelled."""
        await again_and_again(self.look, "resume", self._carrying_out.begun, self._rhythm)

    async def look(self) -> bool:
        """Start what is under way and nobody carries out. There is never more to do at once."""
        claims = self._carrying_out.claims()
        if not claims:
            return False
        for underway in await self._orders.under_way(claims, self._orders_per_shard_max):
            if self._carrying_out.has(underway.claim, underway.seen.order.order_id):
                continue
            if self._carrying_out.start(underway.claim, underway.seen) is not None:
                metrics.ORDERS_RESUMED.inc()
        return False
