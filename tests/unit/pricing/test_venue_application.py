"""What the venue decides before the database is asked, with a store that keeps the first."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from kernel.money import AssetId
from kernel.sharding import Claim
from pricing.domain import Quote, Source
from pricing.errors import NoQuotes
from pricing.paper_venue.application import BatchLimits, Venue
from pricing.paper_venue.domain import (
    Amount,
    Kept,
    Order,
    Outcome,
    Proposal,
    Refusal,
    Refused,
    Side,
    Size,
    State,
    Terms,
    read_instruments,
)
from pricing.paper_venue.errors import NoPrice

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TERMS = Terms(5, 10, Decimal(1), Decimal(1000), timedelta(seconds=10))
CLAIM = Claim("default.main", 0, 1)


@dataclass
class Memory:
    """Keeps the first proposal of an id."""

    kept: dict[UUID, Proposal] = field(default_factory=dict)
    batches: int = 0

    async def keep(self, proposals: Sequence[Proposal]) -> list[Kept | Exception]:
        """See application.OrderStore."""
        self.batches += 1
        answers: list[Kept | Exception] = []
        for proposal in proposals:
            first = self.kept.setdefault(proposal.order_id, proposal)
            answers.append(Kept(first.outcome, first is proposal))
        return answers

    async def find(self, order_id: UUID) -> Outcome | None:
        """See application.OrderStore."""
        found = self.kept.get(order_id)
        return None if found is None else found.outcome


@dataclass
class Prices:
    """What the quote side says."""

    quotes: list[Quote]
    silent: bool = False

    def latest(self, symbols: Sequence[str]) -> list[Quote]:
        """See application.Quotes."""
        if self.silent:
            raise NoQuotes(symbols)
        return [quote for quote in self.quotes if quote.symbol in symbols]


@pytest.fixture
def memory() -> Memory:
    """An empty store."""
    return Memory()


@pytest.fixture
def prices() -> Prices:
    """Bitcoin at 50,000 and an ether that nobody quotes."""
    return Prices([Quote("BTC", "USDT", Decimal(50_000), NOON, Source.SIMULATED)])


@pytest.fixture
async def venue(memory: Memory, prices: Prices) -> AsyncIterator[Venue]:
    """A venue that trades both."""
    instruments = read_instruments(["BTC:8:400000000", "ETH:18:200000000"], "USDT", 6)
    limits = BatchLimits(entries_max=10, queue_max=100)
    venue = Venue(instruments, TERMS, prices, memory, limits, now=lambda: NOON)
    async with venue.batcher:
        yield venue


def order(symbol: str = "BTC") -> Order:
    """An order to buy for 100."""
    return Order(
        uuid4(),
        uuid4(),
        Side.BUY,
        symbol,
        Amount(AssetId("paper:USDT"), Decimal(100)),
        Amount(AssetId(f"paper:{symbol}"), Decimal(0)),
        None,
    )


def counted(outcome: str) -> float:
    """How many orders met this outcome since the test process began."""
    return REGISTRY.get_sample_value("purser_venue_orders_total", {"outcome": outcome}) or 0.0


@pytest.mark.parametrize("symbol", ["DOGE", "ETH"])
async def test_what_is_not_traded_or_never_quoted_is_an_unknown_symbol(
    symbol: str, venue: Venue, memory: Memory
) -> None:
    """A refusal that is kept like any other; a preview says the same."""
    sent = order(symbol)
    outcome = await venue.submit(CLAIM, sent)
    seen = venue.preview(Side.BUY, symbol, Size(spend=Decimal(100)))

    assert Outcome(State.REFUSED, refusal=Refusal.UNKNOWN_SYMBOL) == outcome
    assert outcome == memory.kept[sent.order_id].outcome
    assert (Refused(Refusal.UNKNOWN_SYMBOL), None) == (seen.result, seen.quote)


async def test_without_a_price_nothing_is_decided(
    venue: Venue, memory: Memory, prices: Prices
) -> None:
    """Silence, or a price in another currency: try again, and the id stays free."""
    sent = order()
    prices.silent = True
    with pytest.raises(NoQuotes):
        await venue.submit(CLAIM, sent)
    prices.silent = False
    prices.quotes = [replace(prices.quotes[0], currency="EUR")]
    with pytest.raises(NoPrice):
        await venue.submit(CLAIM, sent)
    with pytest.raises(NoPrice):
        venue.preview(Side.BUY, "BTC", Size(spend=Decimal(100)))

    assert memory.kept == {}
    assert await venue.inquire(sent.order_id) is None


async def test_an_order_remembers_the_quote_it_was_executed_at(
    venue: Venue, memory: Memory, prices: Prices
) -> None:
    """So that its price can be explained later."""
    sent = order()
    await venue.submit(CLAIM, sent)

    assert (
        Proposal(CLAIM, sent.order_id, memory.kept[sent.order_id].outcome, sent, prices.quotes[0])
        == (memory.kept[sent.order_id])
    )


async def test_each_order_is_counted_once_by_what_became_of_it(venue: Venue) -> None:
    """Replays apart, so that the sums are orders."""
    before = {
        word: counted(word) for word in ("filled", "unknown_symbol", "tombstoned", "repeated")
    }
    sent, given_up = order(), uuid4()
    await venue.submit(CLAIM, sent)
    await venue.submit(CLAIM, sent)
    await venue.submit(CLAIM, order("DOGE"))
    await venue.tombstone(CLAIM, given_up)
    await venue.tombstone(CLAIM, given_up)

    after = {word: counted(word) - count for word, count in before.items()}
    assert {"filled": 1, "unknown_symbol": 1, "tombstoned": 1, "repeated": 2} == after
