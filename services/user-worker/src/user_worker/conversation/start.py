"""/start: make sure that the user has a wallet, an account and his play money, and say so.

Safe to repeat: whoever sends it again meets the same wallet and account, and the faucet gives once.
"""

from decimal import Decimal

from user_worker.conversation import card, panic
from user_worker.conversation.context import Context, together
from user_worker.conversation.page import Page, send
from user_worker.conversation.texts import visible
from user_worker.domain.jobs import Command
from user_worker.domain.market import Quote
from user_worker.domain.orders import Coins
from user_worker.domain.replies import Button, Keyboard, Reply

KIND = "start"
PLAY_MONEY = Coins("paper:USDT", "USDT", Decimal(10_000))
"""What a new user gets from the faucet, once."""
SHOWN_SYMBOL = "BTC"


async def answer(context: Context, _command: Command) -> list[Reply]:
    """Welcome the user: address, balance, a price, who can move the funds, how to leave."""
    claim, user_id, texts = context.claim, context.job.user_id, context.texts
    address, (is_gift, balance), quote = await together(
        context.services.wallet.ensure_wallet(claim, user_id),
        _open_account(context),
        card.quote_of(context, SHOWN_SYMBOL),
    )
    name, frozen = visible(context.job.display_name), await panic.line(context)
    paragraphs = (
        texts.html("start-welcome-name", name=name) if name else texts.html("start-welcome"),
        texts.html("start-wallet", address=address),
        texts.html(
            "start-gift" if is_gift else "start-balance",
            balance=texts.amount(balance),
            gift=texts.amount(PLAY_MONEY.value),
        ),
        *([frozen] if frozen else []),
        _price(context, quote),
        texts.html("start-custody"),
        texts.html("start-next"),
    )
    return send(context, Page(KIND, "\n\n".join(paragraphs), _keyboard(context)))


async def _open_account(context: Context) -> tuple[bool, Decimal]:
    claim, user_id, ledger = context.claim, context.job.user_id, context.services.ledger
    await ledger.ensure_accounts(claim, user_id, [PLAY_MONEY.asset_id])
    is_gift = await ledger.open_faucet(claim, user_id, PLAY_MONEY)
    (balance,) = await ledger.ensure_accounts(claim, user_id, [PLAY_MONEY.asset_id])
    return is_gift, balance.posted


def _price(context: Context, quote: Quote | None) -> str:
    if quote is None:
        return context.texts.html("start-price-unknown", symbol=SHOWN_SYMBOL)
    return context.texts.html(
        "start-price-simulated" if quote.is_simulated else "start-price",
        symbol=SHOWN_SYMBOL,
        price=context.texts.price(quote.price),
        currency=quote.currency,
    )


def _keyboard(context: Context) -> Keyboard:
    texts = context.texts
    return (
        (
            Button(texts.plain("button-buy", symbol=SHOWN_SYMBOL), f"buy:{SHOWN_SYMBOL}"),
            Button(texts.plain("button-price", symbol=SHOWN_SYMBOL), f"card:{SHOWN_SYMBOL}"),
        ),
        (
            Button(texts.plain("button-portfolio"), "do:portfolio"),
            Button(texts.plain("button-help"), "do:help"),
        ),
    )
