"""/history: the trades in the books, a page at a time, turned in place.

`history:<token>` shows the page the ledger's token asks for; without a token the newest. Orders
still under way are told above the newest page, since the books do not have them yet. A trade is
told as its receipt tells it, the fee taken off, though with fewer digits: the receipt has them all.
"""

from dataclasses import replace

from kernel.money import exact
from user_worker.conversation import anything_else
from user_worker.conversation.context import Context, together
from user_worker.conversation.page import Page, change, send
from user_worker.conversation.texts import Texts
from user_worker.domain.jobs import Command, Press
from user_worker.domain.orders import Order, Side, receipt_of
from user_worker.domain.performance import Trade, TradePage
from user_worker.domain.replies import Button, Keyboard, Reply
from user_worker.errors import RequestRefused

KIND = "history"
TRADES_PER_PAGE = 6
"""What a phone shows without scrolling."""
PENDING_MAX = 5
_DATA_BYTES_MAX = 64


async def answer(context: Context, _command: Command) -> list[Reply]:
    """Show the newest trades, and what is under way."""
    return send(context, await _newest(context))


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Turn the page."""
    token = press.data.partition(":")[2]
    if not token:
        return change(context, press, await _newest(context))
    try:
        trades = await context.services.ledger.trades(context.job.user_id, TRADES_PER_PAGE, token)
    except RequestRefused:
        return await anything_else.stale_press(context, press)
    return change(context, press, _page(context.texts, trades, (), is_newest=False))


async def _newest(context: Context) -> Page:
    user_id = context.job.user_id
    trades, orders = await together(
        context.services.ledger.trades(user_id, TRADES_PER_PAGE, ""),
        context.services.trading.orders(user_id, PENDING_MAX),
    )
    pending = tuple(order for order in orders if not order.state.is_final)
    return _page(context.texts, trades, pending, is_newest=True)


def _page(texts: Texts, page: TradePage, pending: tuple[Order, ...], *, is_newest: bool) -> Page:
    paragraphs = [texts.html("history-title"), *(_pending(texts, order) for order in pending)]
    paragraphs += [_trade(texts, trade) for trade in page.trades]
    if not page.trades and not pending:
        paragraphs.append(texts.html("history-empty" if is_newest else "history-end"))
    return Page(KIND, "\n\n".join(paragraphs), _keyboard(texts, page, is_newest=is_newest))


def _pending(texts: Texts, order: Order) -> str:
    return texts.html(
        f"history-pending-{order.draft.wish.side.value}",
        symbol=order.draft.wish.symbol,
        receipt=order.draft.receipt,
    )


def _trade(texts: Texts, trade: Trade) -> str:
    with exact():
        net = replace(trade.received, value=trade.received.value - trade.fee.value)
    base, currency = (net, trade.spent) if trade.side is Side.BUY else (trade.spent, net)
    lines = [
        texts.html(
            f"history-{trade.side.value}",
            base=f"{texts.about(base.value)} {base.symbol}",
            currency=f"{texts.about(currency.value)} {currency.symbol}",
        ),
        texts.html(
            "history-details",
            price=texts.plain("unknown") if trade.price is None else texts.price(trade.price),
            fee=f"{texts.about(trade.fee.value)} {trade.fee.symbol}",
        ),
    ]
    if trade.realised_pnl is not None:
        lines.append(
            texts.html(
                "history-result", change=texts.change(trade.realised_pnl), currency=currency.symbol
            )
        )
    lines.append(
        texts.html(
            "history-when",
            moment=texts.moment(trade.posted_at),
            receipt=receipt_of(trade.order_id),
        )
    )
    return "\n".join(lines)


def _keyboard(texts: Texts, page: TradePage, *, is_newest: bool) -> Keyboard:
    buttons = []
    if not is_newest:
        buttons.append(Button(texts.plain("button-newest"), f"{KIND}:"))
    older = f"{KIND}:{page.next_page_token}"
    if page.next_page_token and len(older.encode()) <= _DATA_BYTES_MAX:
        buttons.append(Button(texts.plain("button-older"), older))
    return (tuple(buttons),) if buttons else ()
