"""What pricing, the ledger and the venue say of trading becomes what orders are decided by, over
real gRPC.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import grpc.aio
import pytest
from tests.unit.user_worker.fakes import CLAIM
from tests.unit.user_worker.fakes_orders import draft_of, order_of

from chassis.errors import TryAgain
from chassis.grpc_client import open_channel
from chassis.grpc_server import ServerSettings, serving
from chassis.telemetry import Telemetry
from purser.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from purser.money.v1 import money_pb2
from purser.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from purser.venue.v1 import venue_pb2, venue_pb2_grpc
from user_worker.clients import BooksClient, PricingClient, VenueClient
from user_worker.domain.carrying_out import BooksSaid, VenueSaid, VenueState
from user_worker.domain.market import Candle, Candles
from user_worker.domain.orders import OrderState, Refusal, Refused, Side, Units, Wish
from user_worker.domain.sizing import Asset, Preview, Question
from user_worker.errors import DependencyDown, RequestRefused
from user_worker.trading_ports import Listed

BTC_ASSET, USDT_ASSET = Asset("paper:BTC", "BTC", 8), Asset("paper:USDT", "USDT", 6)


class Saying(
    pricing_pb2_grpc.PricingServiceServicer,
    ledger_pb2_grpc.LedgerServiceServicer,
    venue_pb2_grpc.VenueServiceServicer,
):
    """Says what it was told to say."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.outcomes: list[str] = []
        self.operations: list[ledger_pb2.Operation] = []
        self.outcome = venue_pb2.OrderOutcome()
        self.submitted: list[venue_pb2.SubmitOrderRequest] = []
        self.preview = venue_pb2.PreviewOrderResponse()

    async def WatchQuotes(  # noqa: N802
        self, request: pricing_pb2.WatchQuotesRequest, context: object
    ) -> AsyncIterator[pricing_pb2.WatchQuotesResponse]:
        """Two answers, or the error."""
        if self.error is not None:
            raise self.error
        for symbol in [*request.symbols, *request.symbols]:
            yield pricing_pb2.WatchQuotesResponse(
                quotes=[pricing_pb2.Quote(symbol=symbol, price="1")]
            )

    async def ListInstruments(  # noqa: N802
        self, request: pricing_pb2.ListInstrumentsRequest, context: object
    ) -> pricing_pb2.ListInstrumentsResponse:
        """BTC."""
        btc = pricing_pb2.Instrument(symbol="BTC", currency="USDT", price_digits=2)
        return pricing_pb2.ListInstrumentsResponse(instruments=[btc])

    async def GetCandles(  # noqa: N802
        self, request: pricing_pb2.GetCandlesRequest, context: object
    ) -> pricing_pb2.GetCandlesResponse:
        """One candle."""
        candle = pricing_pb2.Candle(open="2", high="4", low="1", close="3")
        candle.begins_at.FromJsonString("2026-11-26T12:00:00Z")
        return pricing_pb2.GetCandlesResponse(
            candles=[candle], currency="USDT", source=pricing_pb2.QUOTE_SOURCE_EXCHANGES
        )

    async def ApplyOperations(  # noqa: N802
        self, request: ledger_pb2.ApplyOperationsRequest, context: object
    ) -> ledger_pb2.ApplyOperationsResponse:
        """Say what was told to say."""
        self.operations += request.operations
        return ledger_pb2.ApplyOperationsResponse(
            results=[
                ledger_pb2.OperationResult(outcome=ledger_pb2.OperationOutcome.Value(outcome))
                for outcome in self.outcomes
            ]
        )

    async def PreviewOrder(  # noqa: N802
        self, request: venue_pb2.PreviewOrderRequest, context: object
    ) -> venue_pb2.PreviewOrderResponse:
        """Say what was told to say."""
        return self.preview

    async def SubmitOrder(  # noqa: N802
        self, request: venue_pb2.SubmitOrderRequest, context: object
    ) -> venue_pb2.SubmitOrderResponse:
        """Say what was told to say."""
        self.submitted.append(request)
        return venue_pb2.SubmitOrderResponse(outcome=self.outcome)

    async def InquireOrder(  # noqa: N802
        self, request: venue_pb2.InquireOrderRequest, context: object
    ) -> venue_pb2.InquireOrderResponse:
        """Say what was told to say."""
        return venue_pb2.InquireOrderResponse(outcome=self.outcome)

    async def TombstoneOrder(  # noqa: N802
        self, request: venue_pb2.TombstoneOrderRequest, context: object
    ) -> venue_pb2.TombstoneOrderResponse:
        """Say what was told to say."""
        return venue_pb2.TombstoneOrderResponse(outcome=self.outcome)


