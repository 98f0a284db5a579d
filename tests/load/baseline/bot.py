"""The conversation: one handler per command."""

import contextlib
import time
from datetime import UTC, datetime
from decimal import Decimal

from aiogram import F, Router
from aiogram.exceptions import TelegramBadRequest
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message
from cryptography.fernet import Fernet
from tests.load.baseline.errors import InsufficientFunds, NoAmount, OfferClosed, PricesBusy
from tests.load.baseline.prices import SYMBOLS, Prices
from tests.load.baseline.store import CURRENCY, Store, Trade
from tests.load.baseline.trading import DRAFT_LIFETIME_SECONDS, read_amount, traded
from tests.load.baseline.wallets import new_wallet

HISTORY_MAX = 5
BUSY = "I cannot get at the prices just now. Nothing was changed; please try again in a moment."
HELP = (
    "<b>What you can do</b>\n/price BTC\n/buy BTC $100\n/sell BTC 50%\n/portfolio\n/history\n"
    "Or just write a ticker."
)


def make_router(store: Store, prices: Prices, fernet: Fernet) -> Router:
    """Bind the handlers to what they work with."""
    router = Router()

    @router.message(CommandStart())
    async def start(message: Message) -> None:
        user_id = message.chat.id
        address = await store.address(user_id)
        if address is None:
            await store.sign_up(user_id, *new_wallet(fernet))
            address = await store.address(user_id)
        balance = (await store.balances(user_id)).get(CURRENCY, Decimal(0))
        price = await _said_price(prices, "BTC")
        await message.answer(
            f"<b>Welcome aboard.</b>\n\nYour wallet:\n<code>{address}</code>\n"
            f"Your balance: <b>{balance:,.2f} USDT</b> of play money\nNow: {price}\n/help"
        )

    @router.message(Command("help"))
    async def help_(message: Message) -> None:
        await message.answer(HELP)

    @router.message(Command("price"))
    async def price(message: Message, command: CommandObject) -> None:
        await _show_price(message, prices, (command.args or "").strip())

    @router.message(Command("buy", "sell"))
    async def offer(message: Message, command: CommandObject) -> None:
        await _offer(message, command.command, (command.args or "").split(), store, prices)

    @router.callback_query(F.data.startswith("confirm:"))
    async def confirm(press: CallbackQuery) -> None:
        await _confirm(press, store, prices)

    @router.callback_query(F.data.startswith("cancel:"))
    async def cancel(press: CallbackQuery) -> None:
        draft = await store.draft(_draft_of(press), press.from_user.id)
        if draft is not None and draft.is_open:
            await store.close_draft(draft.draft_id)
            await _replace(press, "This offer is withdrawn. Nothing was changed.")
        await press.answer()

    @router.message(Command("portfolio"))
    async def portfolio(message: Message) -> None:
        await _portfolio(message, store, prices)

    @router.message(Command("history"))
    async def history(message: Message) -> None:
        trades = await store.trades(message.chat.id, HISTORY_MAX)
        lines = [_line(trade) for trade in trades] or ["None yet."]
        await message.answer("\n\n".join(["<b>Your trades</b>", *lines]))

    @router.message(F.text)
    async def ticker(message: Message) -> None:
        await _show_price(message, prices, message.text or "")

    return router


async def _show_price(message: Message, prices: Prices, typed: str) -> None:
    symbol = typed.upper().lstrip("$")
    if symbol not in SYMBOLS:
        await message.answer("That is not traded here. /help lists everything.")
        return
    await message.answer(await _said_price(prices, symbol))


async def _said_price(prices: Prices, symbol: str) -> str:
    try:
        found = await prices.of([symbol])
    except PricesBusy:
        return BUSY
    return f"<b>{symbol}</b>  {found[symbol]:,f} USDT"


