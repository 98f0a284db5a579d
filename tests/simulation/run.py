"""One seed's run from the first claim to the last check.

First a storm, in which anything may go wrong; then calm, in which everything must come to its end
within `CALM_SECONDS_MAX`.
"""

import random as random_module
from collections import Counter
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import structlog
from tests.simulation.checking import Witness
from tests.simulation.cluster import Operators, StatefulSet
from tests.simulation.copies import CopyTables
from tests.simulation.freezes import FreezeTables
from tests.simulation.gateway import GatewayTables, JobRow, Pusher
from tests.simulation.ledger import LedgerTables
from tests.simulation.loop import Life, Process, SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.people import Board, Front, Person
from tests.simulation.placement import PlacementTables
from tests.simulation.plans import PlanTables
from tests.simulation.redis import Streams
from tests.simulation.seeding import seeded
from tests.simulation.storm import Storm
from tests.simulation.trading import TradingTables
from tests.simulation.venue import Market, VenueTables
from tests.simulation.waiting import WaitingTables
from tests.simulation.worker import TRADING, Around

from kernel.sharding import Claim
from user_worker.application import copying
from user_worker.postgres import OrderLimits
from user_worker.trading_ports import Notice

POOL = "default.main"
STORM_SECONDS = (8.0, 20.0)
RULED_WORLDS = 0.35
"""The share of worlds that are about plans, copies and freezes above all."""
FAIR_SECONDS = 6.0
"""How long the weather is fair there before the storm, so that it meets plans and copies."""
RULED_ROUGHNESSES = (0.1, 0.2, 0.4, 1.0)
"""Mostly such that leaders' orders come to their end in it: else there is nothing to copy."""
CALM_SECONDS_MAX = 150.0
"""How long after the last fault something may still be under way. The longest rest is that of an
order in trouble, a minute; a storm can cause none, so this is generous."""
CALM_SECONDS = (0.0, 0.0, 0.0, 30.0)
"""How long a run goes on in any case once the storm is over: long enough, in some, for what waits
for a price to be met while everybody is well."""
PEOPLE = (2, 6)
SHORTER = (
    (copying, "NEW_SECONDS", 4.0),
    (copying, "RETRY_SECONDS", 3.0),
    (copying, "PASS_OVER_SECONDS", 5.0),
)
"""How the worker copies, in proportion to what is fresh here."""


@dataclass(frozen=True)
class Parts:
    """What a run is made of; the checks are checked with broken ones."""

    placement: Callable[..., PlacementTables] = PlacementTables
    gateway: Callable[..., GatewayTables] = GatewayTables
    ledger: Callable[..., LedgerTables] = LedgerTables
    waiting: Callable[..., WaitingTables] = WaitingTables
    plans: Callable[..., PlanTables] = PlanTables
    copies: Callable[..., CopyTables] = CopyTables
    freezes: Callable[..., FreezeTables] = FreezeTables
    around: dict[str, Any] = field(default_factory=dict)
    """Of `worker.Around`."""
    patches: tuple[tuple[object, str, object], ...] = ()
    """(where, name, instead)"""


CORRECT = Parts()


@dataclass(frozen=True)
class Report:
    """What came of a run."""

    seed: int
    violation: str | None
    steps: int
    seconds: float
    """Simulated."""
    requests: int
    jobs: int
    orders: int
    filled: int
    triggered: int
    """Resting orders and alerts."""
    runs: int
    """Of plans, that bought."""
    copied: int
    freezes: int
    moves: int
    set_aside: int
    writes: int
    stale_refused: int
    faults: Counter[str]
    digest: int
    """The same for the same seed: everything drawn and counted went into it."""


