"""Trading on paper as a user does it, over the control API, and what the books say afterwards.

The market of this run stands still: its prices have no digit after the point and drift by less than
a thousandth an hour, so that the same conversation must give the same books, to the last unit,
whatever Telegram does to it.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from tests.e2e.live_run import LiveRun, buttons_of, running
from tests.e2e.reconciling import OPEN_ORDERS, assert_reconciled

from devbox.keyring import ensure_secret

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

STILL_MARKET = "BTC:60:0.0001,ETH:3:0.0001"
MINUS = "\N{MINUS SIGN}"
GIFT = Decimal(10_000)
_users = itertools.count(50_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveRun]:
    """A run with two gateways and a market that stands still."""
    folder = tmp_path_factory.mktemp("trading")
    options = ("--port", "0", "--gateways", "2")
    async with running(folder, *options, PRICING_SIMULATION_INSTRUMENTS=STILL_MARKET) as live:
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
    """Somebody who trades."""

    def __init__(self, run: LiveRun) -> None:
        self.run = run
        self.telegram_id = next(_users)

    async def ask(self, text: str, answer: str = "") -> Any:
        """Say something; the first answer that holds `answer`."""
        return await self.run.ask(self.telegram_id, text, answer)

    async def trade(self, text: str, done: str = "Receipt") -> Any:
        """Ask for a trade and confirm the card; the message with the receipt."""
        sent = await self.run.say(self.telegram_id, text)
        # An earlier answer may be said once more; the card is what offers something.
        card = await self.run.until_said(self.telegram_id, "You give", after=sent)
        assert any(data.startswith("confirm:") for data in buttons_of(card)), card["text"]
        await self.run.press(self.telegram_id, "confirm:", card["message_id"])
        return await self.run.until_said(self.telegram_id, done, after=sent)

    async def trades(self, books: Any) -> list[Any]:
        """What the ledger has of this user, oldest first."""
        rows: list[Any] = await books.fetch(
            "SELECT t.* FROM ledger.trades t JOIN gateway.users u USING (user_id)"
            " WHERE u.telegram_id = $1 ORDER BY t.posted_at",
            self.telegram_id,
        )
        return rows

    async def balances(self, books: Any) -> dict[str, Decimal]:
        """What the user has, by asset, nothing left out but nothing."""
        rows = await books.fetch(
            "SELECT a.asset_id, a.posted FROM ledger.accounts a JOIN gateway.users u"
            " USING (user_id) WHERE u.telegram_id = $1 AND a.posted <> 0",
            self.telegram_id,
        )
        return {row["asset_id"]: row["posted"] for row in rows}


def said(amount: Decimal) -> str:
    """An amount as English is written here."""
    return f"{amount.normalize():,f}"


async def test_a_whole_conversation_gives_the_figures_of_the_books(
    run: LiveRun, books: Any
) -> None:
    """Start, price, buy, portfolio, chart, sell all, profit, history, receipt."""
    ann = Person(run)
    assert said(GIFT) in (await ann.ask("/start"))["text"]
    card = await ann.ask("btc", "BTC")
    assert "imulated" in card["text"]

    bought = await ann.trade("/buy BTC $100")
    (buy,) = await ann.trades(books)
    held = buy["received"] - buy["fee"]
    assert (buy["spent"], buy["side"]) == (Decimal(100), "buy")
    assert said(held) in bought["text"]
    assert await ann.balances(books) == {"paper:USDT": GIFT - 100, "paper:BTC": held}

    portfolio = await ann.ask("/portfolio")
    assert portfolio["photo"]
    assert said(GIFT - 100) in portfolio["text"]
    assert said(held) in portfolio["text"]
    assert (await ann.ask("/chart BTC", "BTC"))["photo"]

    sold = await ann.trade("/sell all BTC")
    _, sell = await ann.trades(books)
    proceeds = sell["received"] - sell["fee"]
    assert sell["spent"] == held
    assert said(proceeds) in sold["text"]
    assert await ann.balances(books) == {"paper:USDT": GIFT - 100 + proceeds}

    realised = proceeds - 100
    assert sell["realised_pnl"] == realised
    shown = f"{realised:.2f}".replace("-", MINUS)
    assert shown in (await ann.ask("/profit"))["text"]

    receipts = await books.fetch(
        "SELECT d.receipt FROM worker.drafts d JOIN worker.orders o ON o.order_id = d.draft_id"
        " JOIN gateway.users u ON u.user_id = d.user_id WHERE u.telegram_id = $1",
        ann.telegram_id,
    )
    history = (await ann.ask("/history"))["text"]
    assert len(receipts) == 2
    for (receipt,) in receipts:
        assert receipt in history
        told = (await ann.ask(f"/receipt {receipt.lower()}", receipt))["text"]
        assert "Done on" in told


async def test_duplicates_and_reordering_give_the_same_books(run: LiveRun, books: Any) -> None:
    """Twelve people with Telegram at its worst end where one ended in peace."""

    in_peace = Person(run)
    await _trade_a_little(in_peace)
    people = [Person(run) for _ in range(12)]
    await run.faults(duplicate_updates=0.3, reorder_updates=0.3)
    try:
        await asyncio.gather(*(_trade_a_little(person) for person in people))
    finally:
        await run.faults(duplicate_updates=0, reorder_updates=0)
    found = [await person.balances(books) for person in people]

    assert found == [await in_peace.balances(books)] * len(people)
    assert {len(await person.trades(books)) for person in people} == {4}
    stats = await run.stats()
    assert stats["updates_duplicated"] > 0
    assert stats["updates_reordered"] > 0


async def _trade_a_little(person: Person) -> None:
    await person.ask("/start")
    await person.trade("/buy BTC $250.50")
    await person.trade("/buy 50 ETH")
    await person.trade("/sell 50% BTC")
    await person.trade("/sell $10 ETH")


async def test_a_button_works_once_and_for_its_owner_only(run: LiveRun, books: Any) -> None:
    """Pressed five times, by a stranger, and after a cancellation."""
    ann, eve = Person(run), Person(run)
    await ann.ask("/start")
    before = await eve.ask("/start")
    sent = await run.say(ann.telegram_id, "/buy BTC $100")
    card = await run.until_said(ann.telegram_id, "BTC", after=sent)
    confirm = next(data for data in buttons_of(card) if data.startswith("confirm:"))

    await run.click(eve.telegram_id, before["message_id"], confirm)
    await eve.ask("/receipt nothing")  # worked after the press
    assert await eve.trades(books) == []
    assert await ann.trades(books) == []

    for _ in range(5):
        await run.click(ann.telegram_id, card["message_id"], confirm)
    await run.until_said(ann.telegram_id, "Receipt", after=sent)
    await ann.ask("/receipt nothing")
    assert len(await ann.trades(books)) == 1

    card = await ann.ask("/sell all BTC", "BTC")
    confirm = next(data for data in buttons_of(card) if data.startswith("confirm:"))
    await run.press(ann.telegram_id, "cancel:", card["message_id"])
    await run.click(ann.telegram_id, card["message_id"], confirm)
    await ann.ask("/receipt nothing")
    assert len(await ann.trades(books)) == 1


@pytest.mark.parametrize(
    "typed",
    ["-5", "0", "1e999", "NaN", "Infinity", "١٢٣", "0.000000001", "999999999999", "$0", "101%"],
)
async def test_what_is_no_amount_changes_nothing(run: LiveRun, books: Any, typed: str) -> None:
    """A sentence, no draft, no order."""
    ann = Person(run)
    await ann.ask("/start")
    answer = await ann.ask(f"/buy BTC {typed}")

    assert not any(data.startswith("confirm:") for data in buttons_of(answer))
    assert "went wrong" not in answer["text"]
    assert await ann.balances(books) == {"paper:USDT": GIFT}


async def test_an_emptied_redis_ends_a_dialogue_politely(run: LiveRun, books: Any) -> None:
    """The amount that was waited for is not guessed at."""
    ann = Person(run)
    await ann.ask("/start")
    await ann.ask("/buy BTC")
    password = ensure_secret(run.folder.secrets, "redis.password")
    async with Redis(port=run.report.ports["redis"], password=password) as redis:
        await redis.flushall()
    answer = await ann.ask("$100")

    assert "start again" in answer["text"].lower()
    assert await ann.balances(books) == {"paper:USDT": GIFT}
