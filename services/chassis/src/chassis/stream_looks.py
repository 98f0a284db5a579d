"""How streams are read in a cluster.

One command names streams of one slot only, so a blocking read would take a connection for each
stream. Instead the streams of one node are looked at together, one XREAD each in one round trip
that waits for nothing, every few hundredths of a second: one connection to each node. Each node is
looked at for itself; whoever has something ends the waiting for all.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from chassis.ending import end_tasks
from chassis.errors import TryAgain
from chassis.redis import ClusterRedis, Command, send, translating, value_of

LOOK_SECONDS = 0.03
"""Between two looks at a node of a cluster: what an entry waits at most. Forty streams cost a
reader 6 % of a core, 10 % when a hundred entries come a second."""

LOOK_AGAIN_SECONDS = 0.25
"""The same after a node did not answer."""

OTHERS_SECONDS = 0.2
"""How long a node may still take to answer when another one had entries."""

Entry: TypeAlias = tuple[str, bytes, bytes]
"""(stream, entry id, payload)"""
Answer: TypeAlias = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]
"""What the library makes of the answer to XREAD."""

_FIELD = b"p"


class SomeAway(TryAgain):
    """Some nodes of a cluster did not answer a read: work on what the others had.

    Read the streams `away` from the start next time: their node may be replaced by one whose ids
    are lower.
    """

    def __init__(self, entries: Sequence[Entry], away: Collection[str], why: TryAgain) -> None:
        super().__init__(str(why))
        self.entries = entries
        self.away = away


async def read_nodes(
    cluster: ClusterRedis, positions: Mapping[str, bytes], wait_seconds: float, entries_max: int
) -> list[Entry]:
    """See `chassis.streams.read`."""
    with translating():
        groups = await cluster.by_node(positions)
    enough = asyncio.Event()
    looks = [
        _Look(cluster, {name: positions[name] for name in group}, entries_max) for group in groups
    ]
    tasks = {asyncio.create_task(look.until(enough, wait_seconds)) for look in looks}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        enough.set()
        await asyncio.wait(tasks, timeout=OTHERS_SECONDS)
    finally:
        await end_tasks(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
    entries = [entry for look in looks for entry in look.entries]
    away = {name for look in looks for name in look.away}
    if not away:
        return entries
    why = next(look.why for look in looks if look.away)
    raise why if away == positions.keys() else SomeAway(entries, away, why)


class _Look:
    """A look at the streams of one node."""

    def __init__(
        self, cluster: ClusterRedis, positions: Mapping[str, bytes], entries_max: int
    ) -> None:
        self._cluster = cluster
        self._commands = [
            Command(name, ("XREAD", "COUNT", entries_max, "STREAMS", name, position))
            for name, position in positions.items()
        ]
        self.entries: list[Entry] = []
        self.away = set(positions)
        self.why = TryAgain("a node of the Redis Cluster did not answer")

    async def until(self, enough: asyncio.Event, wait_seconds: float) -> None:
        """Look again and again until there are entries, or it is enough, or long enough."""
        clock = asyncio.get_running_loop().time
        end = clock() + wait_seconds
        while True:
            await self._look()
            rest = end - clock()
            if self.entries or enough.is_set() or rest <= 0:
                return
            pause = LOOK_AGAIN_SECONDS if self.away else LOOK_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause, rest)):
                    await enough.wait()
            if self.away:
                return

    async def _look(self) -> None:
        self.away = {command.key for command in self._commands}
        for command, answer in zip(
            self._commands, await send(self._cluster, self._commands), strict=True
        ):
            if isinstance(answer, TryAgain):
                self.why = answer
                continue
            self.away.discard(command.key)
            self.entries += entries_of(value_of(answer))


def entries_of(answer: Answer) -> list[Entry]:
    """Give the entries with their payload, `b""` of one that is not ours."""
    return [
        (stream.decode(), entry_id, fields.get(_FIELD, b""))
        for stream, entries in answer
        for entry_id, fields in entries
    ]
