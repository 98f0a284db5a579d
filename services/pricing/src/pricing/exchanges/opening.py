"""The door of the exchanges: opens them as one source of quotes."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp

from chassis.redis import Redis
from pricing.domain import SYMBOLS_PER_CALL_MAX, Source, Traded, is_symbol
from pricing.errors import MalformedMarket
from pricing.exchanges.binance import Binance
from pricing.exchanges.budget import Budget
from pricing.exchanges.dialect import Dialect
from pricing.exchanges.kraken import Kraken
from pricing.exchanges.line import Line
from pricing.exchanges.past import CALLS_PER_MINUTE as PAST_CALLS_PER_MINUTE
from pricing.exchanges.past import NAME as PAST_NAME
from pricing.exchanges.past import BinancePast
from pricing.exchanges.single_flight import OneAsker, SharedQuotes
from pricing.exchanges.source import ExchangeMarket
from pricing.exchanges.transport import Transport, open_session
from pricing.exchanges.turns import Turns
from pricing.settings import Settings

PRICE_DIGITS_MAX = 18


@asynccontextmanager
async def open_exchanges(
    settings: Settings, redis: Redis, cache: SharedQuotes
) -> AsyncIterator[OneAsker]:
    """Open the exchanges. Raises CannotStart."""
    instruments = read_instruments(settings.exchange_instruments, settings.quote_currency)
    step_seconds = settings.step_milliseconds / 1000
    async with open_session() as session:
        lines = [
            _line(settings, redis, session, instruments, *exchange)
            for exchange in (
                (Binance(), settings.binance_url, settings.binance_calls_per_minute),
                (Kraken(), settings.kraken_url, settings.kraken_calls_per_minute),
            )
        ]
        yield OneAsker(
            ExchangeMarket(
                instruments,
                lines,
                _past(settings, redis, session),
                Decimal(str(settings.exchange_deviation_max_percent)) / 100,
                settings.exchange_statements_min,
            ),
            cache,
            Turns(
                redis,
                Source.EXCHANGES,
                step_seconds=step_seconds,
                call_seconds_max=settings.exchange_timeout_seconds,
                wait_seconds=settings.share_timeout_seconds,
            ),
            patience_seconds=step_seconds,
            look_timeout_seconds=settings.share_timeout_seconds,
        )


def _line(
    settings: Settings,
    redis: Redis,
    session: aiohttp.ClientSession,
    instruments: Sequence[Traded],
    dialect: Dialect,
    url: str,
    calls_per_minute: int,
) -> Line:
    return Line(
        dialect,
        Transport(session, url, settings.exchange_timeout_seconds),
        Budget(
            redis, dialect.name, calls_per_minute, settings.share_timeout_seconds, time.monotonic
        ),
        {t.symbol: dialect.pair(t.symbol, t.currency) for t in instruments},
        time.monotonic,
    )


def _past(settings: Settings, redis: Redis, session: aiohttp.ClientSession) -> BinancePast:
    budget = Budget(
        redis,
        Binance.name,
        PAST_CALLS_PER_MINUTE,
        settings.share_timeout_seconds,
        time.monotonic,
        purpose=PAST_NAME,
    )
    transport = Transport(session, settings.binance_url, settings.exchange_timeout_seconds)
    return BinancePast(transport, budget, time.monotonic)


def read_instruments(lines: Sequence[str], currency: str) -> list[Traded]:
    """Read "BTC:2": a symbol and the digits after the point its price is shown with.

    Raises MalformedMarket with a sentence for the person who wrote it.
    """
    found: dict[str, Traded] = {}
    for line in lines:
        symbol, _, digits = line.partition(":")
        if not is_symbol(symbol) or not digits.isascii() or not digits.isdigit():
            raise MalformedMarket(f"an exchange's instrument {line!a} is not like BTC:2")
        if symbol in found or int(digits[:3]) > PRICE_DIGITS_MAX or len(digits) > 2:
            raise MalformedMarket(
                f"an exchange's instrument {line!a} is named twice or has more than "
                f"{PRICE_DIGITS_MAX} digits"
            )
        found[symbol] = Traded(symbol, currency, int(digits), Source.EXCHANGES)
    if not 1 <= len(found) <= SYMBOLS_PER_CALL_MAX:
        raise MalformedMarket(f"the exchanges need 1 to {SYMBOLS_PER_CALL_MAX} instruments")
    return list(found.values())
