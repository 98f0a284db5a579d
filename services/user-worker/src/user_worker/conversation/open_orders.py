"""/orders: what waits for a price, with a button to cancel each, and what is under way.

`orders:<first>` turns the page in place.
"""

from collections.abc import Sequence

from user_worker.conversation import anything_else, panic, resting_pages
from user_worker.conversation.context import Context, together
from user_worker.conversation.page import Page, change, rows_of, send
from user_worker.conversation.resting_pages import UNREST
from user_worker.conversation.texts import Texts
from user_worker.domain.jobs import Command, Press
from user_worker.domain.orders import Order
from user_worker.domain.replies import Button, Keyboard, Reply
from user_worker.domain.resting import RestingOrder

KIND = "orders"
PER_PAGE = 6
"""What a phone shows without scrolling."""
UNDER_WAY_MAX = 10
"""The newest orders looked through for those under way."""
_DIGITS_MAX = 4


async def answer(context: Context, _command: Command) -> list[Reply]:
    """Show the first page."""
    return send(context, await page(context))


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Turn the page."""
    first = press.data.partition(":")[2]
    if not (first.isascii() and first.isdecimal() and len(first) <= _DIGITS_MAX):
        return await anything_else.stale_press(context, press)
    return change(context, press, await page(context, int(first)))


async def page(context: Context, first: int = 0) -> Page:
    """Make a page of what waits, the newest first; the first page tells what is under way, too."""
    texts, user_id = context.texts, context.job.user_id
    waiting, newest = await together(
        context.services.resting.waiting(user_id),
        context.services.trading.orders(user_id, UNDER_WAY_MAX),
    )
    if first >= len(waiting):
        first = 0
    shown = waiting[first : first + PER_PAGE]
    frozen = await panic.line(context)
    title = texts.html("orders-title", count=str(len(waiting)))
    paragraphs = [title, *([frozen] if frozen else [])]
    if not first:
        paragraphs += [_under_way(texts, order) for order in newest if not order.state.is_final]
    paragraphs += [resting_pages.line(texts, resting) for resting in shown]
    if not shown and paragraphs[-1] in (title, frozen):
        paragraphs.append(texts.html("orders-none"))
    return Page(KIND, "\n\n".join(paragraphs), _keyboard(texts, shown, first, len(waiting)))


def _under_way(texts: Texts, order: Order) -> str:
    return texts.html(
        f"history-pending-{order.draft.wish.side.value}",
        symbol=order.draft.wish.symbol,
        receipt=order.draft.receipt,
    )


def _keyboard(texts: Texts, shown: Sequence[RestingOrder], first: int, count: int) -> Keyboard:
    buttons = [
        Button(
            texts.plain(
                "orders-cancel",
                symbol=resting.draft.wish.symbol,
                price=texts.price(resting.condition.price),
                receipt=resting.draft.receipt,
            ),
            f"{UNREST}:{resting.order_id}",
        )
        for resting in shown
    ]
    turning = []
    if first:
        turning.append(Button(texts.plain("button-newer"), f"{KIND}:{max(0, first - PER_PAGE)}"))
    if first + PER_PAGE < count:
        turning.append(Button(texts.plain("button-older"), f"{KIND}:{first + PER_PAGE}"))
    return (*rows_of(buttons, 1), *((tuple(turning),) if turning else ()))
