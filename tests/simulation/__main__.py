"""`make simulate`: runs seeds on all cores, prints what they met, and the first that failed."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.run import Report, Simulation

SEEDS_AT_ONCE = 20
"""Of one task of a process: small, so that a failure is told soon."""


def main() -> int:
    """Run what the command line asks for; 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one, and print its trace")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of strings are walked in the order of their hashes, which Python draws at its start.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, command, environment)  # noqa: S606 (this program, once more)
    if arguments.seed is not None:
        return _replay(arguments.seed)
    return _run(range(arguments.first, arguments.first + arguments.seeds))


def _replay(seed: int) -> int:
    report = Simulation(seed, trace=_say).run()
    _tell([report], report.seconds, 0.0)
    return _verdict([report])


def _run(seeds: range) -> int:
    began = time.perf_counter()
    reports: list[Report] = []
    batches = [
        seeds[first : first + SEEDS_AT_ONCE] for first in range(0, len(seeds), SEEDS_AT_ONCE)
    ]
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as processes:
        for some in processes.map(_simulate, batches):
            reports += some
            has_failed = any(report.violation for report in some)
            _show_progress(
                len(reports), len(seeds), time.perf_counter() - began, is_last=has_failed
            )
            if has_failed:
                processes.shutdown(wait=False, cancel_futures=True)
                break
    _tell(reports, sum(report.seconds for report in reports), time.perf_counter() - began)
    return _verdict(reports)


def _simulate(seeds: Iterable[int]) -> list[Report]:
    return [Simulation(seed).run() for seed in seeds]


def _tell(reports: list[Report], simulated_seconds: float, seconds: float) -> None:
    faults: Counter[str] = sum((report.faults for report in reports), Counter())
    figures = {
        "seeds": len(reports),
        "steps": sum(report.steps for report in reports),
        "requests": sum(report.requests for report in reports),
        "simulated seconds": round(simulated_seconds),
        "jobs": sum(report.jobs for report in reports),
        "set aside": sum(report.set_aside for report in reports),
        "orders": sum(report.orders for report in reports),
        "filled": sum(report.filled for report in reports),
        "triggered": sum(report.triggered for report in reports),
        "runs of plans": sum(report.runs for report in reports),
        "copied trades": sum(report.copied for report in reports),
        "freezes": sum(report.freezes for report in reports),
        "shards claimed anew": sum(report.moves for report in reports),
        "writes under a claim": sum(report.writes for report in reports),
        "stale writes refused": sum(report.stale_refused for report in reports),
    }
    for name, figure in figures.items():
        _say(f"{name:34} {figure:>12,}")
    _say("faults")
    for name, count in faults.most_common():
        _say(f"  {name:32} {count:>12,}")
    if seconds:
        _say(f"{'seeds per second':34} {len(reports) / seconds:>12.1f}")
        _say(f"{'seconds':34} {seconds:>12.1f}")


def _verdict(reports: list[Report]) -> int:
    for report in _failed(reports):
        _say(f"seed {report.seed} failed: {report.violation}")
        _say(f"replay it with its trace: make simulate SEED={report.seed}")
        return 1
    _say("every promise held")
    return 0


def _show_progress(done: int, of: int, seconds: float, *, is_last: bool) -> None:
    """Tell a person who waits how long it takes yet; nobody else."""
    if sys.stderr.isatty():
        left = seconds / done * (of - done)
        end = "\n" if is_last or done == of else ""
        sys.stderr.write(f"\r{done:,} of {of:,} seeds, {left:.0f} s left   {end}")
        sys.stderr.flush()


def _failed(reports: Iterable[Report]) -> Iterator[Report]:
    return (report for report in reports if report.violation is not None)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
