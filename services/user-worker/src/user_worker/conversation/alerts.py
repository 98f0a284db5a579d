"""/alerts: prices to be told of, once.

    /alerts             those that wait, each with a button that removes it: `alert:<id>`
    /alerts BTC         at which price?
    /alerts BTC 70000   set; whether the price has to rise or to fall, the present one says

A button `alerts:<words>` says the command with words. An alert has its job's id, so that a job that
runs again finds the one it set.
"""

from decimal import Decimal

from user_worker.conversation import anything_else, choosing, dialogue, refusals
from user_worker.conversation.card import quote_of
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, answer_to, below, change, rows_of, send
from user_worker.conversation.resting_offer import order_of
from user_worker.domain.jobs import Command, Press
from user_worker.domain.market import Instrument
from user_worker.domain.orders import Refusal
from user_worker.domain.replies import Button, Reply
from user_worker.domain.resting import Alert, Direction
from user_worker.domain.resting_terms import is_in_reach
from user_worker.domain.resting_words import price_text, read_price, read_words
from user_worker.domain.sessions import AwaitingWords
from user_worker.errors import DependencyDown
from user_worker.resting_ports import NewAlert

KIND = "alerts"
REMOVE = "alert"
COMMAND = "alerts"
_DATA_BYTES_MAX = 64
_STAYING = "price"


async def answer(context: Context, command: Command) -> list[Reply]:
    """List the alerts, or go as far towards a new one as what was typed allows."""
    return send(context, await begin(context, command.arguments))


async def answer_words(context: Context, session: AwaitingWords, typed: str) -> Page:
    """Take a typed line as what goes on with the words said before."""
    return await begin(context, f"{session.words} {typed}")


async def pressed_words(context: Context, press: Press) -> list[Reply]:
    """Do what the words of a button say."""
    page = await begin(context, press.data.partition(":")[2])
    if press.message_key.partition(":")[0] == _STAYING:
        return below(context, press, page)
    return change(context, press, page)


async def pressed_remove(context: Context, press: Press) -> list[Reply]:
    """Remove an alert and show the others, in place."""
    alert_id = order_of(press.data)
    if alert_id is None:
        return await anything_else.stale_press(context, press)
    was_waiting = await context.services.resting.remove_alert(
        context.claim, context.job.user_id, alert_id
    )
    toast = context.texts.plain("alert-removed" if was_waiting else "alert-gone")
    if press.message_key.partition(":")[0] != KIND:
        return [answer_to(press, toast)]
    return change(context, press, await _listed(context), toast)


async def begin(context: Context, typed: str) -> Page:
    """List what waits, ask for what is missing, or set an alert."""
    if not typed.strip():
        return await _listed(context)
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return choosing.prices_away(context)
    words = read_words(typed, instruments)
    said = words.price or words.amount
    chosen = await choosing.choose(
        context,
        words.symbol,
        context.texts.html("price-which"),
        lambda symbol: _data_of(symbol, said),
    )
    if isinstance(chosen, Page):
        if not words.symbol:
            await dialogue.wait_for(context, AwaitingWords(COMMAND, said))
        return chosen
    price = read_price(said) if said else None
    if isinstance(price, Decimal):
        return await _set(context, chosen, price)
    await dialogue.wait_for(context, AwaitingWords(COMMAND, chosen.symbol))
    if price is not None:
        buttons = [
            Button(
                context.texts.plain_amount(reading), _data_of(chosen.symbol, price_text(reading))
            )
            for reading in price
        ]
        return Page(KIND, context.texts.html("amount-ambiguous"), rows_of(buttons, 2))
    return await _ask_price(context, chosen, is_unreadable=bool(said))


async def _ask_price(context: Context, instrument: Instrument, *, is_unreadable: bool) -> Page:
    texts = context.texts
    lines = [texts.html("price-unreadable")] if is_unreadable else []
    lines.append(texts.html("alert-at-which-price", symbol=instrument.symbol))
    quote = await quote_of(context, instrument.symbol)
    if quote is not None:
        now = texts.price(quote.price, instrument.price_digits)
        lines.append(texts.html("resting-now", price=now, currency=quote.currency))
    return Page(KIND, "\n".join(lines))


async def _set(context: Context, instrument: Instrument, price: Decimal) -> Page:
    texts, symbol = context.texts, instrument.symbol
    quote = await quote_of(context, symbol)
    if quote is None:
        return choosing.prices_away(context)
    await dialogue.answered(context)
    now = texts.price(quote.price, instrument.price_digits)
    if price == quote.price or not is_in_reach(price, quote.price):
        message = "alert-there" if price == quote.price else "alert-out-of-reach"
        return Page(KIND, texts.html(message, symbol=symbol, price=now))
    direction = Direction.AT_OR_ABOVE if price > quote.price else Direction.AT_OR_BELOW
    new = NewAlert(context.job.job_id, symbol, direction, price, texts.language)
    alert = await context.services.resting.set_alert(context.claim, context.job.user_id, new)
    if isinstance(alert, Refusal):
        return Page(KIND, refusals.sentence(texts, alert), ((_list_button(context),),))
    lines = [
        texts.html(
            f"alert-set-{alert.direction.value}",
            symbol=symbol,
            price=texts.price(alert.price),
            currency=quote.currency,
        ),
        texts.html("resting-now", price=now, currency=quote.currency),
        texts.html("alert-until", moment=texts.moment(alert.expires_at)),
    ]
    remove = Button(texts.plain("button-remove"), f"{REMOVE}:{alert.alert_id}")
    return Page(KIND, "\n".join(lines), ((remove, _list_button(context)),))


async def _listed(context: Context) -> Page:
    texts = context.texts
    alerts = await context.services.resting.alerts(context.job.user_id)
    lines = [texts.html("alerts-title", count=str(len(alerts)))]
    lines.append(texts.html("alerts-example" if alerts else "alerts-none"))
    buttons = [
        Button(f"✗ {_said(context, alert)}", f"{REMOVE}:{alert.alert_id}") for alert in alerts
    ]
    return Page(KIND, "\n".join(lines), rows_of(buttons, 2))


def _said(context: Context, alert: Alert) -> str:
    arrow = "↑" if alert.direction is Direction.AT_OR_ABOVE else "↓"
    return f"{alert.symbol} {arrow} {context.texts.price(alert.price)}"


def _list_button(context: Context) -> Button:
    return Button(context.texts.plain("button-alerts"), f"{COMMAND}:")


def _data_of(symbol: str, amount: str) -> str:
    data = f"{COMMAND}:{symbol} {amount}".rstrip()
    return data if len(data.encode()) <= _DATA_BYTES_MAX else f"{COMMAND}:{symbol}"
