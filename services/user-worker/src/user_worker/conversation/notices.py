"""What a user reads though no job asked: notes, and the receipt of an order that ended when nobody
waited for it any more.
"""

from user_worker.conversation import receipt, rule_notices
from user_worker.conversation.texts import Texts, fitting_language, texts_in
from user_worker.domain.notes import (
    AlertExpired,
    AlertReached,
    CopiesMissed,
    CopyEnded,
    CopySkipped,
    Note,
    PlanFinished,
    PlanPaused,
    RestingExpired,
    RestingPlaced,
    RunSkipped,
    UnknownNote,
)
from user_worker.domain.orders import Order
from user_worker.domain.replies import Button, Reply, SendText
from user_worker.trading_ports import EndEvent, Event, NoteEvent


class UnreadableNote(Exception):  # noqa: N818 (it is the note that is unreadable)
    """A note of a kind this version does not know: left for one that does."""


def notice_of(event: Event, language: str) -> list[Reply]:
    """Tell an event in a language, or in the first one when none fits. Raises UnreadableNote."""
    texts = texts_in(fitting_language(language, language))
    match event:
        case EndEvent(order=order):
            return _end(texts, order)
        case NoteEvent(event_id=event_id, note=note):
            if isinstance(note, UnknownNote):
                raise UnreadableNote(note.kind)
            text, button = _said(texts, note)
            return [SendText(text, ((button,),), message_key=f"notice:{event_id}")]


def _end(texts: Texts, order: Order) -> list[Reply]:
    page = receipt.page(texts, order)
    return [SendText(page.text, keyboard=page.keyboard, message_key=f"notice:{order.order_id}")]


def _said(texts: Texts, note: Note) -> tuple[str, Button]:
    match note:
        case AlertReached():
            lines = [
                texts.html(
                    f"alert-reached-{note.direction}",
                    symbol=note.symbol,
                    price=texts.price(note.price),
                    quoted=texts.price(note.quoted),
                    currency=note.currency,
                )
            ]
            if note.is_simulated:
                lines.append(texts.html("simulated-price"))
            return "\n".join(lines), _price_button(texts, note.symbol)
        case AlertExpired():
            text = texts.html("alert-expired", symbol=note.symbol, price=texts.price(note.price))
            return text, _price_button(texts, note.symbol)
        case RestingExpired():
            text = texts.html(
                "resting-ran-out",
                what=texts.plain(f"resting-{note.resting}-{note.side}"),
                symbol=note.symbol,
                price=texts.price(note.trigger_price),
                currency=note.currency,
                receipt=note.receipt,
            )
            return text, _price_button(texts, note.symbol)
        case RestingPlaced():
            text = texts.html(
                "resting-placed-note",
                what=texts.plain(f"resting-{note.resting}-{note.side}"),
                symbol=note.symbol,
                receipt=note.receipt,
            )
            return text, Button(texts.plain("button-orders"), "do:orders")
        case (
            RunSkipped()
            | PlanPaused()
            | PlanFinished()
            | CopySkipped()
            | CopiesMissed()
            | CopyEnded()
        ):
            return rule_notices.said(texts, note)


def _price_button(texts: Texts, symbol: str) -> Button:
    return Button(texts.plain("button-price", symbol=symbol), f"card:{symbol}")
