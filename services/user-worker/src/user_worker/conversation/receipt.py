"""/receipt: what became of an order, by the id the user knows it by.

The same text stands in the place of a confirmed offer and in a notice: pending, done, or failed
with the reason. `receipt:<id>` looks again, in place. Texts need no context, so that a notice,
which belongs to no job, is written with the same words.
"""

from decimal import Decimal

from kernel.money import FRACTION_DIGITS_MAX, divide_down, exact
from user_worker.conversation import anything_else, refusals, resting_pages
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, change, rows_of, send
from user_worker.conversation.texts import Texts, visible
from user_worker.domain.jobs import Command, Press
from user_worker.domain.orders import (
    Draft,
    Order,
    OrderState,
    Refusal,
    Refused,
    Side,
    read_receipt,
)
from user_worker.domain.replies import Button, Keyboard, Reply
from user_worker.domain.resting import RestingState

KIND = "receipt"
LISTED_MAX = 8


async def answer(context: Context, command: Command) -> list[Reply]:
    """Show the receipt that was named, or the newest ones to choose from."""
    if not command.arguments:
        return send(context, await _newest(context))
    return send(context, await found(context, command.arguments))


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Look again, in place."""
    receipt_id = read_receipt(press.data.partition(":")[2])
    order = None
    if receipt_id is not None:
        order = await context.services.trading.order(context.job.user_id, receipt_id)
    if order is None:
        return await anything_else.stale_press(context, press)
    return change(context, press, page(context.texts, order), short(context.texts, order))


async def found(context: Context, typed: str) -> Page:
    """Make the page of a receipt id as typed."""
    receipt_id = read_receipt(typed)
    if receipt_id is None:
        return Page(KIND, context.texts.html("receipt-malformed", typed=visible(typed) or "?"))
    order = await context.services.trading.order(context.job.user_id, receipt_id)
    if order is not None:
        return page(context.texts, order)
    resting = await context.services.resting.of_receipt(context.job.user_id, receipt_id)
    if resting is None or resting.state is RestingState.OFFERED:
        return Page(KIND, context.texts.html("receipt-unknown", receipt=receipt_id))
    return resting_pages.page(context.texts, resting)


def page(texts: Texts, order: Order) -> Page:
    """Make the page of an order."""
    return Page(KIND, text(texts, order), keyboard(texts, order))


def text(texts: Texts, order: Order) -> str:
    """Write what became of an order."""
    lines = {"done": _done, "failed": _failed, "pending": _pending}[_standing(order)](texts, order)
    if order.draft.rule is not None:
        lines.append(texts.html(f"receipt-by-{order.draft.rule.value}"))
    if order.draft.is_simulated:
        lines.append(texts.html("receipt-simulated"))
    receipt_id = order.draft.receipt
    reference = texts.html("receipt-id", receipt=receipt_id, typed=receipt_id.replace("-", ""))
    return "\n".join([*lines, "", reference])


def short(texts: Texts, order: Order) -> str:
    """Say in a word how an order stands, for the answer to a press."""
    return texts.plain(f"order-{_standing(order)}-short", receipt=order.draft.receipt)


def keyboard(texts: Texts, order: Order) -> Keyboard:
    """Give what one would do next."""
    symbol = order.draft.wish.symbol
    match _standing(order):
        case "done":
            return (
                (
                    Button(texts.plain("button-portfolio"), "do:portfolio"),
                    Button(texts.plain("button-price", symbol=symbol), f"card:{symbol}"),
                ),
            )
        case "failed":
            return ((Button(texts.plain("button-again"), f"again:{order.order_id}"),),)
        case _:
            data = f"{KIND}:{order.draft.receipt}"
            return ((Button(texts.plain("button-look-again"), data),),)


def _standing(order: Order) -> str:
    if order.state is OrderState.FILLED:
        return "done"
    return "failed" if order.state is OrderState.REJECTED else "pending"


def _done(texts: Texts, order: Order) -> list[str]:
    draft = order.draft
    spent, received, fee = order.spent, order.received, order.fee
    if spent is None or received is None or fee is None:
        return [texts.html(f"order-filled-{draft.wish.side.value}", symbol=draft.wish.symbol)]
    with exact():
        net = received - fee
    lines = [
        texts.html(
            f"order-done-{draft.wish.side.value}",
            spent=f"{texts.amount(spent)} {draft.spend.symbol}",
            received=f"{texts.amount(net)} {draft.receive.symbol}",
        ),
        texts.html("draft-fee", amount=texts.amount(fee), symbol=draft.receive.symbol),
        _price(texts, draft, spent, received),
    ]
    if order.ended_at is not None:
        lines.append(texts.html("order-at", moment=texts.moment(order.ended_at)))
    return lines


def _price(texts: Texts, draft: Draft, spent: Decimal, received: Decimal) -> str:
    base, currency = (received, spent) if draft.wish.side is Side.BUY else (spent, received)
    symbols = (draft.receive.symbol, draft.spend.symbol)
    base_symbol, currency_symbol = symbols if draft.wish.side is Side.BUY else symbols[::-1]
    price = divide_down(currency, base, FRACTION_DIGITS_MAX)
    return texts.html(
        "draft-price", price=texts.price(price), currency=currency_symbol, symbol=base_symbol
    )


def _failed(texts: Texts, order: Order) -> list[str]:
    reason = order.refused or Refused.TOO_LATE
    return [
        texts.html(f"order-failed-{order.draft.wish.side.value}", symbol=order.draft.wish.symbol),
        f"{refusals.sentence(texts, Refusal(reason))} {texts.html('funds-back')}",
    ]


def _pending(texts: Texts, order: Order) -> list[str]:
    spend = order.draft.spend
    return [
        texts.html(f"order-pending-{order.draft.wish.side.value}", symbol=order.draft.wish.symbol),
        texts.html("order-held", amount=texts.amount(spend.value), symbol=spend.symbol),
    ]


async def _newest(context: Context) -> Page:
    texts = context.texts
    orders = await context.services.trading.orders(context.job.user_id, LISTED_MAX)
    if not orders:
        return Page(KIND, texts.html("receipt-none"))
    buttons = [
        Button(
            texts.plain(
                f"receipt-button-{_standing(order)}",
                receipt=order.draft.receipt,
                what=texts.plain(f"side-{order.draft.wish.side.value}"),
                symbol=order.draft.wish.symbol,
            ),
            f"{KIND}:{order.draft.receipt}",
        )
        for order in orders
    ]
    return Page(KIND, texts.html("receipt-which"), rows_of(buttons, 1))