async def _offer(
    message: Message, side: str, words: list[str], store: Store, prices: Prices
) -> None:
    user_id = message.chat.id
    symbol = next((word.upper() for word in words if word.upper() in SYMBOLS), "")
    amounts = [word for word in words if word.upper() not in SYMBOLS]
    if not symbol or len(amounts) != 1:
        await message.answer(f"For example <code>/{side} BTC $100</code>.")
        return
    balances = await store.balances(user_id)
    spent = CURRENCY if side == "buy" else symbol
    available = balances.get(spent, Decimal(0))
    try:
        amount, unit = read_amount(amounts[0], side, symbol, available)
        price = (await prices.of([symbol]))[symbol]
    except NoAmount:
        await message.answer("I cannot read that as an amount.")
        return
    except PricesBusy:
        await message.answer(BUSY)
        return
    needed = amount if unit == spent else (amount * price if side == "buy" else amount / price)
    if needed > available:
        await message.answer("You have too little for that.")
        return
    draft_id = await store.add_draft(user_id, side, symbol, amount, unit, time.time())
    buttons = [
        InlineKeyboardButton(text="✓ Confirm", callback_data=f"confirm:{draft_id}"),
        InlineKeyboardButton(text="Cancel", callback_data=f"cancel:{draft_id}"),
    ]
    await message.answer(
        f"<b>{side.capitalize()} {symbol}?</b>\n\n{amount} {unit}\n"
        f"Price: {price:,f} USDT for 1 {symbol}\nGood for two minutes.",
        reply_markup=InlineKeyboardMarkup(inline_keyboard=[buttons]),
    )


async def _confirm(press: CallbackQuery, store: Store, prices: Prices) -> None:
    draft = await store.draft(_draft_of(press), press.from_user.id)
    now = time.time()
    if draft is None:
        await press.answer("There is no such offer of yours.", show_alert=True)
        return
    if not draft.is_open:
        await _show_end(press, draft.draft_id, store)
        return
    if now - draft.made_at > DRAFT_LIFETIME_SECONDS:
        await store.close_draft(draft.draft_id)
        await _replace(press, "This offer has run out. Nothing was changed.")
        await press.answer()
        return
    try:
        price = (await prices.of([draft.symbol]))[draft.symbol]
        trade = await store.trade(draft, traded(draft, price, now))
    except PricesBusy:
        await press.answer(BUSY, show_alert=True)
        return
    except OfferClosed:  # a second press overtook this one
        await _show_end(press, draft.draft_id, store)
        return
    except InsufficientFunds:
        await _replace(press, "You have too little for that. Nothing was spent.")
        await press.answer()
        return
    await _replace(press, f"✓ {_line(trade)}")
    await press.answer(f"Done. Receipt {trade.receipt}")


async def _show_end(press: CallbackQuery, draft_id: int, store: Store) -> None:
    trade = await store.trade_of(draft_id)
    if trade is None:
        await press.answer("This offer is closed. Nothing was changed.", show_alert=True)
        return
    await _replace(press, f"✓ {_line(trade)}")
    await press.answer(f"Done. Receipt {trade.receipt}")


async def _portfolio(message: Message, store: Store, prices: Prices) -> None:
    balances = await store.balances(message.chat.id)
    held = [asset for asset in balances if asset != CURRENCY]
    try:
        found = await prices.of(held) if held else {}
    except PricesBusy:
        await message.answer(BUSY)
        return
    values = {
        asset: quantity * found.get(asset, Decimal(1)) for asset, quantity in balances.items()
    }
    lines = [f"• {balances[asset]} {asset} = {values[asset]:,.2f} USDT" for asset in balances]
    await message.answer(
        "\n".join([f"<b>Portfolio: {sum(values.values()):,.2f} USDT</b>", "", *lines])
    )


def _draft_of(press: CallbackQuery) -> int:
    number = (press.data or "").partition(":")[2]
    return int(number) if number.isdecimal() else 0


def _line(trade: Trade) -> str:
    done = "Bought" if trade.side == "buy" else "Sold"
    when = datetime.fromtimestamp(trade.traded_at, UTC)
    return (
        f"<b>{done} {trade.base} {trade.symbol}</b> for {trade.currency} USDT\n"
        f"Price {trade.price:,f} · fee {trade.fee}\n{when:%d %b %H:%M} UTC · "
        f"Receipt <code>{trade.receipt}</code>"
    )


async def _replace(press: CallbackQuery, text: str) -> None:
    if isinstance(press.message, Message):
        # A card that says so already is refused: somebody pressed twice.
        with contextlib.suppress(TelegramBadRequest):
            await press.message.edit_text(text)
