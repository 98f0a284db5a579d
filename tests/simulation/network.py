"""What lies between the processes: requests that take time, get lost, arrive late or twice, and
answers that are lost after the effect was committed.

An effect runs at one moment, as one transaction would. Who asked may be dead by then, or stopped,
or may have given up: the effect takes place all the same.
"""

import asyncio
import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from tests.simulation.loop import Life, Process, SimulatedLoop

from user_worker.errors import DependencyDown

Result = TypeVar("Result")
CALL_TIMEOUT_SECONDS = 3.0
"""The worker's `service_timeout_seconds`, and what asyncpg's command timeout comes to."""

HEAVY = 10.0
"""How much likelier a request about an order meets its fate: most requests only look around."""

STORES = frozenset({"database", "gateway", "ledger", "venue", "wallet"})
"""Who answers nothing while the database is down."""


class Fate(enum.Enum):
    """What becomes of one request."""

    FINE = "fine"
    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost after commit"
    LATE = "request arrives late"
    TWICE = "request arrives twice"
    KILLED_BEFORE = "caller killed before its request arrived"
    KILLED_AFTER = "caller killed after the commit"
    STOPPED = "caller stopped with a request under way"


FAULTS = tuple(fate for fate in Fate if fate is not Fate.FINE)


@dataclass
class Weather:
    """How rough it is: the share of requests that meet each fate, and what is away."""

    shares: dict[Fate, float] = field(default_factory=dict)
    delay_seconds: float = 0.004
    down: Counter[str] = field(default_factory=Counter)
    """Services that refuse connections, each with how many reasons there are."""
    cuts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(process, service): nothing gets through, nobody is told."""

    def draw(self, random: Random, weight: float) -> Fate:
        """Draw one request's fate; `weight` multiplies its chance to meet one."""
        if not self.shares:
            return Fate.FINE
        drawn = random.random() / weight
        if drawn >= sum(self.shares.values()):
            return Fate.FINE
        for fate, share in self.shares.items():
            drawn -= share
            if drawn < 0:
                return fate
        return Fate.FINE

    def is_down(self, service: str) -> bool:
        """Whether a service answers nobody."""
        return bool(self.down[service] or (service in STORES and self.down["database"]))


class Network:
    """Carries requests."""

    def __init__(self, loop: SimulatedLoop, random: Random) -> None:
        self.weather = Weather()
        self.faults: Counter[str] = Counter()
        self.requests = 0
        self.caller: Process = loop.world
        """Whose request is being worked at this moment."""
        self.kill: Callable[[Process], None] = Process.kill
        self.stop: Callable[[Process], None] = Process.stop
        self.trace: Callable[[str], None] | None = None
        self._loop = loop
        self._random = random

    async def call(
        self, service: str, what: str, effect: Callable[[], Result], *, is_plain: bool = False
    ) -> Result:
        """Make a request. Raises DependencyDown, or what the effect raises.

        `is_plain` requests are of processes that nobody kills.
        """
        loop, caller = self._loop, self._loop.current
        self.requests += 1
        answer: asyncio.Future[Any] = loop.create_future()
        is_heavy = service in ("ledger", "venue") or what.startswith(("record", "accept"))
        fate = self.weather.draw(self._random, HEAVY if is_heavy else 1.0)
        if is_plain and fate.value.startswith("caller"):
            fate = Fate.FINE
        if self.weather.cuts and self.weather.cuts[caller.name, service]:
            fate = Fate.REQUEST_LOST
            self.faults["lost in a cut"] += 1
        elif fate is not Fate.FINE:
            self.faults[fate.value] += 1
        if self.trace is not None:
            self.trace(f"{caller.name} → {service}: {what} ({fate.value})")
        there = self._delay()
        if fate is Fate.LATE or fate is Fate.STOPPED:
            there += self._random.uniform(0.5, 7.0)
        if fate is not Fate.REQUEST_LOST and fate is not Fate.KILLED_BEFORE:
            loop.post(loop.world, there, self._arrive, service, what, caller, effect, answer, fate)
        if fate is Fate.TWICE:
            again = there + self._random.uniform(0.0, 4.0)
            args = (service, what, caller, effect, None, Fate.FINE)
            loop.post(loop.world, again, self._arrive, *args)
        if fate is Fate.KILLED_BEFORE:
            self.kill(caller)
        elif fate is Fate.STOPPED:
            self.stop(caller)
        lost = fate in (Fate.REQUEST_LOST, Fate.ANSWER_LOST) and self._random.random() < 0.5
        patience = self._random.uniform(0.01, 0.3) if lost else CALL_TIMEOUT_SECONDS
        timer = loop.call_later(patience, _give_up, answer, service)
        try:
            result: Result = await answer
        finally:
            timer.cancel()
        return result

    def _arrive(
        self,
        service: str,
        what: str,
        caller: Process,
        effect: Callable[[], Any],
        answer: "asyncio.Future[Any] | None",
        fate: Fate,
    ) -> None:
        self.caller = caller
        result: Any = None
        error: Exception | None = None
        if self.weather.is_down(service):
            error = DependencyDown(service, "refuses connections")
        else:
            try:
                result = effect()
            except Exception as raised:  # noqa: BLE001 (an answer like any other)
                error = raised
        if self.trace is not None:
            said = f"{type(error).__name__}: {error}" if error else repr(result)[:200]
            self.trace(f"{caller.name} ← {service}: {what}: {said}")
        if fate is Fate.KILLED_AFTER:
            self.kill(caller)
        elif answer is not None and fate is not Fate.ANSWER_LOST and caller.life is not Life.DEAD:
            self._loop.post(caller, self._delay(), _settle, answer, result, error)

    def _delay(self) -> float:
        drawn = self._random.random()
        mean = self.weather.delay_seconds
        return mean * (0.25 + drawn) if drawn < 0.95 else mean * 50 * (drawn - 0.94)


def _settle(answer: "asyncio.Future[Any]", result: object, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)


def _give_up(answer: "asyncio.Future[Any]", service: str) -> None:
    if not answer.done():
        answer.set_exception(DependencyDown(service, "no answer in time"))
