"""What a user reads of an order that ended when nobody waited for it any more: its receipt."""

from user_worker.conversation import receipt
from user_worker.conversation.texts import fitting_language, texts_in
from user_worker.domain.orders import Order
from user_worker.domain.replies import Reply, SendText


def notice_of(order: Order, language: str) -> list[Reply]:
    """Tell the end of an order in a language, or in the first one when none fits."""
    page = receipt.page(texts_in(fitting_language(language, language)), order)
    return [SendText(page.text, keyboard=page.keyboard, message_key=f"notice:{order.order_id}")]
