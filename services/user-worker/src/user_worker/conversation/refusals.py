"""A sentence for each reason why a wish or an order is not carried out."""

from user_worker.conversation.context import Context
from user_worker.conversation.page import Page
from user_worker.conversation.texts import Texts
from user_worker.domain.orders import Refusal, Refused, Side, Wish
from user_worker.domain.replies import Button, Keyboard

KIND = "refused"
ASK_TO_RESUME = "panic:ask"
"""The button that asks whether to trade again: see `panic`."""
_ANOTHER_SIZE = frozenset(
    {
        Refused.INSUFFICIENT_FUNDS,
        Refused.TOO_SMALL,
        Refused.TOO_LARGE,
        Refused.TOO_PRECISE,
        Refused.LIMIT_EXCEEDED,
    }
)
"""Reasons another amount would mend."""
_COUNTS = frozenset({Refused.TOO_MANY_RESTING, Refused.TOO_MANY_ALERTS})
_PRICES = frozenset({Refused.ALREADY_PAST, Refused.OUT_OF_REACH})
"""Reasons whose bound is the present price."""


def sentence(texts: Texts, refusal: Refusal) -> str:
    """Say why, with the bound that was met where there is one."""
    name = f"refused-{refusal.reason.value}"
    if refusal.reason is Refused.NOTHING_TO_SPEND and refusal.symbol:
        return texts.html(f"{name}-of", symbol=refusal.symbol)
    if refusal.bound is None or refusal.reason not in _ANOTHER_SIZE | _COUNTS | _PRICES:
        return texts.html(name)
    if refusal.reason in _PRICES:
        price = f"{texts.price(refusal.bound)} {refusal.symbol}"
        return texts.html(f"{name}-bound", bound=price)
    if refusal.reason is Refused.TOO_PRECISE:
        digits = texts.amount(refusal.bound)
        return texts.html(f"{name}-bound", digits=digits, symbol=refusal.symbol)
    return texts.html(
        f"{name}-bound",
        bound=f"{texts.amount(refusal.bound)} {refusal.symbol}".rstrip(),
    )


def page(context: Context, wish: Wish, refusal: Refusal) -> Page:
    """Say why a wish is not carried out, and offer what may help."""
    texts = context.texts
    text = f"{sentence(texts, refusal)} {texts.html('nothing-changed')}"
    return Page(KIND, text, _keyboard(texts, wish, refusal.reason))


def _keyboard(texts: Texts, wish: Wish, reason: Refused) -> Keyboard:
    if reason is Refused.FROZEN:
        return ((Button(texts.plain("button-resume-trading"), ASK_TO_RESUME),),)
    price = Button(texts.plain("button-price", symbol=wish.symbol), f"card:{wish.symbol}")
    if reason is Refused.NOTHING_TO_SPEND and wish.side is Side.BUY:
        # Perhaps somebody new, who has not met the faucet.
        return ((Button(texts.plain("button-start"), "do:start"), price),)
    if reason not in _ANOTHER_SIZE:
        return ((price,),)
    again = Button(texts.plain("button-other-amount"), f"{wish.side.value}:{wish.symbol}")
    return ((again, price),)