@pytest.fixture
async def saying() -> AsyncIterator[tuple[Saying, grpc.aio.Channel]]:
    """The three services, and a channel to them."""
    servicer = Saying()  # type: ignore[abstract]  # only what is called here

    def add(server: grpc.aio.Server) -> None:
        pricing_pb2_grpc.add_PricingServiceServicer_to_server(servicer, server)
        ledger_pb2_grpc.add_LedgerServiceServicer_to_server(servicer, server)
        venue_pb2_grpc.add_VenueServiceServicer_to_server(servicer, server)

    settings = ServerSettings(drain_timeout_seconds=0.1)
    async with (
        serving(settings, add, Telemetry("fake", None, [])) as server,
        open_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield servicer, channel


async def test_quotes_are_watched_until_the_stream_ends_or_breaks(
    saying: tuple[Saying, grpc.aio.Channel],
) -> None:
    """An end is an end; what else happens to a stream is an outage."""
    servicer, channel = saying
    client = PricingClient(channel, timeout_seconds=0.5)
    async with client.watch(["BTC"]) as changes:
        assert [["BTC"], ["BTC"]] == [[q.symbol for q in quotes] async for quotes in changes]
    servicer.error = TryAgain("draining")
    async with client.watch(["BTC"]) as changes:
        with pytest.raises(DependencyDown):
            await anext(changes)


async def test_instruments_and_candles_are_read(saying: tuple[Saying, grpc.aio.Channel]) -> None:
    """As pricing has them."""
    client = PricingClient(saying[1], timeout_seconds=0.5)
    assert [Listed("BTC", "USDT", 2)] == await client.listed()
    candles = await client.candles("BTC", 60, 10)
    begins_at = datetime(2026, 11, 26, 12, tzinfo=UTC)
    candle = Candle(begins_at, Decimal(2), Decimal(4), Decimal(1), Decimal(3))
    assert Candles("BTC", "USDT", 60, False, (candle,)) == candles


ORDER = order_of(draft_of(Wish(Side.BUY, "BTC", Units(Decimal(1)))), OrderState.EXECUTED)
OUTCOMES = {
    "APPLIED": BooksSaid.APPLIED,
    "INSUFFICIENT_FUNDS": BooksSaid.INSUFFICIENT_FUNDS,
    "NOT_FOUND": BooksSaid.NOT_FOUND,
    "ALREADY_POSTED": BooksSaid.ALREADY_POSTED,
    "ALREADY_VOIDED": BooksSaid.ALREADY_VOIDED,
    "EXPIRED": BooksSaid.EXPIRED,
    "IDEMPOTENCY_MISMATCH": BooksSaid.IDEMPOTENCY_MISMATCH,
    "SHARD_MISMATCH": BooksSaid.SHARD_MISMATCH,
    "LIMIT_EXCEEDED": BooksSaid.LIMIT_EXCEEDED,
    "LINKED_FAILED": BooksSaid.OTHER,
    "UNSPECIFIED": BooksSaid.OTHER,
}


@pytest.mark.parametrize(("outcome", "expected"), OUTCOMES.items())
async def test_what_the_books_say_is_told_apart(
    saying: tuple[Saying, grpc.aio.Channel], outcome: str, expected: BooksSaid
) -> None:
    """Each of the three operations, whatever the answer."""
    servicer, channel = saying
    servicer.outcomes = [f"OPERATION_OUTCOME_{outcome}"]
    books = BooksClient(channel, timeout_seconds=0.5)

    assert expected is await books.hold(CLAIM, ORDER)
    assert expected is await books.fill(CLAIM, ORDER)
    assert expected is await books.release(CLAIM, ORDER)
    order_id = ORDER.order_id
    keys = [operation.idempotency_key for operation in servicer.operations]
    assert [f"order:{order_id}:hold", f"order:{order_id}:fill", f"order:{order_id}:release"] == keys
    assert ("100", "0.001", "0.000001") == (
        servicer.operations[0].hold.amount.value,
        servicer.operations[1].fill.received.value,
        servicer.operations[1].fill.fee.value,
    )
    assert not servicer.operations[0].hold.HasField("expires_at")


async def test_an_answer_short_of_one_is_no_answer(
    saying: tuple[Saying, grpc.aio.Channel],
) -> None:
    """Nothing is decided by it."""
    saying[0].outcomes = []
    with pytest.raises(RequestRefused):
        await BooksClient(saying[1], timeout_seconds=0.5).hold(CLAIM, ORDER)


STATES = {
    "NOT_FOUND": VenueSaid(VenueState.NOT_FOUND),
    "OPEN": VenueSaid(VenueState.OPEN),
    "FILLED": VenueSaid(VenueState.FILLED, None, Decimal(99), Decimal("0.001"), Decimal(0)),
    "REFUSED": VenueSaid(VenueState.REFUSED, Refused.PRICE_MOVED),
    "TOMBSTONED": VenueSaid(VenueState.TOMBSTONED),
    "UNSPECIFIED": VenueSaid(VenueState.OTHER),
}


@pytest.mark.parametrize(("state", "expected"), STATES.items())
async def test_what_the_venue_says_is_told_apart(
    saying: tuple[Saying, grpc.aio.Channel], state: str, expected: VenueSaid
) -> None:
    """The same of a submission, a question and a tombstone."""
    servicer, channel = saying
    servicer.outcome = filled(state=venue_pb2.OrderState.Value(f"ORDER_STATE_{state}"))
    venue = VenueClient(channel, timeout_seconds=0.5)

    assert expected == await venue.submit(CLAIM, ORDER)
    assert expected == await venue.inquire(ORDER)
    assert expected == await venue.tombstone(CLAIM, ORDER)
    (submitted,) = servicer.submitted
    assert ("100", "0.00099", "0.001") == (
        submitted.spend.value,
        submitted.receive_min.value,
        submitted.receive_max.value,
    )


async def test_a_fill_in_another_asset_is_no_outcome(
    saying: tuple[Saying, grpc.aio.Channel],
) -> None:
    """Whatever the venue means by it, nothing is posted."""
    saying[0].outcome = filled(spent=money_pb2.Amount(asset_id="paper:ETH", value="1"))
    with pytest.raises(RequestRefused):
        await VenueClient(saying[1], timeout_seconds=0.5).inquire(ORDER)


async def test_a_preview_is_read_with_its_bound(saying: tuple[Saying, grpc.aio.Channel]) -> None:
    """What was met is in quote currency, whichever way the order goes."""
    servicer, channel = saying
    venue, sides = VenueClient(channel, timeout_seconds=0.5), (BTC_ASSET, USDT_ASSET)
    servicer.preview = venue_pb2.PreviewOrderResponse(
        refusal_reason=venue_pb2.REFUSAL_REASON_TOO_SMALL,
        bound=money_pb2.Amount(asset_id="paper:USDT", value="5"),
    )
    question = Question(spend=Decimal(1))
    expected = Refusal(Refused.TOO_SMALL, Decimal(5), "USDT")
    assert expected == await venue.preview(Side.SELL, "BTC", question, *sides)
    assert expected == await venue.preview(Side.BUY, "BTC", question, *sides[::-1])
    servicer.preview = venue_pb2.PreviewOrderResponse(
        refusal_reason=venue_pb2.REFUSAL_REASON_STALE_PRICE
    )
    stale = await venue.preview(Side.BUY, "BTC", question, *sides[::-1])
    assert Refusal(Refused.STALE_PRICE) == stale
    servicer.preview = venue_pb2.PreviewOrderResponse(
        spent=money_pb2.Amount(asset_id="paper:BTC", value="1"),
        received=money_pb2.Amount(asset_id="paper:USDT", value="99"),
        fee=money_pb2.Amount(asset_id="paper:USDT", value="0.1"),
        price="99",
    )
    preview = await venue.preview(Side.SELL, "BTC", question, *sides)
    assert Preview(Decimal(1), Decimal(99), Decimal("0.1"), Decimal(99)) == preview


def filled(**fields: Any) -> venue_pb2.OrderOutcome:
    """A fill, or what is said instead."""
    outcome = venue_pb2.OrderOutcome(
        state=venue_pb2.ORDER_STATE_FILLED,
        refusal_reason=venue_pb2.REFUSAL_REASON_SLIPPAGE,
        spent=money_pb2.Amount(asset_id="paper:USDT", value="99"),
        received=money_pb2.Amount(asset_id="paper:BTC", value="0.001"),
        fee=money_pb2.Amount(asset_id="paper:BTC", value="0"),
    )
    outcome.MergeFrom(venue_pb2.OrderOutcome(**fields))
    if "state" in fields:
        outcome.state = fields["state"]
    return outcome
