"""`make load USERS=500`: Purser under ever more users, until something breaks.

Each stage has more users: their first contacts, a believable day compressed into half a minute, and
a price jump, when everybody writes at the same moment. With the first stage's users the rate is
then raised by a third at a time until Purser does not keep up any more (everything answered
rightly, p99 within 250 ms): that says how much it bears, and what the limit is.

USERS is the last stage's; stages go 500, 2,000, 5,000, 10,000 and end early when something broke.
500 take less than four minutes. Seed, rates and mix are printed.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path

from tests.load import bots, schedule
from tests.load.figures import commit, machine, tell
from tests.load.mix import DAY, JUMP, START_ONLY, Mix
from tests.load.stage import HEADER, Outcome, Scene, price_jump, purser_scene, row

STAGES = (500, 2_000, 5_000, 10_000)
FEW_USERS = 50
"""One shard: what the first users cost is not what a further one costs."""
DAY_SECONDS = 36.0
STEP_SECONDS = 8.0
RATE_MAX = 600.0

Sizes = dict[str, float]
"""The memory of each process, in MB."""


def main() -> None:
    """Read the options and run; exit status 1 when a message or money went wrong."""
    parser = argparse.ArgumentParser(prog="make load", description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=500, help="of the last stage (500)")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if not FEW_USERS < asked.users <= STAGES[-1]:
        parser.error(f"more than {FEW_USERS} users, {STAGES[-1]} at most")
    sys.exit(0 if asyncio.run(run(asked.users, asked.seed)) else 1)


async def run(users: int, seed: int) -> bool:
    """Run all stages; whether the books agree at the end."""
    _say(f"commit {commit()}, {machine()}; seed {seed}")
    _say(f"mix {DAY}; at a jump {JUMP}")
    _say("Driver, simulated Telegram, fake exchanges and Purser share the cores; no real network.")
    stages = [*(stage for stage in STAGES if stage < users), users]
    with tempfile.TemporaryDirectory(prefix="purser-load-") as folder:
        async with purser_scene(Path(folder), seed) as scene:
            _say(HEADER)
            await _say_row(scene.sign_up(FEW_USERS))
            sizes = {FEW_USERS: bots.memory(scene.bot)}
            for stage in stages:
                is_broken = await _stage(scene, stage, seed, sizes)
                if stage == stages[0]:
                    await _raise(scene, DAY, seed)
                    await _raise(scene, START_ONLY, seed)
                if is_broken:
                    _say(f"broke with {stage} users; larger stages are left out")
                    break
            _tell_memory(sizes, bots.memory(scene.bot))
            await scene.bot.check_books()
    _say("books: agree")
    return True


async def _stage(scene: Scene, users: int, seed: int, sizes: dict[int, Sizes]) -> bool:
    """Whether something broke with so many users."""
    await _say_row(scene.sign_up(users))
    sizes[users] = bots.memory(scene.bot)
    day = schedule.day(users, DAY_SECONDS, DAY, seed)
    outcomes = [await _say_row(scene.load(f"a day in {DAY_SECONDS:g} s", day))]
    price_jump(scene)
    jump = schedule.burst(users, JUMP, seed)
    outcomes.append(await _say_row(scene.load("price jump, all at once", jump)))
    # In a jump everybody waits for those before: what counts is that all are answered.
    return not outcomes[0].keeps_up or outcomes[1].answered < outcomes[1].updates


async def _raise(scene: Scene, mix: Mix, seed: int) -> None:
    """Raise the rate of a mix until it is too much, and tell the highest that was not."""
    kept: Outcome | None = None
    for rate in schedule.rates_up_to(RATE_MAX):
        steps = schedule.steady(scene.users, rate, STEP_SECONDS, mix, seed)
        outcome = await _say_row(scene.load(f"{mix.name} at {rate:g}/s", steps))
        if not outcome.keeps_up:
            break
        kept = outcome
    tell(
        "updates a second within p99 250 ms",
        kept.answers_per_second if kept else None,
        "1/s",
        mix=str(mix),
        users=scene.users,
        p99_ms=kept.p99 if kept else None,
        cores=kept.cores_used if kept else None,
        processor_ms_per_update=(kept or outcome).processor_milliseconds,
        above_it=outcome.broke,
        seed=seed,
    )


def _tell_memory(sizes: dict[int, Sizes], loaded: Sizes) -> None:
    told = {"kind": "PSS of all processes but the driver", "processes": loaded}
    tell("memory after everything", sum(loaded.values()), "MB", **told)
    for (fewer, before), (more, size) in itertools.pairwise(sizes.items()):
        after = {"users": more, "when": "after their first contact", "kind": "PSS"}
        tell("memory", sum(size.values()), "MB", **after)
        per_user = {
            name: round((megabytes - before.get(name, 0.0)) / (more - fewer) * 1000, 1)
            for name, megabytes in size.items()
        }
        between = {"between": [fewer, more], "kind": "PSS", "processes": per_user}
        tell("memory of a further user", sum(per_user.values()), "kB", **between)


async def _say_row(outcome: Awaitable[Outcome]) -> Outcome:
    found = await outcome
    _say(row(found))
    if found.broke != "nothing":
        _say(f"    {found.broke}")
    if found.refusals:
        _say(f"    said instead: {found.refusals}")
    if found.late_sends:
        _say(f"    the driver was late {found.late_sends} times")
    return found


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
