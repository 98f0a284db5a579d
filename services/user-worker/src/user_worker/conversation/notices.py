"""What a user reads of an order that ended when nobody waited for it any more."""

from user_worker.conversation.texts import fitting_language, texts_in
from user_worker.domain.orders import Order, OrderState, Side
from user_worker.domain.replies import Reply, SendText


def notice_of(order: Order, language: str) -> list[Reply]:
    """Tell the end of an order in a language, or in the first one when none fits."""
    texts = texts_in(fitting_language(language, language))
    receipt = order.draft.receipt
    arguments = {
        "symbol": order.draft.wish.symbol,
        "receipt": receipt,
        "command": receipt.replace("-", ""),
    }
    if order.state is not OrderState.FILLED or order.spent is None or order.received is None:
        return [SendText(texts.html("notice-rejected", **arguments))]
    is_buy = order.draft.wish.side is Side.BUY
    spent = f"{texts.amount(order.spent)} {order.draft.spend.symbol}"
    received = f"{texts.amount(order.received)} {order.draft.receive.symbol}"
    message = "notice-bought" if is_buy else "notice-sold"
    return [SendText(texts.html(message, spent=spent, received=received, **arguments))]
