"""One run of chaos: the whole stack, a crowd, a schedule of faults; then the judgement."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tests.chaos.crowd import SYMBOLS, Crowd, Deeds
from tests.chaos.figures import Figures, measure
from tests.chaos.sabotage import sabotage
from tests.chaos.schedule import Event, duration
from tests.chaos.settling import settle, stack_traces
from tests.chaos.striking import Striker
from tests.chaos.telegram import Telegram, patient_http
from tests.chaos.watching import PlacementWatch, PriceWatch
from tests.e2e.live_run import LiveRun, running
from tests.history.checker import Violation, judge
from tests.history.records import HistoryFile

from chassis.ending import end_tasks

FIRST_USER = 700_000
PLANS = {"USER_WORKER_PLAN_PERIOD_MIN_SECONDS": "1"}
MARKET = {"PRICING_SIMULATION_INSTRUMENTS": "BTC:64000.00:400,ETH:3100.00:500,SOL:150.00:600"}
"""Restless, in per cent a year: within ten minutes a price moves by some two per cent."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many people act how often."""

    users: int
    users_per_shard: int
    rate: float
    """Acts a second; a trade is one act of two updates."""
    seed: int
    resting_per_user: int = 0
    """Orders each of them has waiting for a price when the faults begin."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    violations: list[Violation]
    figures: Figures
    deeds: Deeds
    settled_seconds: float | None
    """From the last act or fault; None when it did not settle."""
    stale_claims_refused: int
    stack_traces: list[str]
    """Where a process wrote one into its log: each is a bug."""
    samples: int


async def run_chaos(
    folder: Path,
    load: Load,
    schedule: list[Event],
    say: Callable[[str], None],
    sabotaged: str = "",
    **environ: str,
) -> Outcome:
    """Run everything in a folder, which keeps the history and the books.

    `sabotaged` are statements that break the database on purpose before anybody uses it. Raises
    `AssertionError` when the stack does not even start.
    """
    users = range(FIRST_USER, FIRST_USER + load.users)
    environ |= (
        MARKET
        | PLANS
        | {
            "DEVBOX_USERS_PER_SHARD": str(load.users_per_shard),
            "DEVBOX_WORKERS_MAX": "4",
        }
    )
    async with contextlib.AsyncExitStack() as stack:
        data = folder / "data"
        run = await stack.enter_async_context(
            running(data, "--port", "0", "--gateways", "2", **environ)
        )
        run.folder.pin_workers(2)
        if sabotaged:
            await sabotage(run, sabotaged)
        history = stack.enter_context(HistoryFile(folder / "history.jsonl"))
        http = await stack.enter_async_context(patient_http())
        telegram = Telegram(run.report.address, http, history)
        placement = PlacementWatch(run.database, history)
        market = PriceWatch(run.pricing_target, SYMBOLS, history)
        crowd = Crowd(telegram, users, market.prices, load.seed)
        striker = Striker(run, telegram, placement, history, say)
        await stack.enter_async_context(beside(telegram.follow(users)))
        await stack.enter_async_context(beside(placement.watch()))
        await stack.enter_async_context(beside(market.watch()))
        await crowd.sign_up()
        await crowd.live_by_rules()
        say(f"{load.users} users have signed up; {crowd.deeds.rules} plans and copies go on")
        if load.resting_per_user:
            await crowd.place_resting(load.resting_per_user)
            say(f"{crowd.deeds.resting} orders wait for their price")
        say(f"{load.rate:g} acts a second from here on")
        async with asyncio.TaskGroup() as group:
            group.create_task(striker.carry_out(schedule))
            group.create_task(crowd.act(load.rate, duration(schedule)))
        # Plans would go on for ever.
        await crowd.panic()
        settled_seconds, books = await settle(run.database, history.records)
        records = list(history.records)
        (folder / "books.json").write_bytes(msgspec.json.encode(books))
        refused = _stale_claims_refused(run)
        traces = stack_traces(run.folder.logs.glob("*.log*"))
    violations = judge(records, books)
    return Outcome(
        violations,
        measure(records, books),
        crowd.deeds,
        settled_seconds,
        refused,
        traces,
        placement.samples,
    )


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> Any:
    """Do something beside the body; should it fail, so does the run."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        await end_tasks({task})


def _stale_claims_refused(run: LiveRun) -> int:
    """How often a store refused a stale claim, by the logs: of a write alone the database says so;
    of a batch it is the worker who does, when it gives the shard up. Some show in both."""
    logs = run.folder.logs
    told = [(logs / "postgres.log", "stale epoch")]
    for worker in logs.glob("purser-user-worker-*.log*"):
        told += [(worker, "a store knows a newer claim"), (worker, "the inbox knows a newer claim")]
    return sum(log.read_text(errors="replace").count(words) for log, words in told)
