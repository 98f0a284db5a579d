"""Orders, what is traded, and what the venue says of an order. No I/O.

An order id has one outcome, the first, and keeps it: filled, refused or tombstoned. Whether a
submission is the same order again is decided by a fingerprint over named fields; the claim is not
among them, since the next owner of the shard sends the same order under a newer one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from kernel.money import FRACTION_DIGITS_MAX, AssetId, format_amount
from kernel.sharding import Claim
from pricing.domain import Quote, is_symbol
from pricing.paper_venue.errors import MalformedVenue

FINGERPRINT_VERSION = 1
"""Raised when the named fields or their spelling change; older rows need their own one then."""
DEPTH_DIGITS_MAX = 15


class Side(StrEnum):
    """Which way an order goes; the words of `venue.orders`."""

    BUY = "buy"
    SELL = "sell"


class Refusal(StrEnum):
    """Why an order is not executed; the words of `venue.orders`."""

    SLIPPAGE = "slippage"
    STALE_PRICE = "stale_price"
    UNKNOWN_SYMBOL = "unknown_symbol"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"


class State(StrEnum):
    """What an order id stands for; the words of `venue.orders`. All are final."""

    FILLED = "filled"
    REFUSED = "refused"
    TOMBSTONED = "tombstoned"


@dataclass(frozen=True, slots=True)
class Asset:
    """Something that is held, with the digits after the point of its smallest unit."""

    asset_id: AssetId
    decimals: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something that is traded: a base asset for a quote currency."""

    symbol: str
    base: Asset
    currency: Asset
    depth: Decimal
    """Worth of the orders that stand on each side of the market, in quote currency: an order of
    one percent of it is executed one percent worse (`execution`)."""

    def spent(self, side: Side) -> Asset:
        """What an order of this side spends."""
        return self.currency if side is Side.BUY else self.base

    def received(self, side: Side) -> Asset:
        """What an order of this side receives."""
        return self.base if side is Side.BUY else self.currency


@dataclass(frozen=True, slots=True)
class Amount:
    """An exact amount of one asset."""

    asset_id: AssetId
    value: Decimal


@dataclass(frozen=True, slots=True)
class Order:
    """A market order, as sent."""

    order_id: UUID
    user_id: UUID
    side: Side
    symbol: str
    spend: Amount
    """What may be spent, above 0."""
    receive_min: Amount
    """Less than this, before the fee, is refused."""
    receive_max: Decimal | None
    """The most to receive, before the fee, in the asset of `receive_min`."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large an order is: one of the two at least."""

    spend: Decimal | None = None
    """This much is spent, or as much of it as `receive_max` takes."""
    receive_max: Decimal | None = None
    """This much is received, before the fee; less when `spend` does not suffice."""


@dataclass(frozen=True, slots=True)
class Fill:
    """How an order was, or would be, executed."""

    spent: Amount
    received: Amount
    """Before the fee."""
    fee: Amount
    """In the asset received, less than what is received."""
    price: Decimal
    """Quote currency per unit of base asset, spread and slippage included."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an order is not executed."""

    reason: Refusal
    bound: Amount | None = None
    """With TOO_SMALL and TOO_LARGE: what was met, in quote currency."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would do, and the quote that says so: none when the symbol is unknown."""

    result: Fill | Refused
    quote: Quote | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an order id stands for. A fill with FILLED, a refusal with REFUSED, else neither."""

    state: State
    fill: Fill | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """An outcome for an order id: kept if it is the first. Without an order it is a tombstone."""

    claim: Claim
    order_id: UUID
    outcome: Outcome
    order: Order | None = None
    quote: Quote | None = None
    """The quote behind the outcome."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept for an order id, as a proposal is answered with it."""

    outcome: Outcome
    is_first: bool
    """Whether this proposal made it so."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the venue asks of every order; each documented in the settings."""

    half_spread_basis_points: int
    fee_basis_points: int
    worth_min: Decimal
    worth_max: Decimal
    quote_age_max: timedelta


def fingerprint(order: Order) -> bytes:
    """Give SHA-256 over the order's fields, each amount in its one spelling.

    No field can hold the separator: ids, words, symbols and plain decimals have no line breaks.
    """
    fields = (
        str(order.order_id),
        str(order.user_id),
        order.side.value,
        order.symbol,
        order.spend.asset_id,
        format_amount(order.spend.value),
        order.receive_min.asset_id,
        format_amount(order.receive_min.value),
        "" if order.receive_max is None else format_amount(order.receive_max),
    )
    return hashlib.sha256("\n".join(fields).encode()).digest()


def read_instruments(
    lines: Sequence[str], currency_symbol: str, currency_decimals: int
) -> dict[str, Instrument]:
    """Read "BTC:8:400000000": symbol, decimals of its asset, depth in quote currency.

    Raises MalformedVenue with a sentence for the person who wrote it.
    """
    currency = Asset(paper_asset_id(currency_symbol), currency_decimals)
    instruments: dict[str, Instrument] = {}
    for line in lines:
        instrument = _read_instrument(line, currency)
        if instrument.symbol in instruments or instrument.base == currency:
            raise MalformedVenue(f"the paper venue cannot trade {instrument.symbol} so or twice")
        instruments[instrument.symbol] = instrument
    return instruments


def paper_asset_id(symbol: str) -> AssetId:
    """Name the play-money asset of a symbol, as the ledger's registry does."""
    return AssetId(f"paper:{symbol}")


def _read_instrument(line: str, currency: Asset) -> Instrument:
    symbol, _, numbers = line.partition(":")
    decimals, _, depth = numbers.partition(":")
    if (
        not is_symbol(symbol)
        or not _is_whole(decimals, digits_max=2)
        or int(decimals) > FRACTION_DIGITS_MAX
        or not _is_whole(depth, digits_max=DEPTH_DIGITS_MAX)
        or int(depth) == 0
    ):
        raise MalformedVenue(
            f"the paper venue's {line!a} is not SYMBOL:DECIMALS:DEPTH, for example BTC:8:400000000"
        )
    base = Asset(paper_asset_id(symbol), int(decimals))
    return Instrument(symbol, base, currency, Decimal(depth))


def _is_whole(text: str, digits_max: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= digits_max
