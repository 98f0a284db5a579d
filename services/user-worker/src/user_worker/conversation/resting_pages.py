"""How resting orders are told: the offer, what waits, and what became of it."""

from decimal import Decimal

from kernel.money import exact
from user_worker.conversation.page import Page, rows_of
from user_worker.conversation.settings import slippage_said
from user_worker.conversation.texts import Texts
from user_worker.domain.amounts import size_text
from user_worker.domain.market import Quote
from user_worker.domain.orders import DraftState, Side
from user_worker.domain.replies import Button, Keyboard
from user_worker.domain.resting import EXPIRIES, RestingKind, RestingOrder, RestingState
from user_worker.domain.resting_words import RestingWords, price_text, written

KIND = "resting"
REST, UNREST = "rest", "unrest"
"""The kinds of the buttons that confirm and that cancel: `<kind>:<order id>`."""
COMMANDS = {
    RestingKind.LIMIT: "limit",
    RestingKind.STOP: "stop",
    RestingKind.TAKE_PROFIT: "tp",
}
"""What asks for each kind: a command, and the kind of the buttons that say it with words."""
CHOSEN = "✓ "
_EXPIRY_OF = {seconds: name for name, seconds in EXPIRIES.items()}
_DATA_BYTES_MAX = 64


def data_of(kind: RestingKind, words: RestingWords) -> str:
    """Give the data of the button that says so; empty when it is too long for one."""
    data = f"{COMMANDS[kind]}:{written(words)}"
    return data if len(data.encode()) <= _DATA_BYTES_MAX else ""


def words_of(resting: RestingOrder) -> RestingWords:
    """Give the words that ask for the same again."""
    wish, condition = resting.draft.wish, resting.condition
    return RestingWords(
        side=wish.side,
        symbol=wish.symbol,
        amount=size_text(wish.size),
        price=price_text(condition.price),
        expiry=_EXPIRY_OF.get(condition.lasts_seconds, ""),
    )


def name_of(texts: Texts, resting: RestingOrder) -> str:
    """Name what it is, without its symbol: "Limit buy of"."""
    return texts.plain(f"resting-{resting.condition.kind.value}-{resting.draft.wish.side.value}")


def currency_of(resting: RestingOrder) -> str:
    """Give what its price is in."""
    draft = resting.draft
    return (draft.spend if draft.wish.side is Side.BUY else draft.receive).symbol


def when(texts: Texts, resting: RestingOrder) -> str:
    """Say from where its price is met."""
    condition = resting.condition
    return texts.html(
        f"resting-when-{condition.direction.value}",
        symbol=resting.draft.wish.symbol,
        price=texts.price(condition.price),
        currency=currency_of(resting),
    )


def offer_page(texts: Texts, resting: RestingOrder, quote: Quote | None) -> Page:
    """Show what a wish comes to; `quote` is the present price, if it is known."""
    draft, condition = resting.draft, resting.condition
    with exact():
        net = draft.receive.value - draft.fee.value
    lines = [
        texts.html("resting-title", what=name_of(texts, resting), symbol=draft.wish.symbol),
        "",
        when(texts, resting),
    ]
    if quote is not None:
        lines.append(
            texts.html("resting-now", price=texts.price(quote.price), currency=quote.currency)
        )
    lines += [
        texts.html(
            "draft-spend" if draft.receive_max is None else "draft-spend-at-most",
            amount=texts.amount(draft.spend.value),
            symbol=draft.spend.symbol,
        ),
        texts.html("draft-receive", amount=texts.about(net), symbol=draft.receive.symbol),
        texts.html("draft-fee", amount=texts.about(draft.fee.value), symbol=draft.fee.symbol),
        _bound(texts, resting),
        "",
        texts.html("resting-holds-nothing"),
    ]
    if quote is not None and condition.direction.is_met(condition.price, quote.price):
        lines.append(texts.html("resting-met-already"))
    lifetime = (draft.expires_at - draft.made_at).total_seconds()
    lines.append(
        texts.html(
            "resting-lasts",
            duration=texts.duration(condition.lasts_seconds),
            lifetime=texts.duration(lifetime),
        )
    )
    if draft.is_simulated:
        lines.append(texts.html("simulated-price"))
    buttons = (
        Button(texts.plain("button-confirm"), f"{REST}:{resting.order_id}"),
        Button(texts.plain("button-cancel"), f"{UNREST}:{resting.order_id}"),
    )
    return Page(KIND, "\n".join(lines), (buttons, *_expiries(texts, resting)))


