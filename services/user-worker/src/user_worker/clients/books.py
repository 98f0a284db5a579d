"""The books, as orders use them: each operation under a key made of the order's id."""

import grpc.aio

from kernel.money import format_amount
from kernel.sharding import Claim
from purser.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from purser.money.v1 import money_pb2
from user_worker.clients.asked import asked
from user_worker.domain.carrying_out import BooksSaid
from user_worker.domain.orders import Coins, Order, Side
from user_worker.errors import RequestRefused
from user_worker.wire import claim_to

_SAID = {
    ledger_pb2.OPERATION_OUTCOME_APPLIED: BooksSaid.APPLIED,
    ledger_pb2.OPERATION_OUTCOME_INSUFFICIENT_FUNDS: BooksSaid.INSUFFICIENT_FUNDS,
    ledger_pb2.OPERATION_OUTCOME_NOT_FOUND: BooksSaid.NOT_FOUND,
    ledger_pb2.OPERATION_OUTCOME_ALREADY_POSTED: BooksSaid.ALREADY_POSTED,
    ledger_pb2.OPERATION_OUTCOME_ALREADY_VOIDED: BooksSaid.ALREADY_VOIDED,
    ledger_pb2.OPERATION_OUTCOME_EXPIRED: BooksSaid.EXPIRED,
    ledger_pb2.OPERATION_OUTCOME_IDEMPOTENCY_MISMATCH: BooksSaid.IDEMPOTENCY_MISMATCH,
    ledger_pb2.OPERATION_OUTCOME_SHARD_MISMATCH: BooksSaid.SHARD_MISMATCH,
    ledger_pb2.OPERATION_OUTCOME_LIMIT_EXCEEDED: BooksSaid.LIMIT_EXCEEDED,
}
_SIDES = {
    Side.BUY: ledger_pb2.TRADE_SIDE_BUY,
    Side.SELL: ledger_pb2.TRADE_SIDE_SELL,
}


class BooksClient:
    """The ledger's hold, fill and release, and its registry."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = ledger_pb2_grpc.LedgerServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def hold(self, claim: Claim, order: Order) -> BooksSaid:
        """Hold what the order spends. It never expires by itself: every order is carried out."""
        return await self._apply(
            claim,
            ledger_pb2.Operation(
                idempotency_key=f"order:{order.order_id}:hold",
                hold=ledger_pb2.HoldOperation(
                    user_id=str(order.draft.user_id),
                    order_id=str(order.order_id),
                    amount=amount_to(order.draft.spend),
                ),
            ),
        )

    async def fill(self, claim: Claim, order: Order) -> BooksSaid:
        """Post what an executed order did; the rest of the hold comes back."""
        draft = order.draft
        if order.spent is None or order.received is None or order.fee is None:
            raise ValueError("an order that was not executed has nothing to post")
        received = draft.receive
        return await self._apply(
            claim,
            ledger_pb2.Operation(
                idempotency_key=f"order:{order.order_id}:fill",
                fill=ledger_pb2.FillOperation(
                    user_id=str(draft.user_id),
                    order_id=str(order.order_id),
                    spent=amount_to(Coins(draft.spend.asset_id, "", order.spent)),
                    received=amount_to(Coins(received.asset_id, "", order.received)),
                    fee=amount_to(Coins(received.asset_id, "", order.fee)),
                    side=_SIDES[draft.wish.side],
                ),
            ),
        )

    async def release(self, claim: Claim, order: Order) -> BooksSaid:
        """Void the hold of an order that was given up."""
        return await self._apply(
            claim,
            ledger_pb2.Operation(
                idempotency_key=f"order:{order.order_id}:release",
                release=ledger_pb2.ReleaseOperation(
                    user_id=str(order.draft.user_id), order_id=str(order.order_id)
                ),
            ),
        )

    async def decimals(self) -> dict[str, int]:
        """Read the fractional digits of every asset, by id."""
        response = await asked(
            "ledger",
            self._stub.ListAssets(ledger_pb2.ListAssetsRequest(), timeout=self._timeout_seconds),
        )
        return {asset.asset_id: asset.decimals for asset in response.assets}

    async def _apply(self, claim: Claim, operation: ledger_pb2.Operation) -> BooksSaid:
        response = await asked(
            "ledger",
            self._stub.ApplyOperations(
                ledger_pb2.ApplyOperationsRequest(claim=claim_to(claim), operations=[operation]),
                timeout=self._timeout_seconds,
            ),
        )
        if len(response.results) != 1:
            raise RequestRefused("ledger", f"{len(response.results)} answers to one operation")
        return _SAID.get(response.results[0].outcome, BooksSaid.OTHER)


def amount_to(coins: Coins) -> money_pb2.Amount:
    """Write an amount."""
    return money_pb2.Amount(asset_id=coins.asset_id, value=format_amount(coins.value))
