"""A task that does not hear its first cancellations, as one of Python 3.11's may not."""

import asyncio


class Deaf:
    """Call it for the work; `lost` counts the cancellations that got lost, `times` at most."""

    def __init__(self, times: int) -> None:
        self.lost = 0
        self._times = times

    async def __call__(self) -> None:
        """Wait for ever."""
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.lost == self._times:
                    raise
                self.lost += 1
