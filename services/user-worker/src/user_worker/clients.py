"""The services behind gRPC. Each call has a deadline; each failure becomes one of
`user_worker.errors`.

No call is repeated here: what to do about an outage is decided per job, in `application.execution`.
"""

from collections.abc import Awaitable, Sequence
from typing import TypeVar
from uuid import UUID

import grpc
import grpc.aio

from chassis.grpc_client import reason_of
from kernel.money import parse_amount
from kernel.sharding import Claim
from purser.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from purser.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from purser.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from purser.wallet.v1 import wallet_pb2, wallet_pb2_grpc
from user_worker.domain.replies import Reply
from user_worker.errors import (
    ClaimLost,
    DependencyDown,
    JobUnknown,
    RepliesRefused,
    RequestRefused,
    TooMuch,
)
from user_worker.ports import Balance, Outcome, Quote, UndoneJobs
from user_worker.wire import claim_to, cursors_of, job_of, reply_to

STALE_EPOCH = "STALE_EPOCH"

_OUTAGES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
    }
)
_OUTCOMES = {
    Outcome.DONE: gateway_pb2.JOB_OUTCOME_DONE,
    Outcome.SET_ASIDE: gateway_pb2.JOB_OUTCOME_SET_ASIDE,
}

Answer = TypeVar("Answer")


class GatewayInbox:
    """The gateway's inbox and outbox."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def fetch_jobs(
        self, claims: Sequence[Claim], jobs_per_shard_max: int, *, include_cursors: bool
    ) -> Sequence[UndoneJobs]:
        """Read shards' undone jobs, one answer per claim, in order. May raise TooMuch."""
        request = gateway_pb2.FetchJobsRequest(
            claims=[claim_to(claim) for claim in claims],
            jobs_per_shard_max=jobs_per_shard_max,
            include_cursors=include_cursors,
        )
        try:
            response = await self._stub.FetchJobs(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            is_much = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            raise (TooMuch if is_much else DependencyDown)("gateway", _told(error)) from None
        return [
            UndoneJobs(
                claim=claim,
                is_stale=shard.stale,
                jobs=tuple(job for job in map(job_of, shard.jobs) if job is not None),
                next_seqs=(
                    cursors_of([(c.user_id, c.next_user_seq) for c in shard.cursors])
                    if include_cursors
                    else None
                ),
            )
            for claim, shard in zip(claims, response.shards, strict=False)
        ]

    async def deliver(
        self, claim: Claim, job_id: UUID, replies: Sequence[Reply], outcome: Outcome, error: str
    ) -> None:
        """End a job. Raises JobUnknown and RepliesRefused too. Safe to repeat."""
        try:
            request = gateway_pb2.DeliverRequest(
                claim=claim_to(claim),
                job_id=str(job_id),
                replies=[reply_to(reply) for reply in replies],
                outcome=_OUTCOMES[outcome],
                error=error,
            )
        except ValueError as malformed:
            raise RepliesRefused(type(malformed).__name__) from malformed
        try:
            await self._stub.Deliver(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as refusal:
            if _is_claim_lost(refusal):
                raise ClaimLost(str(claim)) from None
            if refusal.code() is grpc.StatusCode.NOT_FOUND:
                raise JobUnknown(str(job_id)) from None
            if refusal.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise RepliesRefused(refusal.details() or "no details") from None
            # Whatever else it says, the job is not lost: ask again until the claim is.
            raise DependencyDown("gateway", _told(refusal)) from None


class PricingClient:
    """Prices."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = pricing_pb2_grpc.PricingServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def quote(self, symbol: str) -> Quote | None:
        """Read the latest price; None when the symbol is unknown."""
        response = await _asked(
            "pricing",
            self._stub.GetQuotes(
                pricing_pb2.GetQuotesRequest(symbols=[symbol]), timeout=self._timeout_seconds
            ),
        )
        for quote in response.quotes:
            if quote.symbol == symbol:
                return Quote(
                    price=parse_amount(quote.price),
                    currency=quote.currency,
                    is_simulated=quote.source != pricing_pb2.QUOTE_SOURCE_EXCHANGES,
                )
        return None


class WalletClient:
    """Custody."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = wallet_pb2_grpc.WalletServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def ensure_wallet(self, claim: Claim, user_id: UUID) -> str:
        """Make or find the user's wallet; gives its address. May raise RequestRefused."""
        response = await _asked(
            "wallet",
            self._stub.EnsureWallet(
                wallet_pb2.EnsureWalletRequest(claim=claim_to(claim), user_id=str(user_id)),
                timeout=self._timeout_seconds,
            ),
        )
        address: str = response.address
        return address


class LedgerClient:
    """The books."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = ledger_pb2_grpc.LedgerServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[str]
    ) -> Sequence[Balance]:
        """Make or find the user's accounts, in the order asked. May raise RequestRefused."""
        response = await _asked(
            "ledger",
            self._stub.EnsureAccounts(
                ledger_pb2.EnsureAccountsRequest(
                    claim=claim_to(claim), user_id=str(user_id), asset_ids=asset_ids
                ),
                timeout=self._timeout_seconds,
            ),
        )
        return [
            Balance(
                asset_id=account.posted.asset_id,
                posted=parse_amount(account.posted.value),
                held=parse_amount(account.held.value),
            )
            for account in response.accounts
        ]


async def _asked(dependency: str, call: Awaitable[Answer]) -> Answer:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if _is_claim_lost(error):
            raise ClaimLost(dependency) from None
        if error.code() in _OUTAGES:
            raise DependencyDown(dependency, _told(error)) from None
        raise RequestRefused(dependency, _told(error)) from None


def _is_claim_lost(error: grpc.aio.AioRpcError) -> bool:
    is_refused = error.code() is grpc.StatusCode.FAILED_PRECONDITION
    return is_refused and reason_of(error) == STALE_EPOCH


def _told(error: grpc.aio.AioRpcError) -> str:
    reason = reason_of(error)
    return f"{error.code().name}{f' ({reason})' if reason else ''}: {error.details()}"
