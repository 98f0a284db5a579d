"""`make compare`: the single-process bot and Purser under the same loads, in one run.

Both are up for the whole run, each with a simulated Telegram and exchanges of its own; the loads
take turns (A B B A), so that what else the machine does falls on both. Each rate of the day's mix
comes twice; a bot that was overrun is spared the higher rates. Then a price jump, then crashes.

Writes docs/report: report.md, results.json with every figure, and pictures.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

import msgspec
from tests.load import bots, schedule
from tests.load.crash import Crash, crash
from tests.load.figures import commit, machine
from tests.load.mix import DAY, JUMP
from tests.load.report import write
from tests.load.results import Memory, Results
from tests.load.stage import (
    HEADER,
    UPSTREAM_CALLS_PER_SECOND_MAX,
    UPSTREAM_DELAY_SECONDS,
    Outcome,
    Scene,
    baseline_scene,
    price_jump,
    purser_scene,
    row,
)

RATES = (10, 25, 50, 75, 100, 150, 200)
STEP_SECONDS = 10.0
OVERRUN_MILLISECONDS = 5_000.0
"""A p99 above this says that the queue grows: a higher rate would only make it longer."""
CRASH_RATE = 20.0
KILLED = {"baseline": ("bot",), "Purser": ("gateway-0", "purser-user-worker-0", "ledger")}
FOLDER = Path("docs/report")


def main() -> None:
    """Read the options, run, write the report."""
    parser = argparse.ArgumentParser(prog="make compare", description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    asked = parser.parse_args()
    results = asyncio.run(run(asked.users, asked.seed, asked.rates))
    write(results, asked.folder)
    _say(f"written: {asked.folder / 'report.md'}")


async def run(users: int, seed: int, rates: list[float]) -> Results:
    """Put both under all loads."""
    with tempfile.TemporaryDirectory(prefix="purser-compare-") as name:
        folders = [Path(name) / "baseline", Path(name) / "purser"]
        for folder in folders:
            folder.mkdir()
        async with (
            baseline_scene(folders[0], seed) as baseline,
            purser_scene(folders[1], seed) as purser,
        ):
            scenes = [baseline, purser]
            _say(HEADER)
            sign_ups = [await _said(scene.sign_up(users)) for scene in scenes]
            after_sign_up = [bots.memory(scene.bot) for scene in scenes]
            steps = await _climb(scenes, rates, seed)
            jumps = await _jumps(scenes, users, seed)
            crashes = [
                _said_crash(await crash(scene, process, CRASH_RATE, seed + number))
                for scene in scenes
                for number, process in enumerate(KILLED[scene.bot.name])
            ]
            memory = [
                Memory(bot=scene.bot.name, after_sign_up=first, after_all=bots.memory(scene.bot))
                for scene, first in zip(scenes, after_sign_up, strict=True)
            ]
            for scene in scenes:
                await scene.bot.check_books()
    return Results(
        commit=commit(),
        machine=machine(),
        day=time.strftime("%Y-%m-%d", time.gmtime()),
        seed=seed,
        users=users,
        mix=str(DAY),
        jump_mix=str(JUMP),
        upstream_delay_seconds=UPSTREAM_DELAY_SECONDS,
        upstream_calls_per_second_max=UPSTREAM_CALLS_PER_SECOND_MAX,
        sign_ups=sign_ups,
        steps=steps,
        jumps=jumps,
        crashes=crashes,
        memory=memory,
    )


async def _climb(scenes: list[Scene], rates: list[float], seed: int) -> list[Outcome]:
    """Raise the rate, each bot twice at each, in the order A B B A."""
    outcomes: list[Outcome] = []
    overrun: set[str] = set()
    for rate in rates:
        for number, scene in enumerate([*scenes, *reversed(scenes)]):
            if scene.bot.name in overrun:
                continue
            load = schedule.steady(scene.users, rate, STEP_SECONDS, DAY, seed + number // 2)
            outcomes.append(await _said(scene.load(f"{rate:g}/s", load)))
        for scene in scenes:
            own = [o for o in outcomes[-4:] if o.bot == scene.bot.name and o.load == f"{rate:g}/s"]
            if any(o.answered < o.updates - o.refused or o.p99 > OVERRUN_MILLISECONDS for o in own):
                overrun.add(scene.bot.name)
    return outcomes


async def _jumps(scenes: list[Scene], users: int, seed: int) -> list[Outcome]:
    """Let everybody write at once, twice, in the order A B B A."""
    outcomes = []
    for number, scene in enumerate([*scenes, *reversed(scenes)]):
        price_jump(scene)
        load = schedule.burst(users, JUMP, seed + number // 2)
        outcomes.append(await _said(scene.load("price jump", load)))
    return outcomes


async def _said(loading: Awaitable[Outcome]) -> Outcome:
    outcome = await loading
    _say(row(outcome))
    return outcome


def _said_crash(found: Crash) -> Crash:
    told = msgspec.structs.asdict(found)
    del told["timeline"]
    _say(f"crash: {told}")
    return found


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
