"""Typed text that is no command: an answer the dialogue waits for, a ticker, an order in words.

$100            after "how much?"          the offer
btc             after "which?"             how much?
60000           after "at which price?"    the offer, or the alert
buy btc $100    at any time                as /buy BTC $100
BTC             at any time                the card
7K3M-9Q2X       at any time                the receipt
$100            when nothing was asked     please start again
"""

from user_worker.conversation import alerts, buying, card, choosing, dialogue, receipt, resting
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, send
from user_worker.domain.amounts import Problem, Unreadable, read_size
from user_worker.domain.jobs import Text
from user_worker.domain.orders import RECEIPT_CHARACTERS, Side, read_receipt
from user_worker.domain.replies import Reply
from user_worker.domain.sessions import AwaitingAmount, AwaitingSymbol, AwaitingWords
from user_worker.domain.symbols import TYPED_CHARACTERS_MAX, Found, NotFound, find_symbol
from user_worker.errors import DependencyDown

KIND = "text"
_VERBS = {
    "buy": Side.BUY,
    "kaufe": Side.BUY,
    "kaufen": Side.BUY,
    "sell": Side.SELL,
    "verkaufe": Side.SELL,
    "verkaufen": Side.SELL,
}
_NO_AMOUNT = frozenset({Problem.NOT_A_NUMBER, Problem.OTHER_UNIT, Problem.STRANGE_CHARACTERS})
_TICKER_MARKS = ("$", "#")


async def answer(context: Context, text: Text) -> list[Reply]:
    """Find out what was meant, and answer that."""
    typed = text.text.strip()
    verb, _, rest = typed.partition(" ")
    side = _VERBS.get(verb.lower())
    if side is not None:
        return send(context, await buying.begin(context, side, rest))
    match await dialogue.waited_for(context):
        case AwaitingAmount() as session:
            return send(context, await buying.answer_amount(context, session, typed))
        case AwaitingSymbol() as session:
            return send(context, await buying.answer_symbol(context, session, typed))
        case AwaitingWords(alerts.COMMAND) as session:
            return send(context, await alerts.answer_words(context, session, typed))
        case AwaitingWords() as session:
            return send(context, await resting.answer_words(context, session, typed))
        case None:
            return send(context, await _unasked(context, typed))


async def _unasked(context: Context, typed: str) -> Page:
    if len(typed) > RECEIPT_CHARACTERS and "-" in typed and read_receipt(typed) is not None:
        return await receipt.found(context, typed)
    page = await _ticker(context, typed)
    if page is not None:
        return page
    size = read_size(typed, "")
    if isinstance(size, Unreadable) and size.problem in _NO_AMOUNT | {Problem.TOO_LONG}:
        return Page(KIND, context.texts.html("plain-text"))
    return Page(KIND, context.texts.html("start-again"))


async def _ticker(context: Context, typed: str) -> Page | None:
    if not typed or len(typed) > TYPED_CHARACTERS_MAX or len(typed.split()) > 1:
        return None
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return choosing.prices_away(context) if typed.startswith(_TICKER_MARKS) else None
    match find_symbol(typed, instruments.keys()):
        case Found(symbol):
            return await card.card(context, instruments[symbol])
        case NotFound(suggestions) as found if suggestions or typed[1:].isalpha():
            if suggestions or typed.startswith(_TICKER_MARKS):
                return choosing.not_found(
                    context, typed, found, lambda symbol: f"{card.KIND}:{symbol}"
                )
    return None
