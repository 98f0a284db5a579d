"""Plans, copied trades and /panic as users meet them, each user in a shard of his own.

The market of this run stands still, so that what is copied can be counted to the last unit.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from tests.e2e.live_run import LiveRun, running
from tests.e2e.reconciling import assert_reconciled

from devbox.processes import worker_name

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

STILL_MARKET = "BTC:60:0.0001"
LEADER, FOLLOWER, SAVER, WORRIER, HAUNTED = range(60_001, 60_006)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveRun]:
    """A run with one user per shard, in which plans may run every second."""
    folder = tmp_path_factory.mktemp("rules")
    async with running(
        folder,
        "--port",
        "0",
        DEVBOX_USERS_PER_SHARD="1",
        PRICING_SIMULATION_INSTRUMENTS=STILL_MARKET,
        USER_WORKER_PLAN_PERIOD_MIN_SECONDS="1",
    ) as live:
        yield live


@pytest_asyncio.fixture(loop_scope="module")
async def books(run: LiveRun) -> AsyncIterator[Any]:
    """The database; after each scenario every book agrees."""
    connection = await run.database()
    try:
        yield connection
        await assert_reconciled(connection)
    finally:
        await connection.close()


async def confirmed(run: LiveRun, user: int, text: str, button: str, said: str) -> Any:
    """Say something and press a button under the answer; the first message that then says so."""
    message = await run.ask(user, text)
    await run.press(user, button, message["message_id"])
    return await run.until_said(user, said, after=message["message_id"] - 1)


async def held(books: Any, user: int, asset_id: str) -> Decimal:
    """What a user has of an asset."""
    return Decimal(
        await books.fetchval(
            "SELECT coalesce(sum(a.posted), 0) FROM ledger.accounts a JOIN gateway.users u"
            " USING (user_id) WHERE u.telegram_id = $1 AND a.asset_id = $2",
            *(user, asset_id),
        )
    )


async def test_a_leaders_trades_reach_a_follower_in_another_shard(run: LiveRun, books: Any) -> None:
    """A purchase for the follower's amount, then half of what was copied is sold."""
    for user in (LEADER, FOLLOWER):
        await run.ask(user, "/start", "10,000 USDT")
    places = "SELECT count(DISTINCT shard) FROM gateway.users WHERE telegram_id = ANY($1)"
    assert await books.fetchval(places, [LEADER, FOLLOWER]) == 2
    shared = await confirmed(run, LEADER, "/copy share", "copy:share", "Your code")
    code = shared["text"].split("Your code: ")[1][:9]
    await confirmed(run, FOLLOWER, f"/copy {code} $50", "copy:confirm:", f"You copy {code}")

    await confirmed(run, LEADER, "/buy BTC $100", "confirm:", "Bought")
    told = await run.until_said(FOLLOWER, "A copied trade")
    assert "for 50 USDT" in told["text"]
    bought = await held(books, FOLLOWER, "paper:BTC")
    assert bought > 0
    await confirmed(run, LEADER, "/sell 50% BTC", "confirm:", "Sold")
    await run.until_said(FOLLOWER, "Sold", after=told["message_id"])
    left = await held(books, FOLLOWER, "paper:BTC")
    # Both halves are rounded to the smallest unit.
    assert abs(left - bought / 2) <= Decimal("0.00000001")
    await run.ask(LEADER, "/copy stop sharing", "Nobody can copy you")


async def test_a_plan_buys_as_often_as_it_was_told(run: LiveRun, books: Any) -> None:
    """And says so each time, and at its end."""
    await run.ask(SAVER, "/start", "10,000 USDT")
    line = "/dca $20 BTC every 1s 2 times"
    active = await confirmed(run, SAVER, line, "dca:confirm:", "The plan is active")
    await run.until_said(SAVER, "has come to its end after 2", after=active["message_id"])
    second = await books.fetch(
        "SELECT d.receipt FROM worker.drafts d JOIN gateway.users u USING (user_id)"
        " WHERE u.telegram_id = $1 AND d.rule = 'plan'",
        SAVER,
    )
    for (receipt,) in second:
        await run.until_said(SAVER, receipt)

    assert len(second) == 2
    assert await held(books, SAVER, "paper:USDT") == Decimal(10_000 - 2 * 20)


async def test_a_plan_runs_each_time_once_though_its_workers_die(run: LiveRun, books: Any) -> None:
    """Whoever owns the shard next goes on with the run that is due."""
    await run.ask(HAUNTED, "/start", "10,000 USDT")
    line = "/dca $20 BTC every 1s 8 times"
    active = await confirmed(run, HAUNTED, line, "dca:confirm:", "The plan is active")
    for worker in (worker_name(0), worker_name(1)):
        run.kill(worker)
        await run.until_serving_again(worker)
    await run.until_said(
        HAUNTED, "has come to its end after 8", after=active["message_id"], timeout_seconds=60
    )
    runs = await books.fetch(
        "SELECT d.receipt FROM worker.drafts d JOIN gateway.users u USING (user_id)"
        " WHERE u.telegram_id = $1 AND d.rule = 'plan'",
        HAUNTED,
    )
    for (receipt,) in runs:
        await run.until_said(HAUNTED, receipt)

    assert len(runs) == 8
    assert await held(books, HAUNTED, "paper:USDT") == Decimal(10_000 - 8 * 20)


async def test_panic_ends_a_plan_and_nothing_is_bought_until_it_is_over(
    run: LiveRun, books: Any
) -> None:
    """The plan stays cancelled afterwards."""
    await run.ask(WORRIER, "/start", "10,000 USDT")
    await confirmed(run, WORRIER, "/dca $20 BTC daily", "dca:confirm:", "The plan is active")
    await run.until_said(WORRIER, "Bought by your plan")
    assert "Plans cancelled: 1" in (await run.ask(WORRIER, "/panic", "frozen"))["text"]
    assert "You froze your trading" in (await run.ask(WORRIER, "/buy BTC $100"))["text"]
    assert "frozen since" in (await run.ask(WORRIER, "/start"))["text"]
    await confirmed(run, WORRIER, "/panic off", "panic:resume", "no longer frozen")
    await confirmed(run, WORRIER, "/buy BTC $100", "confirm:", "Bought")

    assert await held(books, WORRIER, "paper:USDT") == Decimal(10_000 - 20 - 100)
    assert "You have no plans" in (await run.ask(WORRIER, "/dca"))["text"]
