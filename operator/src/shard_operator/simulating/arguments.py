"""What can be typed after `simulate` and `record`. Nothing else is imported before it is
understood."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from chassis.command_line import Verbs
from shard_operator.simulating.recorded import COLUMNS

START_SECONDS = 15.0
"""From a decision to a pod that serves: its node has room and its image."""
JOB_SECONDS = 0.1
"""What a trade takes at rest, card to receipt."""
SHARDS = 100
"""5,000 users at 50 a shard."""
RATE_MAX, SECONDS_MAX = 100_000.0, 3600.0
PERIOD_SECONDS_MIN = 0.1

_SPEC_FLAGS = (
    ("--min-replicas", "workers", "minReplicas"),
    ("--max-replicas", "workers", "maxReplicas"),
    ("--shards-per-worker", "workers", "shardsPerWorkerMax"),
    ("--target-backlog", "scaling", "targetBacklogPerReplica"),
    ("--target-oldest", "scaling", "targetOldestJobSeconds"),
    ("--poll-period", "scaling", "pollPeriodSeconds"),
    ("--stabilization", "scaling", "scaleDownStabilizationSeconds"),
)

DESCRIPTION = """\
What the scaler would have done with a recorded backlog: a picture beside the
trace, and in words each step with its reason. The rule is the operator's own;
the spec is the default UserShard's, a file's (--usershard), or what single
options say on top of either."""

TRACE_HELP = (
    "columns of the trace, by name in its first line; time_seconds and one of backlog\n"
    "and arrivals must be there, an empty cell is unknown:\n"
    + "\n".join(f"  {name:<17} {meaning}" for name, meaning in COLUMNS.items())
    + """

Where to get one: `python -m shard_operator record` writes all columns. From
Prometheus, at the step of its scrapes, ask for
  purser_operator_backlog_jobs{pool="…"}         as backlog
  purser_operator_oldest_job_seconds{pool="…"}   as oldest_seconds
and write NaN as an empty cell.

Open loop (a trace with a backlog) shows the scaler what was recorded. It cannot
know what other counts would have made of it: that backlog is what it was with
the workers of that day. Closed loop (a trace with arrivals, and --worker-rate)
lets a model of the pool follow each decision; it knows nothing of uneven
shards, of users that hold one another up, of a dependency that is the
bottleneck. --worker-rate is the highest `finished` per worker and second that
was ever seen while jobs waited."""
)

EXIT_STATUS = """\

exit status: 0 done; 1 a file cannot be read or written; 2 the arguments, the
UserShard or the trace are wrong"""

RECORD_DESCRIPTION = """\
Write a trace for `simulate`: one line per period, until it is told to stop or
--seconds have passed. Reads PostgreSQL (shards, workers) and Redis (their
streams) as the operator's own settings say, and writes nothing but the file.
What could not be read is an empty cell."""


def add_verbs(verbs: Verbs) -> None:
    """Add `simulate` and `record`."""
    _add_simulate(verbs)
    _add_record(verbs)


def _add_simulate(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "simulate",
        help="show what the scaler would have done with a recorded backlog",
        description=DESCRIPTION,
        epilog=TRACE_HELP + "\n" + EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(do=_simulate)
    parser.add_argument("trace", type=Path, metavar="TRACE", help="the CSV file")
    parser.add_argument(
        "-p",
        "--picture",
        type=Path,
        metavar="FILE",
        help=".svg, or .png, whose words need a font on this machine (beside the trace, .svg)",
    )
    parser.add_argument("--usershard", type=Path, metavar="YAML", help="take the spec from it")
    for flag, part, name in _SPEC_FLAGS:
        parser.add_argument(
            flag, type=_count, metavar="N", dest=f"{part}.{name}", help=f"spec.{part}.{name}"
        )
    _add_pool_flags(parser)
    parser.add_argument("--all", action="store_true", help="list every step")


def _add_pool_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--loop", choices=("open", "closed"), help="open, where there is a backlog")
    parser.add_argument(
        "--worker-rate",
        type=_positive(RATE_MAX),
        metavar="R",
        help="closed loop: how many jobs a worker can begin in a second",
    )
    parser.add_argument(
        "--job-seconds",
        type=_positive(SECONDS_MAX),
        default=JOB_SECONDS,
        metavar="S",
        help=f"closed loop: how long a job runs when nothing waits ({JOB_SECONDS:g})",
    )
    parser.add_argument(
        "--start-seconds",
        type=_positive(SECONDS_MAX),
        default=START_SECONDS,
        metavar="S",
        help=f"from a decision to a pod that serves ({START_SECONDS:g})",
    )
    parser.add_argument(
        "--shards",
        type=_count,
        metavar="N",
        help=f"shards, where the trace does not know ({SHARDS})",
    )
    parser.add_argument(
        "--replicas", type=_count, metavar="N", help="workers at the beginning (the trace's first)"
    )


def _add_record(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "record",
        help="write the backlog of a pool to a trace, line by line",
        description=RECORD_DESCRIPTION,
        epilog="exit status: 0 done; 1 PostgreSQL is away at the start; 2 the arguments or the\n"
        "settings are wrong; 3 no such pool",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(do=_record)
    parser.add_argument("name", metavar="NAME", help="a UserShard, or a pool (<namespace>.<name>)")
    parser.add_argument(
        "-n", "--namespace", metavar="NS", help="of the UserShard (OPERATOR_NAMESPACE)"
    )
    parser.add_argument(
        "-f", "--file", type=Path, metavar="CSV", help="a new file to write to (stdout)"
    )
    parser.add_argument(
        "--period",
        type=_positive(SECONDS_MAX, least=PERIOD_SECONDS_MIN),
        default=10.0,
        metavar="S",
        help="seconds between two lines (10)",
    )
    parser.add_argument(
        "--seconds", type=_positive(31 * 86_400.0), metavar="S", help="end after so long"
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError("expected a whole number from 1 to 1000000")
    return int(text)


def _positive(most: float, least: float = 0.0) -> Callable[[str], float]:
    range_ = f"from {least:g} to {most:g}" if least else f"above 0, at most {most:g}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not (value > 0 and least <= value <= most):
            raise argparse.ArgumentTypeError(f"expected a number {range_}")
        return value

    return read


def _simulate(parsed: argparse.Namespace) -> None:
    from shard_operator.simulating.doing import simulate

    sys.exit(simulate(parsed))


def _record(parsed: argparse.Namespace) -> None:
    from shard_operator.simulating.recording import record

    sys.exit(record(parsed))
