"""One call for all who want the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class SingleFlight(Generic[Result]):
    """Calls under way, by what they are for. Nothing is kept once a call has ended."""

    def __init__(self) -> None:
        self._calls: dict[Hashable, asyncio.Task[Result]] = {}

    async def join(self, key: Hashable, call: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Wait for the call under way for `key`, or make it.

        The call goes on when whoever made it is cancelled: others may wait for it.
        """
        task = self._calls.get(key)
        if task is None:
            task = self._calls[key] = asyncio.create_task(call())
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    def _ended(self, key: Hashable, task: asyncio.Task[Result]) -> None:
        del self._calls[key]
        if not task.cancelled():
            task.exception()  # raised to whoever still waits; nobody's when all have left
