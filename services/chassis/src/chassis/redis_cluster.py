"""A client of a Redis Cluster: many commands at once, each sent to the node that has its slot.

redis-py knows the topology and keeps the connections; how commands travel is decided here, so that
a node that is away costs its own keys an error and everybody else nothing. In redis-py's own client
a dead node closes the connections to the others and learns the topology anew before each command,
and a slot that is on its way is asked for on one connection and read on another.

So commands are grouped by node and travel side by side, one round trip each. MOVED changes one slot
and the command follows; ASK is followed on the connection that asks. A connection that was cut is
made anew once. Whenever a node cannot be reached the topology is learnt again, beside the commands
and at most once a second. A node that did not answer in time is left alone for a second: its
commands fail at once meanwhile.

Only the commands that Purser uses are here, so that none can take another way.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from chassis.ending import end_tasks
from chassis.optional_imports import without

with without("opentelemetry"):
    from redis import exceptions
    from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
    from redis.crc import key_slot

ROUNDS_MAX = 5
"""How often a command may be sent on: a slot moves from one node to the next, not in circles."""

TRY_AGAIN_SECONDS = 0.02
"""Between two rounds when a node asked for patience."""

LEARN_PERIOD_SECONDS = 1.0
"""Between two askings for the topology: each makes all connections anew."""

AWAY_SECONDS = 1.0
"""How long a node that did not answer is left alone."""

SLOW_SECONDS = 0.2
"""Whoever stops waiting for a node after so long has found it away."""

ANSWER_SECONDS_MAX = 1.0
"""How long a node may take to answer. No read blocks here, and what waits for a hung node waits so
long."""

UNREACHABLE = (
    exceptions.RedisClusterException,
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    OSError,
)
"""How the library says that nothing, or no cluster, answers."""

Word: TypeAlias = str | bytes | int | float


class Command(NamedTuple):
    """A command whose keys are all in the slot of `key`."""

    key: str
    words: tuple[Word, ...]


class _Call:
    """A command on its way."""

    def __init__(self, command: Command) -> None:
        self.slot = key_slot(command.key.encode())
        self.words = command.words
        self.asked_at: ClusterNode | None = None
        self.was_cut = False
        self.answer: object = None


class ClusterRedis:
    """The client. It connects at the first command; close it with `aclose`."""

    def __init__(
        self,
        connections_max: int,
        free_seconds: float,
        connecting: Mapping[str, Any],
        **options: Any,
    ) -> None:
        """Take the library's options: `host` and the like. `connecting` says what connections are.

        At most `connections_max` connections to each node; a command waits `free_seconds` for one.
        """
        # One more than there can be commands: for the topology.
        self._library = RedisCluster(
            max_connections=connections_max + 1, require_full_coverage=False, **options
        )
        self._nodes = self._library.nodes_manager
        # The library does not ask for a kind of connection. It makes those of every node it learns
        # of from these; the ones it has been told of are made already.
        self._nodes.connection_kwargs.update(connecting)
        self._nodes.startup_nodes = {
            name: ClusterNode(node.host, node.port, **self._nodes.connection_kwargs)
            for name, node in self._nodes.startup_nodes.items()
        }
        self._seeds = dict(self._nodes.startup_nodes)
        self._connections_max = connections_max
        self._free_seconds = free_seconds
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._away_until: dict[str, float] = {}
        self._learning: asyncio.Task[None] | None = None
        self._learn_at = 0.0

    async def aclose(self) -> None:
        """Close all connections."""
        if self._learning is not None:
            await end_tasks({self._learning})
        known = {**self._seeds, **self._nodes.startup_nodes, **self._nodes.nodes_cache}
        every = {id(node): node for node in [*known.values(), *self._seeds.values()]}
        await asyncio.gather(*(node.disconnect() for node in every.values()))

    async def send(self, commands: Sequence[Command]) -> list[object]:
        """Send commands; per command, in order, its answer or the exception that is its answer."""
        if not self._nodes.slots_cache:
            try:
                await self._learn()
            except UNREACHABLE as failure:
                return [failure] * len(commands)
        calls = [_Call(command) for command in commands]
        left = calls
        for _ in range(ROUNDS_MAX):
            await self._send_round(left)
            left = [call for call in left if await self._goes_on(call)]
            if not left:
                break
            if any(isinstance(call.answer, exceptions.TryAgainError) for call in left):
                await asyncio.sleep(TRY_AGAIN_SECONDS)
        return [call.answer for call in calls]

    async def by_node(self, keys: Iterable[str]) -> list[list[str]]:
        """Group keys by the node that has them now. Keys nobody has are a group, too."""
        if not self._nodes.slots_cache:
            await self._learn()
        groups: dict[str, list[str]] = {}
        for key in keys:
            node = self._owner(key_slot(key.encode()))
            groups.setdefault(node.name if node else "", []).append(key)
        return list(groups.values())

    async def ping(self) -> bool:
        """Ask every primary for a sign of life; raises what the first failure was."""
        if not self._nodes.slots_cache:
            await self._learn()
        nodes = self._library.get_primaries()
        calls = [_Call(Command("", ("PING",))) for _ in nodes]
        await asyncio.gather(
            *(self._send_to(node, [call]) for node, call in zip(nodes, calls, strict=True))
        )
        for call in calls:
            value_of(call.answer)
        return True

    async def get(self, name: str) -> Any:
        """GET."""
        return await self._one(name, "GET", name)

    async def set(self, name: str, value: Word, *, px: int, nx: bool = False) -> Any:
        """SET with a time to live in milliseconds; None when `nx` and it is there."""
        return await self._one(name, "SET", name, value, "PX", px, *(["NX"] if nx else []))

    async def delete(self, name: str) -> Any:
        """DEL."""
        return await self._one(name, "DEL", name)

    async def exists(self, name: str) -> Any:
        """EXISTS."""
        return await self._one(name, "EXISTS", name)

    async def xdel(self, name: str, *ids: bytes) -> Any:
        """XDEL."""
        return await self._one(name, "XDEL", name, *ids)

    async def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any:
        """EVAL; all its keys are in one slot, and there is at least one."""
        return await self._one(keys_and_args[0], "EVAL", script, numkeys, *keys_and_args)

    async def _one(self, key: str, *words: Word) -> Any:
        (answer,) = await self.send([Command(key, words)])
        return value_of(answer)

    def _owner(self, slot: int) -> ClusterNode | None:
        nodes = self._nodes.slots_cache.get(slot)
        return nodes[0] if nodes else None

    async def _send_round(self, calls: Sequence[_Call]) -> None:
        groups: dict[ClusterNode, list[_Call]] = {}
        for call in calls:
            node = call.asked_at or self._owner(call.slot)
            if node is None:
                call.answer = exceptions.ClusterDownError("CLUSTERDOWN no node has the slot")
            else:
                groups.setdefault(node, []).append(call)
        await asyncio.gather(*(self._send_to(node, group) for node, group in groups.items()))

    async def _send_to(self, node: ClusterNode, calls: Sequence[_Call]) -> None:
        """Send to one node and note the answers; never raises for what the node does."""
        clock = asyncio.get_running_loop().time
        began = clock()
        if began < self._away_until.get(node.name, 0.0):
            _note(calls, exceptions.TimeoutError("the node did not answer a moment ago"))
            return
        gate = self._gates.setdefault(node.name, asyncio.Semaphore(self._connections_max))
        try:
            async with asyncio.timeout(self._free_seconds):
                await gate.acquire()
        except TimeoutError:
            _note(calls, exceptions.TimeoutError("no connection became free in time"))
            return
        began = clock()
        try:
            await _exchange(node, calls)
        except asyncio.CancelledError:
            if clock() - began >= SLOW_SECONDS:
                self._away_until[node.name] = clock() + AWAY_SECONDS
            raise
        except UNREACHABLE as failure:
            _note(calls, failure)
        finally:
            gate.release()
        if any(isinstance(call.answer, exceptions.TimeoutError) for call in calls):
            self._away_until[node.name] = clock() + AWAY_SECONDS
        elif any(isinstance(call.answer, exceptions.ConnectionError) for call in calls):
            # What cut this one has cut the others.
            await node.disconnect_free_connections()

    async def _goes_on(self, call: _Call) -> bool:
        """Whether a call is to be sent once more; prepare it."""
        match call.answer:
            case exceptions.MovedError() as moved:
                await self._nodes.move_slot(moved)
                return True
            case exceptions.AskError() as ask:
                call.asked_at = self._nodes.get_node(host=ask.host, port=ask.port)
                if call.asked_at is None:  # a node that has had no slot yet
                    self._want_to_learn()
                return call.asked_at is not None
            case exceptions.TryAgainError():
                return True
            case exceptions.ConnectionError() | OSError() if not call.was_cut:
                call.was_cut = True
                return True
            case exceptions.ConnectionError() | exceptions.TimeoutError() | OSError():
                self._want_to_learn()
            case exceptions.ClusterDownError():
                self._want_to_learn()
        return False

    def _want_to_learn(self) -> None:
        is_learning = self._learning is not None and not self._learning.done()
        if not is_learning and asyncio.get_running_loop().time() >= self._learn_at:
            self._learning = asyncio.create_task(self._try_to_learn())

    async def _try_to_learn(self) -> None:
        # When it cannot be learnt what was known goes on.
        with suppress(*UNREACHABLE):
            await self._learn()

    async def _learn(self) -> None:
        self._learn_at = asyncio.get_running_loop().time() + LEARN_PERIOD_SECONDS
        # The library keeps the nodes it found in their place. They may all be gone one day, when
        # the address in the settings leads to others.
        for name, seed in self._seeds.items():
            self._nodes.startup_nodes.setdefault(name, seed)
        await self._nodes.initialize()
        known = self._nodes.nodes_cache.keys() | self._seeds.keys()
        for kept in (self._gates, self._away_until):
            for name in kept.keys() - known:
                del kept[name]


async def _exchange(node: ClusterNode, calls: Sequence[_Call]) -> None:
    lines: list[PipelineCommand] = []
    ends: list[PipelineCommand] = []
    for call in calls:
        if call.asked_at is not None:
            lines.append(PipelineCommand(len(lines), "ASKING"))
            call.asked_at = None
        ends.append(PipelineCommand(len(lines), *call.words))
        lines.append(ends[-1])
    try:
        await node.execute_pipeline(lines)
    except AttributeError as error:
        # Where one connection was cut the node's others are closed too, and one that somebody has
        # just taken then has nothing to write to: the library does not say so in words.
        raise exceptions.ConnectionError("closed while it was in use") from error
    for call, end in zip(calls, ends, strict=True):
        call.answer = end.result


def _note(calls: Iterable[_Call], failure: Exception) -> None:
    for call in calls:
        call.answer = failure


def value_of(answer: object) -> Any:
    """Give an answer, or raise it."""
    if isinstance(answer, Exception):
        raise answer
    return answer
