"""Pictures under their captions, and the caption alone when a picture cannot be drawn."""

from collections.abc import Awaitable

from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, send, send_picture
from user_worker.conversation.texts import Texts
from user_worker.domain.pictures import Labels
from user_worker.domain.replies import Reply
from user_worker.errors import PictureFailed


async def drawn(context: Context, page: Page, picture: Awaitable[bytes]) -> list[Reply]:
    """Send a page under its picture; without it when drawing fails."""
    try:
        image = await picture
    except PictureFailed:
        return send(context, page)
    return send_picture(context, page, image)


def labels(texts: Texts) -> Labels:
    """Give the ways figures are written in pictures."""
    return Labels(
        amount=texts.price,
        percent=lambda ratio: texts.percent(ratio, 1),
        time=texts.time_of_day,
        day=texts.day,
    )
