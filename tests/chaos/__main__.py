"""`python -m tests.chaos`: everything is broken for some minutes, and the books must be right.

    python -m tests.chaos --minutes 10 --seed 7          a run; its schedule is printed
    python -m tests.chaos --schedule FILE                the same faults again
    python -m tests.chaos --judge FOLDER                 judge a run that was kept, once more

The folder of a run keeps its history (lines of JSON), its schedule, its books and all logs. Exit
status 1: a promise was broken.
"""

import argparse
import asyncio
import random
import shutil
import sys
import time
from pathlib import Path

import msgspec
from tests.chaos.figures import measure
from tests.chaos.report import render
from tests.chaos.run import Load, Outcome, run_chaos
from tests.chaos.schedule import Event, make_schedule
from tests.history.books import Books
from tests.history.checker import judge
from tests.history.records import read_history

MINUTES_MAX, USERS_MAX, RATE_MAX = 600.0, 2_000, 50.0
TRACES_NAMED_MAX = 5
FOLDER = Path("build/chaos")


def main() -> None:
    """Read the options, run, tell."""
    parser = argparse.ArgumentParser(
        prog="make chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")
    parser.add_argument("--seed", type=int, help="chooses the faults; a new one each time")
    parser.add_argument("--users", type=int, default=400, help="how many people (400)")
    parser.add_argument("--rate", type=float, default=6.0, help="acts a second (6)")
    parser.add_argument("--resting", type=int, default=3, help="waiting orders of each (3)")
    parser.add_argument("--schedule", type=Path, help="a schedule that was kept")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"what is kept ({FOLDER})")
    parser.add_argument("--judge", type=Path, metavar="FOLDER", help="judge a kept run only")
    asked = parser.parse_args()
    if asked.judge is not None:
        sys.exit(_judge(asked.judge))
    bounds = ((asked.minutes, MINUTES_MAX), (asked.users, USERS_MAX), (asked.rate, RATE_MAX))
    if not all(0 < value <= bound for value, bound in bounds):
        parser.error(f"at most {MINUTES_MAX:g} min, {USERS_MAX} users, {RATE_MAX:g}/s; above 0")
    sys.exit(asyncio.run(_run(asked)))


async def _run(asked: argparse.Namespace) -> int:
    seed = random.SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed
    if asked.schedule is None:
        schedule = make_schedule(seed, asked.minutes)
    else:
        lines = asked.schedule.read_bytes().splitlines()
        schedule = [msgspec.json.decode(line, type=Event) for line in lines]
    folder = asked.folder.absolute() / f"seed-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kept = folder / "schedule.jsonl"
    kept.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in schedule))
    _say(f"seed {seed}, {len(schedule)} events; the same again: --seed {seed} --schedule {kept}")
    load = Load(asked.users, 50, asked.rate, seed, asked.resting)
    begin = time.monotonic()
    outcome = await run_chaos(folder, load, schedule, _say)
    _say("")
    _say(render(outcome.figures, outcome.violations, _others(outcome)))
    minutes = (time.monotonic() - begin) / 60
    _say(f"\n{len(outcome.violations)} violations in {minutes:.1f} min; kept in {folder}")
    return 1 if outcome.violations or outcome.stack_traces else 0


def _others(outcome: Outcome) -> list[tuple[str, str]]:
    settled, deeds = outcome.settled_seconds, outcome.deeds
    return [
        ("settled at the end after", "never" if settled is None else f"{settled:.1f} s"),
        ("stale claims refused by the stores", str(outcome.stale_claims_refused)),
        ("stack traces in the logs (goal 0)", str(len(outcome.stack_traces))),
        *(("  !", trace) for trace in outcome.stack_traces[:TRACES_NAMED_MAX]),
        ("samples of placement", str(outcome.samples)),
        ("acts", ", ".join(f"{count} {name}" for name, count in sorted(deeds.done.items()))),
        ("answers nobody waited for any longer", str(deeds.impatient)),
        ("acts left out because everybody waited", str(deeds.nobody_idle)),
    ]


def _judge(folder: Path) -> int:
    records = list(read_history((folder / "history.jsonl").read_bytes().splitlines()))
    books = msgspec.json.decode((folder / "books.json").read_bytes(), type=Books)
    violations = judge(records, books)
    _say(render(measure(records, books), violations, []))
    return 1 if violations else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
