"""Portfolio, profit and history: figures of the ledger, and what is unknown said to be so."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from tests.unit.user_worker.conversing import Chat
from tests.unit.user_worker.fakes import NOTHING, NOW, candles_of, instrument_of
from tests.unit.user_worker.fakes_orders import order_of

from user_worker.conversation.portfolio import SHORTER_SPANS
from user_worker.conversation.texts import LANGUAGES, shown_units
from user_worker.conversation.valuing import ASSETS_VALUED_MAX
from user_worker.domain.market import Quote
from user_worker.domain.orders import Coins, OrderState, Side, receipt_of
from user_worker.domain.performance import Performance, Position, Trade
from user_worker.domain.pictures import PortfolioPicture
from user_worker.domain.replies import EditText, SendPhoto, SendText
from user_worker.errors import PictureFailed

BTC = Position(
    "paper:BTC", "BTC", Decimal("0.001"), Decimal("0.0004"), Decimal(100), Decimal("97.123456")
)
USDT = Position("paper:USDT", "USDT", Decimal("9900.5"), Decimal(0), None, Decimal("9900.5"))
GONE = Position("paper:ETH", "ETH", Decimal(0), Decimal(0), Decimal(0), Decimal(0))
HELD = replace(
    NOTHING,
    positions=(BTC, GONE, USDT),
    equity=Decimal("9997.623456"),
    net_deposits=Decimal(10_000),
    realised_pnl=Decimal("0.5"),
    unrealised_pnl=Decimal("-2.876544"),
    trades=3,
    winning_trades=1,
    win_rate=Decimal(1),
    expectancy=Decimal("0.5"),
    fees=(Coins("paper:BTC", "BTC", Decimal("0.000001")),),
)


def chat_with(performance: Performance = HELD, *, language_code: str = "en") -> Chat:
    """A chat of somebody who has what `performance` says."""
    chat = Chat(language_code=language_code)
    chat.services.ledger.known = performance
    for interval in (1, 5, 15, 60, 240):
        chat.services.pricing.history["BTC", interval] = candles_of(
            "BTC", ["95000"] * 500, interval_minutes=interval
        )
    return chat


def trade_of(number: int, side: Side = Side.BUY, symbol: str = "BTC") -> Trade:
    """Make a trade, the older the higher its number."""
    base, currency = f"paper:{symbol}", "paper:USDT"
    spent, received = Coins(currency, "USDT", Decimal(100)), Coins(base, symbol, Decimal("0.001"))
    if side is Side.SELL:
        spent, received = received, spent
    return Trade(
        order_id=UUID(int=number),
        side=side,
        spent=spent,
        received=received,
        fee=replace(received, value=Decimal("0.000001")),
        price=Decimal(100_000),
        realised_pnl=Decimal("-1.5") if side is Side.SELL else None,
        posted_at=NOW - timedelta(hours=number),
    )


async def test_a_portfolio_is_told_under_its_picture() -> None:
    """What is held, what it is worth, what was gained on what was paid in."""
    chat = chat_with()
    text = await chat.command("portfolio")

    assert isinstance(chat.messages[0], SendPhoto)
    assert "Portfolio: 9,997.62 USDT" in text
    assert "\u22122.38 USDT (\u22120.02\u00a0%) on 10,000.00 paid in" in text
    assert "0.001 BTC = 97.12 USDT (\u22122.88\u00a0%), of it 0.0004 set aside for orders" in text
    assert "9,900.5 USDT" in text
    assert "ETH" not in text
    assert "Simulated prices" in text
    (picture,) = chat.services.pictures.drawn
    assert isinstance(picture, PortfolioPicture)
    assert {"BTC": BTC.value, "USDT": USDT.value} == {h.symbol: h.value for h in picture.holdings}


async def test_the_ledger_is_asked_with_the_prices_of_what_is_held_or_was_traded() -> None:
    """Present ones and past ones, in one bounded question, oldest first."""
    chat = chat_with()
    chat.services.pricing.quotes["ETH"] = Quote("ETH", Decimal(3000), "USDT", True, 1.0)
    chat.services.ledger.past_trades = [trade_of(1, symbol="ETH")]
    await chat.command("portfolio")

    (no_marks, no_past), (marks, past) = chat.services.ledger.asked
    assert not no_marks
    assert not no_past
    assert {"paper:BTC": Decimal("97123.456"), "paper:ETH": Decimal(3000)} == marks
    times = [marked.at for marked in past]
    assert sorted({at for span in SHORTER_SPANS for at in span.times(NOW)}) == times
    assert len(times) <= 200
    assert NOW - timedelta(days=1) == times[0]
    assert all({"paper:BTC": Decimal(95000)} == marked.marks for marked in past)


async def test_somebody_new_sees_less_far_back_and_nothing_before_the_start() -> None:
    """A day of which nothing is known would be a dot, and before the start there is no zero."""
    chat = chat_with()
    day, hour, minute = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
    for begun_before in (2 * day, 2 * hour, 50 * minute, 5 * minute, minute):
        first = min(begun_before, day)
        chat.services.ledger.begun_at = NOW - begun_before
        for button in ("portfolio", "7 days"):
            await (chat.press(button) if button != "portfolio" else chat.command(button))
            picture = chat.services.pictures.drawn[-1]
            assert isinstance(picture, PortfolioPicture)
            assert NOW == picture.points[-1].at
            assert HELD.equity == picture.points[-1].equity
            assert None not in [point.equity for point in picture.points]
            assert 6 < len(picture.points) <= 62
            if button == "portfolio" or begun_before < day:
                assert NOW - first == picture.points[0].at


@pytest.mark.parametrize("seconds", [0, 7, 20, 200, 9000])
async def test_the_line_of_somebody_new_begins_with_what_was_paid_in(seconds: int) -> None:
    """Also when the first trade came before the first time that is looked at: no lone dot."""
    chat = chat_with()
    chat.services.ledger.begun_at = NOW - timedelta(seconds=seconds)
    chat.services.ledger.equity_then = Decimal(9_990)
    await chat.command("portfolio")

    picture = chat.services.pictures.drawn[-1]
    assert isinstance(picture, PortfolioPicture)
    first, *others = picture.points
    assert (Decimal(10_000), Decimal(10_000)) == (first.equity, first.net_deposits)
    assert all(first.at < point.at for point in others)
    assert others
    assert None not in [point.equity for point in picture.points]


async def test_an_account_that_stood_empty_at_first_is_no_line_from_zero() -> None:
    """Somebody who looked around before /start had an account with nothing in it."""
    chat = chat_with()
    chat.services.ledger.begun_at = NOW - timedelta(days=99)
    chat.services.ledger.equity_then = chat.services.ledger.deposits_then = Decimal(0)
    await chat.command("portfolio")

    picture = chat.services.pictures.drawn[-1]
    assert isinstance(picture, PortfolioPicture)
    assert {Decimal(10_000), HELD.equity} == {point.equity for point in picture.points}


@pytest.mark.parametrize(("button", "days"), [("7 days", 7), ("30 days", 30)])
async def test_another_span_is_another_picture(button: str, days: int) -> None:
    """The shown one is marked."""
    chat = chat_with()
    chat.services.ledger.begun_at = NOW - timedelta(days=99)
    await chat.command("portfolio")
    await chat.press(button)

    assert isinstance(chat.messages[0], SendPhoto)
    picture = chat.services.pictures.drawn[-1]
    assert isinstance(picture, PortfolioPicture)
    assert NOW - timedelta(days=days) == picture.points[0].at
    assert f"✓ {button}" in [b.text for b in chat.buttons]
    assert not chat.toast.alert


async def test_an_empty_portfolio_is_said_to_be_empty() -> None:
    """Without a picture of nothing, and with the way to something."""
    chat = chat_with(NOTHING)
    text = await chat.command("portfolio")

    assert "nothing here yet" in text
    assert isinstance(chat.messages[0], SendText)
    assert "10,000 USDT" in await chat.press("Start")


UNKNOWN = replace(
    HELD,
    positions=(replace(BTC, value=None), USDT),
    equity=None,
    unrealised_pnl=None,
)


async def test_what_has_no_price_is_said_to_be_unknown_and_never_zero() -> None:
    """The total too."""
    chat = chat_with(UNKNOWN)
    text = await chat.command("portfolio")
    assert "total value unknown" in text
    assert "0.001 BTC, value unknown" in text
    assert "no price for BTC" in text
    assert "paid in" not in text
    picture = chat.services.pictures.drawn[-1]
    assert isinstance(picture, PortfolioPicture)
    assert ["USDT"] == [holding.symbol for holding in picture.holdings]
    assert picture.points[-1].equity is None

    profit = await chat.command("profit")
    assert "Since the start: <b>unknown</b>" in profit
    assert "Unrealised: unknown" in profit
    assert "24 h: unknown" in profit
    assert "no price for BTC" in profit


async def test_with_the_prices_away_there_is_still_an_answer() -> None:
    """From the books alone."""
    chat = chat_with(UNKNOWN)
    chat.services.pricing.is_away = True

    assert "0.001 BTC, value unknown" in await chat.command("portfolio")
    assert [{}, {}] == [marks for marks, _ in chat.services.ledger.asked]


async def test_old_prices_are_said_to_be_old() -> None:
    """With the age of the oldest."""
    chat = chat_with()
    chat.services.pricing.known = Quote("BTC", Decimal(97000), "USDT", True, 3600.0)

    assert "from 60 minutes ago" in await chat.command("portfolio")
    assert "from 60 minutes ago" in await chat.command("profit")


async def test_a_picture_that_fails_costs_no_answer() -> None:
    """The caption is said as a text."""
    chat = chat_with()
    chat.services.pictures.failures = [PictureFailed("late")]

    assert "Portfolio: 9,997.62 USDT" in await chat.command("portfolio")
    assert isinstance(chat.messages[0], SendText)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_largest_portfolio_fits_under_its_picture(language: str) -> None:
    """A caption holds 1024 characters as shown; the rest is counted."""
    huge = Decimal("12345678901234567890.123456789012345678")
    symbols = [f"COIN{number:012}" for number in range(40)]
    positions = tuple(
        Position(f"paper:{symbol}", symbol, huge, huge, huge, None if number % 2 else huge)
        for number, symbol in enumerate(symbols)
    )
    chat = chat_with(replace(HELD, positions=positions, equity=huge), language_code=language)
    chat.services.pricing.traded = {symbol: instrument_of(symbol) for symbol in symbols}
    chat.services.pricing.quotes = {
        symbol: Quote(symbol, Decimal(5), "USDT", True, 9999.0) for symbol in symbols
    }
    text = await chat.command("portfolio")

    assert shown_units(text) <= 1024
    assert str(40 - text.count("•")) in text
    marks, _ = chat.services.ledger.asked[-1]
    assert ASSETS_VALUED_MAX == len(marks)
    assert len(await chat.command("profit")) <= 4096


async def test_profit_tells_deposits_apart_over_each_span() -> None:
    """10,000 paid in within the span are no gain."""
    chat = chat_with()
    text = await chat.command("profit")
    assert "<b>\u22122.38 USDT</b> since the start" in text
    assert "Realised: +0.50" in text
    assert "Unrealised: \u22122.88" in text
    for span in ("24 h", "7 days", "30 days"):
        assert f"{span}: \u22122.38" in text
    assert "Win rate: 100.0\u00a0%" in text
    assert "Expectancy: +0.50" in text
    assert "0.000001 BTC" in text
    assert "Money paid in is no gain" in text
    assert "\nProfit factor: " not in text

    chat.services.ledger.begun_at = NOW - timedelta(days=99)
    chat.services.ledger.equity_then = Decimal(9000)
    chat.services.ledger.deposits_then = Decimal(9500)
    assert "24 h: +497.62" in await chat.command("profit")
    _, past = chat.services.ledger.asked[-1]
    assert [30, 7, 1] == [(NOW - marked.at).days for marked in past]


async def test_profit_without_a_trade_claims_no_rates() -> None:
    """Unknown is left out."""
    text = await chat_with(replace(NOTHING, positions=(USDT,))).command("profit")

    assert "Trades: 0" in text
    for name in ("Win rate", "Profit factor", "Expectancy", "Max. drawdown", "Sales"):
        assert f"\n{name}: " not in text


async def test_history_turns_its_pages_in_place() -> None:
    """Newest first, older and back."""
    chat = chat_with()
    chat.services.ledger.past_trades = [trade_of(n) for n in range(1, 9)]
    text = await chat.command("history")
    key = chat.message_key
    assert receipt_of(UUID(int=1)) in text
    assert receipt_of(UUID(int=7)) not in text
    older = await chat.press("Older")
    assert isinstance(chat.messages[0], EditText)
    assert key == chat.message_key
    assert receipt_of(UUID(int=7)) in older
    assert receipt_of(UUID(int=1)) not in older
    assert ["« Newest"] == [button.text for button in chat.buttons]

    assert text == await chat.press("« Newest")


async def test_history_tells_what_was_given_received_paid_and_gained() -> None:
    """And under which receipt, which says the same: the fee is taken off."""
    chat = chat_with()
    chat.services.ledger.past_trades = [trade_of(1), trade_of(2, Side.SELL)]
    text = await chat.command("history")

    assert "Bought 0.000999 BTC</b> for 100 USDT" in text
    assert "Sold 0.001 BTC</b> for 99.999999 USDT" in text
    assert "Price 100,000.00 · fee 0.000001 BTC" in text
    assert "Result: \u22121.50 USDT" in text
    assert "Nov 26, 2026, 11:00 UTC" in text
    assert 1 == text.count("Result")


async def test_amounts_with_endless_digits_are_told_in_short() -> None:
    """Of eighteen digits a phone shows nothing else; the receipt has them all."""
    odd = Decimal("1.386483738418968765")
    held = replace(BTC, quantity=odd, held=odd / 2)
    fee = Coins("paper:BTC", "BTC", Decimal("0.001386483738418969"))
    chat = chat_with(replace(HELD, positions=(held, USDT), fees=(fee,)))
    trade = trade_of(1)
    chat.services.ledger.past_trades = [replace(trade, received=Coins("paper:BTC", "BTC", odd))]

    portfolio = await chat.command("portfolio")
    assert "1.38648373 BTC = " in portfolio
    assert "of it 0.69324186 set aside" in portfolio
    assert "0.00138648 BTC" in await chat.command("profit")
    assert "Bought 1.38648273 BTC" in await chat.command("history")


async def test_history_tells_of_orders_under_way_before_the_books_have_them() -> None:
    """Ended ones stand in the books."""
    chat = chat_with()
    chat.services.trading.ends_as = OrderState.HELD
    await chat.command("buy BTC $100")
    await chat.press("✓")
    text = await chat.command("history")

    assert "Buying BTC is under way" in text
    assert "None yet" not in text
    chat.services.trading.confirmed = {
        draft_id: order_of(order.draft, OrderState.FILLED)
        for draft_id, order in chat.services.trading.confirmed.items()
    }
    assert "under way" not in await chat.command("history")


async def test_an_empty_history_says_how_to_begin() -> None:
    """No buttons that lead nowhere."""
    chat = chat_with()

    assert "None yet" in await chat.command("history")
    assert () == chat.keyboard


async def test_a_page_of_the_longest_trades_fits_a_message() -> None:
    """4096 characters."""
    chat = chat_with()
    huge = Decimal("12345678901234567890.123456789012345678")
    chat.services.ledger.past_trades = [
        replace(
            trade_of(n, Side.SELL),
            spent=Coins("x", "COIN567890123456", huge),
            received=Coins("x", "COIN567890123456", huge),
            realised_pnl=-huge,
            price=None,
        )
        for n in range(9)
    ]

    assert len(await chat.command("history")) <= 4096
