"""Orders that wait for a price in a market that moves, across the death of whoever watches it.

Prices move by about a thousandth a second here, so that one a few thousandths away is met soon, in
one direction or the other.
"""

import itertools
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from tests.e2e.live_run import LiveRun, buttons_of, running
from tests.e2e.reconciling import OPEN_ORDERS, assert_reconciled

from devbox.processes import worker_name

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

MOVING_MARKET = "BTC:60000.00:500"
SOON_SECONDS = 90.0
"""Within which a price three thousandths away is met, all but certainly."""
_users = itertools.count(70_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveRun]:
    """A run whose market moves."""
    folder = tmp_path_factory.mktemp("resting")
    async with running(folder, "--port", "0", PRICING_SIMULATION_INSTRUMENTS=MOVING_MARKET) as live:
        yield live


@pytest_asyncio.fixture(loop_scope="module")
async def books(run: LiveRun) -> AsyncIterator[Any]:
    """The database; after each scenario every book agrees and no order is left on its way."""
    connection = await run.database()
    try:
        yield connection
        assert await connection.fetchval(OPEN_ORDERS) == 0
        await assert_reconciled(connection)
    finally:
        await connection.close()


class Person:
    """Somebody who waits for prices."""

    def __init__(self, run: LiveRun) -> None:
        self.run = run
        self.telegram_id = next(_users)

    async def ask(self, text: str, answer: str = "") -> Any:
        """Say something; the first answer that holds `answer`."""
        return await self.run.ask(self.telegram_id, text, answer)

    async def confirmed(self, text: str, done: str, button: str = "rest:") -> Any:
        """Ask for something and confirm the offer; the message that says `done`."""
        offer = await self.ask(text)
        assert any(data.startswith(button) for data in buttons_of(offer)), offer["text"]
        await self.run.press(self.telegram_id, button, offer["message_id"])
        return await self.run.until_said(self.telegram_id, done, after=offer["message_id"] - 1)

    async def price(self) -> Decimal:
        """What a bitcoin costs just now."""
        card = await self.ask("/price BTC", "BTC")
        found = re.search(r"BTC\s+([0-9,]+\.[0-9]+) USDT", card["text"])
        assert found is not None, card["text"]
        return Decimal(found[1].replace(",", ""))

    async def times(self, of_present: str) -> str:
        """A price that is so many times the present one, to be typed."""
        return f"{await self.price() * Decimal(of_present):.2f}"


async def test_a_limit_order_within_the_market_is_carried_out_at_once(
    run: LiveRun, books: Any
) -> None:
    """At the market's price, which is better; its receipt is the one it waited under."""
    ann = Person(run)
    await ann.ask("/start", "10,000")
    limit = Decimal(await ann.times("1.01"))
    await ann.confirmed(f"/limit buy BTC $100 at {limit}", "waits")
    notice = await run.until_said(ann.telegram_id, "Bought", timeout_seconds=SOON_SECONDS)

    rows = await books.fetch(
        "SELECT r.state, o.spent, o.received, d.receipt FROM worker.resting_orders r"
        " JOIN worker.orders o USING (order_id) JOIN worker.drafts d ON d.draft_id = o.order_id"
        " JOIN gateway.users u ON u.user_id = r.user_id WHERE u.telegram_id = $1",
        ann.telegram_id,
    )
    (row,) = rows
    assert row["state"] == "triggered"
    assert row["spent"] <= limit * row["received"]
    assert row["receipt"] in notice["text"]
    assert "wait: 0" in (await ann.ask("/orders", "Orders"))["text"]


async def test_a_stop_and_a_take_profit_on_one_holding_sell_it_once(
    run: LiveRun, books: Any
) -> None:
    """Whichever price comes first; the worker that watched is killed while both wait."""
    ben = Person(run)
    await ben.ask("/start", "10,000")
    await ben.confirmed("/buy BTC $1000", "Bought", "confirm:")
    await ben.confirmed(f"/stop BTC all {await ben.times('0.997')}", "waits")
    await ben.confirmed(f"/tp BTC all {await ben.times('1.003')}", "waits")
    for name in (worker_name(0), worker_name(1)):
        run.kill(name)
    await run.until_said(ben.telegram_id, "Sold", timeout_seconds=SOON_SECONDS)

    sold = await books.fetch(
        "SELECT t.* FROM ledger.trades t JOIN gateway.users u USING (user_id)"
        " WHERE u.telegram_id = $1 AND t.side = 'sell'",
        ben.telegram_id,
    )
    assert len(sold) == 1
    states = await books.fetch(
        "SELECT r.state FROM worker.resting_orders r JOIN gateway.users u USING (user_id)"
        " WHERE u.telegram_id = $1",
        ben.telegram_id,
    )
    assert "triggered" in {row["state"] for row in states}


async def test_an_alert_is_told_once(run: LiveRun, books: Any) -> None:
    """One to either side: at least one of them comes."""
    cem = Person(run)
    await cem.ask("/start", "10,000")
    await cem.ask(f"/alerts BTC {await cem.times('1.002')}", "risen")
    await cem.ask(f"/alerts BTC {await cem.times('0.998')}", "fallen")
    await run.until_said(cem.telegram_id, "It was quoted at", timeout_seconds=SOON_SECONDS)

    told = [m["text"] for m in await run.chat(cem.telegram_id) if "quoted at" in m["text"]]
    assert len(told) == len(set(told))
    reached = await books.fetchval("SELECT count(*) FROM worker.alerts WHERE state = 'reached'")
    assert reached >= 1


async def test_what_waits_is_cancelled_in_the_list(run: LiveRun, books: Any) -> None:
    """And triggers no more."""
    dee = Person(run)
    await dee.ask("/start", "10,000")
    await dee.confirmed(f"/limit buy BTC $100 at {await dee.times('0.5')}", "waits")
    listed = await dee.ask("/orders", "wait: 1")
    await run.press(dee.telegram_id, "unrest:", listed["message_id"])
    await run.until_said(dee.telegram_id, "wait: 0", after=listed["message_id"] - 1)
    assert 0 == await books.fetchval(
        "SELECT count(*) FROM worker.resting_orders r JOIN gateway.users u USING (user_id)"
        " WHERE u.telegram_id = $1 AND r.state = 'waiting'",
        dee.telegram_id,
    )