class Simulation:
    """One world, built from a seed."""

    def __init__(
        self, seed: int, parts: Parts = CORRECT, trace: Callable[[str], None] | None = None
    ) -> None:
        self.seed = seed
        self._patches = parts.patches
        self.random = random = random_module.Random(seed)
        self.loop = loop = SimulatedLoop(random)
        self.network = network = Network(loop, random)
        self._trace = trace
        if trace is not None:
            network.trace = self._note
        self.placement = placement = parts.placement(POOL, lambda: loop.now)
        self.gateway = parts.gateway(placement, random.randint(1, 2))
        self.trading = TradingTables(
            placement,
            TRADING.draft_lifetime_seconds,
            TRADING.user_open_drafts_max,
            OrderLimits(
                submit_within_seconds=TRADING.submit_within_seconds,
                user_under_way_max=TRADING.user_orders_under_way_max,
                shard_under_way_max=TRADING.shard_orders_under_way_max,
            ),
        )
        self.ledger = parts.ledger(placement)
        market = Market(random, lambda: loop.now)
        self.venue = VenueTables(placement, market)
        self.streams = Streams()
        self.witness = Witness(
            network,
            placement,
            self.gateway,
            self.trading,
            self.ledger,
            self.venue,
            TRADING.copy_fresh_seconds,
        )
        self.waiting = parts.waiting(self.trading)
        self.plans = parts.plans(self.trading, TRADING.draft_lifetime_seconds)
        self.copies = parts.copies(
            self.trading, TRADING.draft_lifetime_seconds, TRADING.copy_fresh_seconds
        )
        self.freezes = parts.freezes(self.plans, self.copies)
        self.witness.watch(self.waiting, market)
        self.witness.rules.watch(self.plans, self.copies, self.freezes)
        around = Around(
            network,
            placement,
            self.gateway,
            self.trading,
            self.ledger,
            self.venue,
            self.streams,
            market,
            self.waiting,
            self.plans,
            self.copies,
            self.freezes,
            random,
            **parts.around,
        )
        self.pods = StatefulSet(loop, random, around, random.randint(1, 4))
        self.operators = Operators(loop, network, placement, self.streams, self.pods, self.witness)
        self.pusher = Pusher(network, self.streams, random)
        self.storm = Storm(
            loop, network, random, self.pods, self.operators, self.streams, self.pusher
        )
        self.front = Front(network, self.gateway, self.witness, random, self._update_id)
        is_ruled = random.random() < RULED_WORLDS
        self._fair_seconds = FAIR_SECONDS if is_ruled else 0.0
        if is_ruled:
            self.storm.roughnesses = RULED_ROUGHNESSES
        board = Board(0.9 if is_ruled else random.choice((0.1, 0.3)))
        self.people = [
            Person(self.front, random, market, board) for _ in range(random.randint(*PEOPLE))
        ]
        self._hearing = {person.user_id: person for person in self.people}
        self._updates = 0
        self._calm_seconds = random.choice(CALM_SECONDS)
        self._living: list[Any] = []
        self._looked_at = 0.0
        placement.notify = self._ring
        self.gateway.accepted = self._accepted
        ended = self.gateway.ended
        self.gateway.ended = lambda row, claim: self._told(row, claim, ended)
        self.gateway.noticed = self._noticed

    def run(self) -> Report:
        """Run it."""
        loop, random = self.loop, self.random
        with ExitStack() as stack:
            stack.enter_context(seeded(random, lambda: loop.now))
            stack.enter_context(_logs_to(self._log if self._trace else None))
            for where, name, instead in (*SHORTER, *self._patches):
                stack.enter_context(mock.patch.object(where, name, instead))
            try:
                self._begin()
                ends = self._fair_seconds + random.uniform(*STORM_SECONDS)
                loop.run(lambda: self.witness.violation is not None, ends)
                self.storm.heal()
                self.witness.begin_calm()
                loop.run(self._is_over, loop.now + CALM_SECONDS_MAX)
                self._judge()
            finally:
                loop.dispose()
        return self._report()

    def _begin(self) -> None:
        rest = self.random.choice((0.3, 0.8, 1.5))
        self._living = [
            self.loop.world.spawn(person.live(self.random.randint(3, 10), rest))
            for person in self.people
        ]
        self.operators.start()
        self.pods.keep()
        self.loop.post(self.loop.world, self._fair_seconds, self.storm.begin)

    def _is_over(self) -> bool:
        if self.witness.violation is not None:
            return True
        now = self.loop.now
        if now < self._looked_at:
            return False
        self._looked_at = now + 0.25
        self.witness.rules.check_runs()
        if now < self.witness.calm_since + self._calm_seconds:
            return False
        return all(task.done() for task in self._living) and self.witness.unfinished() is None

    def _judge(self) -> None:
        witness = self.witness
        if self.loop.failure is not None:
            witness.fail("nothing falls over", repr(self.loop.failure))
        for ordinal, worker in self.pods.workers.items():
            task = worker.task
            if task.done() and not task.cancelled() and task.exception() is not None:
                witness.fail("no worker falls over", f"{ordinal}: {task.exception()!r}")
        for task in (*self._living, *self.operators.tasks):
            if task.done() and task.exception() is not None:
                witness.fail("nobody else falls over", repr(task.exception()))
        if witness.violation is None and (left := witness.unfinished()) is not None:
            witness.fail(f"all is over {CALM_SECONDS_MAX:g} s after the last fault", left)
        if witness.violation is None:
            witness.check_end()

    def _update_id(self) -> int:
        self._updates += 1
        return self._updates

    def _accepted(self, row: JobRow) -> None:
        self.witness.saw_job(row)
        self.pusher.push(row.job, lambda delay, do: self.loop.post(self.loop.world, delay, do))

    def _told(self, row: JobRow, claim: Claim, ended: Callable[[JobRow, Claim], None]) -> None:
        ended(row, claim)
        person = self._hearing[row.job.user_id]
        self._later(lambda: person.hear(row.replies))

    def _noticed(self, notice: Notice) -> None:
        person = self._hearing[notice.user_id]
        self._later(lambda: person.hear(notice.replies))

    def _later(self, do: Callable[[], None]) -> None:
        self.loop.post(self.loop.world, self.random.uniform(0.01, 0.4), do)

    def _ring(self) -> None:
        """NOTIFY: heard late, or not at all."""
        for worker in self.pods.workers.values():
            if worker.owner is not None:
                self._ring_at(worker.process, worker.owner.wake.set)
        for process, wake in self.operators.wakes.items():
            self._ring_at(process, wake.set)

    def _ring_at(self, process: Process, wake: Callable[[], None]) -> None:
        if process.life is Life.DEAD:
            return
        if self.random.random() < self.storm.share_deaf:
            self.network.faults["notification lost"] += 1
            return
        self.loop.post(process, self.random.uniform(0.001, 0.02), wake)

    def _note(self, line: str) -> None:
        if self._trace is not None:
            self._trace(f"{self.loop.now:9.4f} {line}")

    def _log(self, event: str) -> None:
        self._note(f"{self.loop.current.name} says: {event}")

    def _report(self) -> Report:
        orders = self.trading.orders.values()
        claims = sum(row.epoch for row in self.placement.shards.values())
        return Report(
            seed=self.seed,
            violation=self.witness.violation,
            steps=self.loop.steps,
            seconds=self.loop.now,
            requests=self.network.requests,
            jobs=len(self.gateway.jobs),
            orders=len(orders),
            filled=len(self.ledger.trades),
            triggered=self.witness.triggered,
            runs=self.witness.rules.runs,
            copied=self.witness.rules.copied,
            freezes=self.witness.rules.freezes,
            moves=claims - len(self.placement.shards),
            set_aside=self.witness.set_aside,
            writes=self.witness.writes,
            stale_refused=self.witness.stale_refused,
            faults=self.network.faults,
            digest=self.random.getrandbits(64) ^ self.loop.steps,
        )


class _logs_to:  # noqa: N801 (reads as a verb)
    """Send the code's own log lines somewhere, or nowhere, while a run lasts."""

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self._tell = tell

    def __enter__(self) -> None:
        structlog.configure(
            processors=[self._drop],
            wrapper_class=structlog.make_filtering_bound_logger(50 if self._tell is None else 0),
            cache_logger_on_first_use=False,
        )

    def __exit__(self, *_: object) -> None:
        structlog.reset_defaults()

    def _drop(self, _logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        if self._tell is not None:
            named = " ".join(f"{k}={v}" for k, v in event.items() if k not in ("event", "source"))
            self._tell(f"{method} {event['event']} {named}")
        raise structlog.DropEvent
