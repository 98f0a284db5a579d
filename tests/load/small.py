"""`python -m tests.load.small`: the cheap plan under 500 users, in figures.

500 users sign up and then send twenty updates a second for a minute, on servers that are held to
what free tiers give (see `small_plan`): each of them one in 25 s, where most people send a few a
day. Each figure is a line of JSON.

How long 500 MB of database last is extrapolated from what each update and each trade left behind.
What the gateway keeps (what came in, what went out) is purged by age, so it comes to a standing
amount, as candles do; the books, the orders and what the venue knows are kept for ever and grow.
"""

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from tests.load import bots, schedule
from tests.load.figures import tell
from tests.load.mix import DAY as USUAL
from tests.load.pooler import require_pgbouncer
from tests.load.small_plan import (
    USERS,
    Seen,
    SmallServers,
    auditor,
    looking_at,
    packed_sizes,
    settings_of_the_chart,
    small_servers,
)
from tests.load.stage import Outcome, Scene, surroundings

from gateway.settings import RetentionSettings

SIGN_UPS_PER_SECOND = 20.0
UPDATES_PER_SECOND = 20.0
BUSY_SECONDS = 60.0
SEED = 1
DATABASE_MEGABYTES_MAX = 500
KEPT = {
    "gateway.outbox": ("GATEWAY_OUTBOX_DONE_SECONDS", "outbox_done_seconds"),
    "gateway.inbox": ("GATEWAY_JOBS_DONE_SECONDS", "jobs_done_seconds"),
    "gateway.messages": ("GATEWAY_MESSAGES_SECONDS", "messages_seconds"),
    "gateway.updates_seen": ("GATEWAY_UPDATES_SEEN_SECONDS", "updates_seen_seconds"),
}
"""What the gateway forgets by age: the setting that says when, and the field with its default."""
DAY = 86_400
CANDLES = "pricing.candles"
CANDLES_STANDING_BYTES = 31 * 9 * 1440 * 160
"""A month of nine symbols' minutes, packed."""
SLACK = 1.4
"""What a living table takes beyond a packed one: rows not yet vacuumed, pages half full."""
DAYS_PER_MONTH = 30
PACES = {"quiet": (3, 0.25), "usual": (10, 1), "busy": (60, 6)}
"""Updates and trades of one user and day."""


class SmallFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan came to."""

    sign_up: Outcome
    busy: Outcome
    seen: Seen
    memory: dict[str, float]
    """PSS of each process, in MB, without the servers, which are not ours to run."""
    database_megabytes: float
    """With all users signed up, before they do anything."""
    trades: int
    bytes_per_update: dict[str, float]
    """What the gateway keeps of one, by table, until it is old enough."""
    bytes_per_trade: float
    """What the other parts keep of one, for ever."""

    def months(self, updates_per_day: float, trades_per_day: float) -> float:
        """Say after how many months the database is full, all users together doing so much a day.

        Nothing but trades grows without end; the rest is subtracted as what it comes to.
        """
        standing = sum(
            size * updates_per_day * kept_days(table)
            for table, size in self.bytes_per_update.items()
        )
        empty = self.database_megabytes * 2**20
        room = DATABASE_MEGABYTES_MAX * 2**20 - empty - SLACK * (standing + CANDLES_STANDING_BYTES)
        grown = SLACK * self.bytes_per_trade * trades_per_day * DAYS_PER_MONTH
        return max(0.0, room / grown)


async def measure_small_plan(folder: Path) -> SmallFigures:
    """Run it all once. Raises `AssertionError` when the books do not agree at the end."""
    async with contextlib.AsyncExitStack() as stack:
        servers = await stack.enter_async_context(small_servers(folder))
        simulator, exchanges = await stack.enter_async_context(surroundings())
        seen = await stack.enter_async_context(looking_at(servers))
        bot = await stack.enter_async_context(
            bots.purser(
                servers.data,
                simulator,
                exchanges,
                workers=1,
                owner_url=servers.owner_url,
                **servers.environ,
            )
        )
        scene = Scene(bot, simulator, exchanges, SEED)
        scene.users = USERS
        hellos = schedule.first_contacts(range(USERS), SIGN_UPS_PER_SECOND)
        sign_up = await scene.load("first contacts", hellos)
        before, trades_before = await packed_sizes(servers), await _trades(servers)
        arrivals = schedule.steady(USERS, UPDATES_PER_SECOND, BUSY_SECONDS, USUAL, SEED)
        busy = await scene.load("a busy minute", arrivals)
        after = await packed_sizes(servers)
        trades = await _trades(servers) - trades_before
        memory = bots.memory(bot)
        await bot.check_books()
    # Only now is everything seen.
    grown = {name: after[name] - before.get(name, 0) for name in after if name}
    others = sum(
        size for name, size in grown.items() if not name.startswith("gateway.") and name != CANDLES
    )
    return SmallFigures(
        sign_up=sign_up,
        busy=busy,
        seen=seen,
        memory=memory,
        database_megabytes=before[""] / 2**20,
        trades=trades,
        bytes_per_update={table: grown.get(table, 0) / busy.updates for table in KEPT},
        bytes_per_trade=others / max(1, trades),
    )


def kept_days(table: str) -> float:
    """Say how long the small plan keeps what the gateway has in a table."""
    variable, field = KEPT[table]
    defaults = {f.name: f.default for f in msgspec.structs.fields(RetentionSettings)}
    return float(settings_of_the_chart().get(variable, defaults[field])) / DAY


def tell_all(figures: SmallFigures) -> None:
    """Print each figure."""
    how = {"users": USERS, "seed": SEED}
    for outcome in (figures.sign_up, figures.busy):
        tell(
            f"small plan: {outcome.load}",
            outcome.p99,
            "ms p99",
            updates=outcome.updates,
            answered=outcome.answered,
            refused=outcome.refused,
            p50_ms=outcome.p50,
            **how,
        )
    seen = figures.seen
    tell("small plan: Redis at most", seen.redis_megabytes, "MB", refusals=seen.redis_refusals)
    tell(
        "small plan: server connections at most",
        seen.server_connections,
        "",
        client_connections=seen.client_connections,
        samples=seen.samples,
    )
    tell(
        "small plan: memory of all processes",
        sum(figures.memory.values()),
        "MB",
        kind="PSS",
        processes={name: round(size) for name, size in figures.memory.items()},
    )
    tell("small plan: database with its users", figures.database_megabytes, "MB", **how)
    tell(
        "small plan: kept of an update",
        sum(figures.bytes_per_update.values()),
        "bytes",
        **{what: round(size) for what, size in figures.bytes_per_update.items()},
    )
    tell("small plan: kept of a trade", figures.bytes_per_trade, "bytes", trades=figures.trades)
    for pace, (updates, trades) in PACES.items():
        tell(
            f"small plan: months until {DATABASE_MEGABYTES_MAX} MB, {pace}",
            figures.months(updates * USERS, trades * USERS),
            "months",
            updates_per_user_and_day=updates,
            trades_per_user_and_day=trades,
        )


async def _trades(servers: SmallServers) -> int:
    connection = await auditor(servers)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM ledger.trades")
        return count
    finally:
        await connection.close()


def main() -> None:
    """Measure once and print."""
    try:
        require_pgbouncer()
    except pytest.skip.Exception as missing:
        sys.exit(str(missing))
    with tempfile.TemporaryDirectory(prefix="purser-small-") as folder:
        Path(folder).chmod(0o755)
        tell_all(asyncio.run(measure_small_plan(Path(folder))))


if __name__ == "__main__":
    main()
