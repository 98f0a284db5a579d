"""The offer with its two buttons, and what pressing them does.

`confirm:<draft>`, `cancel:<draft>`, `again:<draft>`. Whose draft it is, whether it is still open,
and that it becomes an order only once: that is decided behind ports.Trading, under the draft's own
id. A press that comes twice, from somebody else, too late or after a restart therefore meets what
there is, says so in the place of the offer, and changes nothing.
"""

from uuid import UUID

from kernel.identifiers import MalformedIdentifier, parse_uuid
from kernel.money import exact
from user_worker.conversation import anything_else, choosing, receipt, refusals, resting_offer
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, answer_to, change
from user_worker.conversation.settings import slippage_of, slippage_said
from user_worker.domain.jobs import Press
from user_worker.domain.orders import (
    Draft,
    DraftState,
    Order,
    Refusal,
    Refused,
    Side,
    Wish,
)
from user_worker.domain.replies import Button, Reply
from user_worker.errors import DependencyDown

KIND = "draft"
CONFIRM, CANCEL, AGAIN = "confirm", "cancel", "again"
_PRICE_SIDES = frozenset({"pricing", "venue"})
"""Dependencies whose outage is told at once: a price is asked for anew, not waited for."""


async def offer(context: Context, wish: Wish) -> Page:
    """Resolve a wish and show what it would come to, or why not."""
    user_id = context.job.user_id
    if await context.services.freezes.frozen_since(user_id) is not None:
        return refusals.page(context, wish, Refusal(Refused.FROZEN))
    slippage = await slippage_of(context)
    try:
        offered = await context.services.trading.propose(
            context.claim, context.job.job_id, user_id, wish, slippage
        )
    except DependencyDown as outage:
        if outage.dependency not in _PRICE_SIDES:
            raise
        return choosing.prices_away(context)
    if isinstance(offered, Refusal):
        return refusals.page(context, wish, offered)
    return _open_page(context, offered)


async def pressed_confirm(context: Context, press: Press) -> list[Reply]:
    """Carry the draft out, and show the receipt in its place."""
    draft_id = draft_of(press.data)
    found: Order | Draft | None = None
    if draft_id is not None:
        found = await context.services.trading.confirm(
            context.claim, context.job.user_id, draft_id, context.texts.language
        )
    match found:
        case Order() as order:
            toast = receipt.short(context.texts, order)
            return change(context, press, receipt.page(context.texts, order), toast)
        case Draft() as draft:
            return _closed(context, press, draft)
        case None:
            return [answer_to(press, context.texts.plain("draft-not-yours"), alert=True)]


async def pressed_cancel(context: Context, press: Press) -> list[Reply]:
    """Withdraw the draft; one that became an order shows its receipt."""
    draft_id, user_id, trading = draft_of(press.data), context.job.user_id, context.services.trading
    draft = None
    if draft_id is not None:
        draft = await trading.cancel(context.claim, user_id, draft_id)
    if draft is None:
        return [answer_to(press, context.texts.plain("draft-not-yours"), alert=True)]
    if draft.state is DraftState.CONFIRMED:
        order = await trading.order(user_id, draft.receipt)
        if order is not None:
            toast = context.texts.plain("cancel-too-late")
            return change(context, press, receipt.page(context.texts, order), toast)
    return _closed(context, press, draft)


async def pressed_again(context: Context, press: Press) -> list[Reply]:
    """Offer the same anew, at the price of now, or once more at the price it waited for."""
    draft_id = draft_of(press.data)
    draft = None
    if draft_id is not None:
        draft = await context.services.trading.draft(context.job.user_id, draft_id)
    if draft is None:
        return await anything_else.stale_press(context, press)
    waited = await context.services.resting.read(context.job.user_id, draft.draft_id)
    if waited is not None:
        return change(
            context, press, await resting_offer.offer(context, draft.wish, waited.condition)
        )
    return change(context, press, await offer(context, draft.wish))


def draft_of(data: str) -> UUID | None:
    """Read which draft a button is about."""
    try:
        return parse_uuid(data.partition(":")[2])
    except MalformedIdentifier:
        return None


def _closed(context: Context, press: Press, draft: Draft) -> list[Reply]:
    state = "cancelled" if draft.state is DraftState.CANCELLED else "expired"
    text = context.texts.html(f"draft-{state}-{draft.wish.side.value}", symbol=draft.wish.symbol)
    again = Button(context.texts.plain("button-again"), f"{AGAIN}:{draft.draft_id}")
    return change(
        context, press, Page(KIND, text, ((again,),)), context.texts.plain(f"draft-{state}-short")
    )


def _open_page(context: Context, draft: Draft) -> Page:
    texts, side = context.texts, draft.wish.side
    with exact():
        net = draft.receive.value - draft.fee.value
    lifetime = (draft.expires_at - draft.made_at).total_seconds()
    base, currency = (
        (draft.receive.symbol, draft.spend.symbol)
        if side is Side.BUY
        else (draft.spend.symbol, draft.receive.symbol)
    )
    lines = [
        texts.html(f"draft-{side.value}", symbol=base),
        "",
        texts.html(
            "draft-spend" if draft.receive_max is None else "draft-spend-at-most",
            amount=texts.amount(draft.spend.value),
            symbol=draft.spend.symbol,
        ),
        texts.html("draft-receive", amount=texts.about(net), symbol=draft.receive.symbol),
        texts.html("draft-price", price=texts.price(draft.price), currency=currency, symbol=base),
        texts.html("draft-fee", amount=texts.about(draft.fee.value), symbol=draft.fee.symbol),
        texts.html(
            "draft-bound",
            amount=texts.about(draft.receive_min),
            symbol=draft.receive.symbol,
            slippage=slippage_said(texts, draft.slippage_basis_points),
        ),
        "",
        texts.html(
            "draft-valid", duration=texts.duration(lifetime), until=texts.clock(draft.expires_at)
        ),
    ]
    if draft.is_simulated:
        lines.append(texts.html("simulated-price"))
    buttons = (
        Button(texts.plain("button-confirm"), f"{CONFIRM}:{draft.draft_id}"),
        Button(texts.plain("button-cancel"), f"{CANCEL}:{draft.draft_id}"),
    )
    return Page(KIND, "\n".join(lines), (buttons,))
