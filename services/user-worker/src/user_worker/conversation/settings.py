"""/settings: the language and how far a price may move, chosen by buttons in place.

`settings:language:<language>` and `settings:slippage:<basis points>`. A press counts only under a
message this command sent, as with /language.
"""

from decimal import Decimal

from kernel.money import exact
from user_worker.conversation import anything_else
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, change, send
from user_worker.conversation.texts import LANGUAGES, Texts, texts_in
from user_worker.domain.jobs import Command, Press
from user_worker.domain.replies import Button, Keyboard, Reply

KIND = "settings"
CHECK_MARK = "✓ "
SLIPPAGE_DEFAULT_BASIS_POINTS = 100
"""One per cent: more than a calm market moves between the offer and the press."""
SLIPPAGES_BASIS_POINTS = (50, SLIPPAGE_DEFAULT_BASIS_POINTS, 300)


async def answer(context: Context, _command: Command) -> list[Reply]:
    """Show what is chosen."""
    return send(context, _page(context.texts, await slippage_of(context)))


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Keep a choice, and show it."""
    _, what, value, *_ = [*press.data.split(":"), "", ""]
    texts, user_id = context.texts, context.job.user_id
    is_ours = press.message_key.startswith(f"{KIND}:")
    if is_ours and what == "language" and value in LANGUAGES:
        await context.preferences.choose_language(context.claim, user_id, value)
        texts = texts_in(value)
    elif is_ours and what == "slippage" and value in map(str, SLIPPAGES_BASIS_POINTS):
        await context.preferences.choose_slippage(context.claim, user_id, int(value))
    else:
        return await anything_else.stale_press(context, press)
    page = _page(texts, await slippage_of(context))
    return change(context, press, page, texts.plain("settings-kept"))


async def slippage_of(context: Context) -> int:
    """Read how far a price may move against the user's orders, in basis points."""
    chosen = await context.preferences.slippage_basis_points(context.job.user_id)
    return SLIPPAGE_DEFAULT_BASIS_POINTS if chosen is None else chosen


def slippage_said(texts: Texts, basis_points: int) -> str:
    """Write a slippage in per cent, without digits that say nothing."""
    with exact():
        ratio = Decimal(basis_points) / 10_000
    hundredths = 100
    digits = 0 if basis_points % hundredths == 0 else 1 if basis_points % 10 == 0 else 2
    return texts.percent(ratio, digits)


def _page(texts: Texts, slippage: int) -> Page:
    text = texts.html(
        "settings",
        language=LANGUAGES[texts.language],
        slippage=slippage_said(texts, slippage),
    )
    return Page(KIND, text, _keyboard(texts, slippage))


def _keyboard(texts: Texts, chosen: int) -> Keyboard:
    languages = tuple(
        Button(_marked(name, language == texts.language), f"{KIND}:language:{language}")
        for language, name in LANGUAGES.items()
    )
    slippages = tuple(
        Button(_marked(slippage_said(texts, points), points == chosen), f"{KIND}:slippage:{points}")
        for points in SLIPPAGES_BASIS_POINTS
    )
    return (languages, slippages)


def _marked(name: str, is_chosen: bool) -> str:
    return (CHECK_MARK if is_chosen else "") + name
