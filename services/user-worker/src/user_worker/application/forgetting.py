"""What has ended and is of no use any more is removed, by the owner of its shard, now and then.

Each look removes a bounded number of rows of a shard in one short transaction, and looks again at
once while there is more. Whoever owns the shard next goes on; what two owners remove is gone.
"""

import asyncio

from user_worker import metrics
from user_worker.application.carrying_out import CarryingOut
from user_worker.application.recurring import Rhythm, again_and_again
from user_worker.errors import ClaimLost
from user_worker.trading_ports import Ended

ROWS_MAX = 500
"""Rows of each kind removed by one transaction: far shorter than a store's may last."""


class Forgetter:
    """Removes what ended long ago."""

    def __init__(self, ended: Ended, carrying_out: CarryingOut, rhythm: Rhythm) -> None:
        self._ended = ended
        self._carrying_out = carrying_out
        self._rhythm = rhythm

    async def run(self) -> None:
        """Remove until cancelled."""
        await again_and_again(self.look, "forget", asyncio.Event(), self._rhythm)

    async def look(self) -> bool:
        """Remove some of what is old in each shard; says whether there is more."""
        claims = self._carrying_out.claims()
        has_more = False
        for claim in await self._ended.old(claims) if claims else ():
            try:
                removed = await self._ended.forget(claim, ROWS_MAX)
            except ClaimLost:
                self._carrying_out.lost(claim)
                continue
            for kind, count in removed.items():
                metrics.FORGOTTEN.labels(kind).inc(count)
            has_more |= ROWS_MAX in removed.values()
        return has_more