def page(texts: Texts, resting: RestingOrder) -> Page:
    """Show a resting order that is no order yet: it waits, or it is over, or never began."""
    symbol, what = resting.draft.wish.symbol, name_of(texts, resting)
    standing = _standing(resting)
    lines = [texts.html(f"resting-{standing}", what=what, symbol=symbol)]
    if standing == "waiting":
        lines += [
            when(texts, resting),
            texts.html(
                "draft-spend" if resting.draft.receive_max is None else "draft-spend-at-most",
                amount=texts.amount(resting.draft.spend.value),
                symbol=resting.draft.spend.symbol,
            ),
        ]
    if standing == "waiting" and resting.expires_at is not None:
        lines.append(texts.html("resting-until", moment=texts.moment(resting.expires_at)))
    if standing not in ("withdrawn", "offer-expired"):
        receipt_id = resting.draft.receipt
        reference = texts.html("receipt-id", receipt=receipt_id, typed=receipt_id.replace("-", ""))
        lines += ["", reference]
    return Page(KIND, "\n".join(lines), _keyboard(texts, resting, standing))


def short(texts: Texts, resting: RestingOrder) -> str:
    """Say in a word how it stands, for the answer to a press."""
    return texts.plain(f"resting-{_standing(resting)}-short")


def line(texts: Texts, resting: RestingOrder) -> str:
    """Tell it in a list."""
    draft = resting.draft
    return texts.html(
        "resting-line",
        what=name_of(texts, resting),
        symbol=draft.wish.symbol,
        when=texts.plain(
            f"resting-at-{resting.condition.direction.value}",
            price=texts.price(resting.condition.price),
            currency=currency_of(resting),
        ),
        spend=texts.amount(draft.spend.value),
        spent=draft.spend.symbol,
        until="" if resting.expires_at is None else texts.moment(resting.expires_at),
        receipt=draft.receipt,
    )


def _standing(resting: RestingOrder) -> str:
    if resting.state is not RestingState.OFFERED:
        return str(resting.state.value)
    return "withdrawn" if resting.draft.state is DraftState.CANCELLED else "offer-expired"


def _bound(texts: Texts, resting: RestingOrder) -> str:
    draft = resting.draft
    if resting.condition.kind is RestingKind.LIMIT:
        return texts.html("resting-bound-limit")
    least: Decimal = draft.receive_min
    return texts.html(
        "resting-bound-market",
        amount=texts.about(least),
        symbol=draft.receive.symbol,
        slippage=slippage_said(texts, draft.slippage_basis_points),
    )


def _expiries(texts: Texts, resting: RestingOrder) -> Keyboard:
    """Give the presets, the chosen one marked; none when the words are too long for buttons."""
    words, buttons = words_of(resting), []
    for name in EXPIRIES:
        data = data_of(
            resting.condition.kind,
            RestingWords(words.side, words.symbol, words.amount, words.price, name),
        )
        mark = CHOSEN if name == words.expiry else ""
        buttons.append(Button(mark + texts.plain(f"expiry-{name}"), data))
    return rows_of(buttons, len(EXPIRIES)) if all(button.data for button in buttons) else ()


def _keyboard(texts: Texts, resting: RestingOrder, standing: str) -> Keyboard:
    orders = Button(texts.plain("button-orders"), "do:orders")
    if standing == "waiting":
        cancel = Button(texts.plain("button-cancel"), f"{UNREST}:{resting.order_id}")
        return ((cancel, orders),)
    again = data_of(resting.condition.kind, words_of(resting))
    return ((Button(texts.plain("button-again"), again), orders),) if again else ((orders,),)
