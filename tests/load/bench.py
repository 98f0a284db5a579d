"""`make bench`: every figure, one line of JSON each; ARGS='trades --rate 20' measures a part.

Everything shares the machine's cores: the drivers, the simulated Telegram and Purser itself. The
figures compare one state of the code with another on one machine, best as ratios within one run;
they are not a capacity. Each part can be called alone; what limits each figure stands in the README
of the service it is about.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.load import (
    bench_fence,
    bench_ledger,
    bench_moving,
    bench_notices,
    bench_pictures,
    bench_planning,
    bench_quotes,
    bench_scaling,
    bench_start,
    bench_trades,
    bench_triggers,
)

Part = Callable[[argparse.Namespace], Coroutine[Any, Any, bool]]

PARTS: dict[str, Part] = {
    "start": bench_start.bench,
    "trades": bench_trades.bench,
    "triggers": bench_triggers.bench,
    "ledger": bench_ledger.bench,
    "quotes": bench_quotes.bench,
    "pictures": bench_pictures.bench,
    "planning": bench_planning.bench,
    "scaling": bench_scaling.bench,
    "fence": bench_fence.bench,
    "moving": bench_moving.bench,
    "notices": bench_notices.bench,
}
RATE_MAX, SECONDS_MAX, USERS_MAX = 2_000.0, 600.0, 5_000


def main() -> None:
    """Read the options and measure; exit status 1 when something was lost or done twice."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--rate", type=float, default=50.0, help="messages a second (50)")
    parser.add_argument("--trade-rate", type=float, default=10.0, help="trades a second (10)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (20)")
    parser.add_argument("--users", type=int, default=200, help="how many users (200)")
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--picture", type=Path, help="scaling: draw other targets, too, as SVG")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    bounds = (
        (asked.rate, RATE_MAX),
        (asked.trade_rate, RATE_MAX),
        (asked.seconds, SECONDS_MAX),
        (asked.users, USERS_MAX),
    )
    if not all(0 < value <= bound for value, bound in bounds):
        parser.error(f"at most {RATE_MAX:g}/s, {SECONDS_MAX:g} s, {USERS_MAX} users; above 0")
    chosen = [part for name, part in PARTS.items() if not asked.parts or name in asked.parts]
    went_well = [asyncio.run(part(asked)) for part in chosen]
    sys.exit(0 if all(went_well) else 1)


if __name__ == "__main__":
    main()
