"""How plans are put into words, for /dca and for notices."""

from user_worker.conversation.texts import Texts
from user_worker.domain.orders import Money, Size
from user_worker.domain.plan_words import DAY, HOUR, WEEK
from user_worker.domain.rules import PATIENCE_SECONDS_MAX
from user_worker.domain.symbols import CURRENCY

_NAMED = {HOUR: "hourly", DAY: "daily", WEEK: "weekly"}
PERIODS = tuple(_NAMED)
"""What can be pressed."""


def what_said(texts: Texts, symbol: str, size: Size) -> str:
    """Write what is bought: "BTC for 50 USDT", "0.001 BTC"."""
    if isinstance(size, Money):
        amount = texts.amount(size.value)
        return texts.plain("plan-what-money", symbol=symbol, amount=amount, currency=CURRENCY)
    return texts.plain("plan-what-units", symbol=symbol, amount=texts.amount(size.value))


def period_said(texts: Texts, seconds: int) -> str:
    """Write how often: "every day", "every 6 hours"."""
    if seconds in _NAMED:
        return texts.plain(f"plan-period-{_NAMED[seconds]}")
    return texts.plain("plan-period", duration=texts.duration(seconds))


def patience_said(texts: Texts, period_seconds: int) -> str:
    """Write how long a purchase waits for a price."""
    return texts.duration(min(period_seconds / 2, PATIENCE_SECONDS_MAX))
