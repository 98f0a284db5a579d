"""What services answer becomes what to do about it, over real gRPC."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import grpc.aio
import pytest

from chassis.errors import (
    CallerMistake,
    LimitReached,
    NotFound,
    Refused,
    StaleClaim,
    TryAgain,
)
from chassis.grpc_client import open_channel
from chassis.grpc_server import ServerSettings, serving
from chassis.telemetry import Telemetry
from kernel.sharding import Claim
from purser.gateway.v1 import gateway_pb2_grpc
from purser.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from purser.wallet.v1 import wallet_pb2_grpc
from user_worker.clients import GatewayInbox, PricingClient, WalletClient
from user_worker.domain.replies import SendText
from user_worker.errors import (
    ClaimLost,
    DependencyDown,
    JobUnknown,
    RepliesRefused,
    RequestRefused,
    TooMuch,
)
from user_worker.ports import Outcome

CLAIM = Claim("default.main", 0, 1)
SOMEBODY = UUID(int=1)
ANSWER_SECONDS_MAX = 30.0


class Failing(
    gateway_pb2_grpc.GatewayServiceServicer,
    wallet_pb2_grpc.WalletServiceServicer,
    pricing_pb2_grpc.PricingServiceServicer,
):
    """Fails every call with the error it was given, or hangs without one."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def _fail(self, _request: object, _context: object) -> Any:
        if self.error is None:
            await asyncio.Event().wait()
        assert self.error is not None
        raise self.error

    Deliver = _fail  # type: ignore[assignment]  # one failure for all
    FetchJobs = _fail  # type: ignore[assignment]
    EnsureWallet = _fail  # type: ignore[assignment]

    async def GetQuotes(  # noqa: N802 (the proto's name)
        self, request: pricing_pb2.GetQuotesRequest, context: object
    ) -> pricing_pb2.GetQuotesResponse:
        """Answer with what nobody asked for."""
        return pricing_pb2.GetQuotesResponse(quotes=[pricing_pb2.Quote(symbol="ETH", price="1")])


def _patience(error: Exception | None) -> float:
    """Wait in vain for a moment only, and on a busy machine for whatever answer there will be."""
    return 0.5 if error is None else ANSWER_SECONDS_MAX


@pytest.fixture
async def failing() -> AsyncIterator[tuple[Failing, grpc.aio.Channel]]:
    """Services that fail, and a channel to them."""
    servicer = Failing()  # type: ignore[abstract]  # only what is called here

    def add(server: grpc.aio.Server) -> None:
        gateway_pb2_grpc.add_GatewayServiceServicer_to_server(servicer, server)
        wallet_pb2_grpc.add_WalletServiceServicer_to_server(servicer, server)
        pricing_pb2_grpc.add_PricingServiceServicer_to_server(servicer, server)

    settings = ServerSettings(drain_timeout_seconds=0.1)
    async with (
        serving(settings, add, Telemetry("fake", None, [])) as server,
        open_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield servicer, channel


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StaleClaim(), ClaimLost),
        (NotFound("no such job"), JobUnknown),
        (CallerMistake("replies[0].text"), RepliesRefused),
        (TryAgain("the database is away"), DependencyDown),
        (LimitReached("busy"), DependencyDown),
        (Refused("odd", reason="ODD"), DependencyDown),
        (RuntimeError("a bug of the gateway's"), DependencyDown),
        (None, DependencyDown),
    ],
)
async def test_deliver_never_loses_a_job_to_an_answer_it_does_not_know(
    failing: tuple[Failing, grpc.aio.Channel], error: Exception | None, expected: type[Exception]
) -> None:
    """Three answers end it; whatever else happens, it is tried again."""
    servicer, channel = failing
    servicer.error = error
    inbox = GatewayInbox(channel, timeout_seconds=_patience(error))

    with pytest.raises(expected):
        await inbox.deliver(CLAIM, SOMEBODY, [SendText("x")], Outcome.DONE, "")


async def test_a_text_that_is_no_unicode_counts_as_a_refused_reply(
    failing: tuple[Failing, grpc.aio.Channel],
) -> None:
    """It never leaves this process."""
    inbox = GatewayInbox(failing[1], ANSWER_SECONDS_MAX)

    with pytest.raises(RepliesRefused):
        await inbox.deliver(CLAIM, SOMEBODY, [SendText("\ud800")], Outcome.DONE, "")


@pytest.mark.parametrize(
    ("error", "expected"),
    [(LimitReached("too large"), TooMuch), (TryAgain("away"), DependencyDown)],
)
async def test_fetch_knows_when_to_ask_for_less(
    failing: tuple[Failing, grpc.aio.Channel], error: Exception, expected: type[Exception]
) -> None:
    """A message above the limit is RESOURCE_EXHAUSTED."""
    servicer, channel = failing
    servicer.error = error

    with pytest.raises(expected) as caught:
        await GatewayInbox(channel, ANSWER_SECONDS_MAX).fetch_jobs(
            [CLAIM], 100, include_cursors=False
        )
    assert expected is caught.type


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StaleClaim(), ClaimLost),
        (TryAgain("away"), DependencyDown),
        (LimitReached("busy"), DependencyDown),
        (Refused("another shard", reason="SHARD_MISMATCH"), RequestRefused),
        (CallerMistake("user_id"), RequestRefused),
        (RuntimeError("a bug of the wallet's"), RequestRefused),
        (None, DependencyDown),
    ],
)
async def test_a_service_that_refuses_is_not_a_service_that_is_down(
    failing: tuple[Failing, grpc.aio.Channel], error: Exception | None, expected: type[Exception]
) -> None:
    """Only an outage is waited for; a refusal counts as a try."""
    servicer, channel = failing
    servicer.error = error

    with pytest.raises(expected):
        await WalletClient(channel, _patience(error)).ensure_wallet(CLAIM, SOMEBODY)


async def test_an_unknown_symbol_has_no_quote(failing: tuple[Failing, grpc.aio.Channel]) -> None:
    """And a quote nobody asked for is nobody's price."""
    assert [] == await PricingClient(failing[1], ANSWER_SECONDS_MAX).quotes(["BTC"])
