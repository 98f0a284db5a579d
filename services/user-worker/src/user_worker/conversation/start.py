"""/start: make sure that the user has a wallet and accounts, and say where they stand.

Safe to repeat: whoever sends it again meets the same wallet and accounts.
"""

from user_worker.conversation.context import Context, together
from user_worker.conversation.texts import visible
from user_worker.domain.jobs import Command
from user_worker.domain.market import Quote
from user_worker.domain.replies import Reply, SendText

PLAY_MONEY = "paper:USDT"
SHOWN_SYMBOL = "BTC"


async def answer(context: Context, _command: Command) -> list[Reply]:
    """Welcome the user: address, balance, a price, who can move the funds, how to leave."""
    claim, user_id, texts = context.claim, context.job.user_id, context.texts
    address, balances, quote = await together(
        context.services.wallet.ensure_wallet(claim, user_id),
        context.services.ledger.ensure_accounts(claim, user_id, [PLAY_MONEY]),
        context.services.pricing.quote(SHOWN_SYMBOL),
    )
    name = visible(context.job.display_name)
    paragraphs = (
        texts.html("start-welcome-name", name=name) if name else texts.html("start-welcome"),
        texts.html("start-wallet", address=address),
        texts.html("start-balance", balance=texts.amount(balances[0].posted)),
        _price(context, quote),
        texts.html("start-custody"),
        texts.html("start-next"),
    )
    return [SendText("\n\n".join(paragraphs), message_key=context.message_key("start"))]


def _price(context: Context, quote: Quote | None) -> str:
    if quote is None:
        return context.texts.html("start-price-unknown", symbol=SHOWN_SYMBOL)
    return context.texts.html(
        "start-price-simulated" if quote.is_simulated else "start-price",
        symbol=SHOWN_SYMBOL,
        price=context.texts.price(quote.price),
        currency=quote.currency,
    )
