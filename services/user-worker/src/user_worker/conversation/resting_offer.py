"""The offer of an order that is to wait for a price, and what its buttons do.

`rest:<order>` confirms it, and `unrest:<order>` cancels what is offered or waits. Whose it is, how
it stands, and that it waits and triggers only once: that is decided behind resting_ports.Resting,
under its own id. A press that comes twice or too late meets what there is and says so.
"""

from uuid import UUID

from kernel.identifiers import MalformedIdentifier, parse_uuid
from user_worker.conversation import (
    anything_else,
    choosing,
    dialogue,
    open_orders,
    receipt,
    refusals,
    resting_pages,
)
from user_worker.conversation.card import quote_of
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, answer_to, change
from user_worker.conversation.resting_pages import KIND
from user_worker.conversation.settings import slippage_of
from user_worker.domain.jobs import Press
from user_worker.domain.orders import Refusal, Refused, Wish
from user_worker.domain.replies import Button, Reply
from user_worker.domain.resting import Condition, RestingOrder, RestingState
from user_worker.errors import DependencyDown

_PRICE_SIDES = frozenset({"pricing", "venue"})
"""Dependencies whose outage is told at once: a price is asked for anew, not waited for."""


async def offer(context: Context, wish: Wish, condition: Condition) -> Page:
    """Resolve a wish and show what it would come to, or why not."""
    if await context.services.freezes.frozen_since(context.job.user_id) is not None:
        return _refused(context, wish, Refusal(Refused.FROZEN))
    slippage = await slippage_of(context)
    try:
        offered = await context.services.resting.propose(
            context.claim, context.job.job_id, context.job.user_id, wish, condition, slippage
        )
    except DependencyDown as outage:
        if outage.dependency not in _PRICE_SIDES:
            raise
        return choosing.prices_away(context)
    await dialogue.answered(context)
    if isinstance(offered, Refusal):
        return _refused(context, wish, offered)
    quote = await quote_of(context, wish.symbol)
    return resting_pages.offer_page(context.texts, offered, quote)


async def pressed_rest(context: Context, press: Press) -> list[Reply]:
    """Have the offer wait from now on, and say so in its place."""
    order_id, user_id = order_of(press.data), context.job.user_id
    placed: RestingOrder | Refusal | None = None
    if order_id is not None:
        placed = await context.services.resting.place(
            context.claim, user_id, order_id, context.texts.language
        )
    if placed is None:
        return [answer_to(press, context.texts.plain("draft-not-yours"), alert=True)]
    if isinstance(placed, Refusal):
        offered = await context.services.resting.read(user_id, order_id) if order_id else None
        if offered is None:
            return await anything_else.stale_press(context, press)
        return change(context, press, _refused(context, offered.draft.wish, placed))
    return await _as_it_stands(context, press, placed)


async def pressed_unrest(context: Context, press: Press) -> list[Reply]:
    """Cancel it; one that has triggered meanwhile shows its receipt."""
    order_id, user_id = order_of(press.data), context.job.user_id
    cancelled = None
    if order_id is not None:
        cancelled = await context.services.resting.cancel(context.claim, user_id, order_id)
    if cancelled is None:
        return [answer_to(press, context.texts.plain("draft-not-yours"), alert=True)]
    is_listed = press.message_key.partition(":")[0] == open_orders.KIND
    if is_listed and cancelled.state is not RestingState.TRIGGERED:
        toast = resting_pages.short(context.texts, cancelled)
        return change(context, press, await open_orders.page(context), toast)
    return await _as_it_stands(context, press, cancelled)


def order_of(data: str) -> UUID | None:
    """Read which resting order a button is about."""
    try:
        return parse_uuid(data.partition(":")[2])
    except MalformedIdentifier:
        return None


def _refused(context: Context, wish: Wish, refusal: Refusal) -> Page:
    if refusal.reason in (Refused.FROZEN, Refused.NOTHING_TO_SPEND):
        return refusals.page(context, wish, refusal)
    # What else may help a market order, such as another amount at once, is not what was asked for.
    texts = context.texts
    text = f"{refusals.sentence(texts, refusal)} {texts.html('nothing-changed')}"
    buttons = (
        Button(texts.plain("button-orders"), "do:orders"),
        Button(texts.plain("button-price", symbol=wish.symbol), f"card:{wish.symbol}"),
    )
    return Page(KIND, text, (buttons,))


async def _as_it_stands(context: Context, press: Press, resting: RestingOrder) -> list[Reply]:
    texts = context.texts
    if resting.state is RestingState.TRIGGERED:
        order = await context.services.trading.order(context.job.user_id, resting.draft.receipt)
        if order is not None:
            toast = texts.plain("resting-triggered-short")
            return change(context, press, receipt.page(texts, order), toast)
    toast = resting_pages.short(texts, resting)
    return change(context, press, resting_pages.page(texts, resting), toast)
