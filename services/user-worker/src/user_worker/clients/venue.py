"""Where orders are executed."""

from decimal import Decimal

import grpc.aio

from kernel.malformed import Malformed
from kernel.money import parse_amount
from kernel.sharding import Claim
from purser.money.v1 import money_pb2
from purser.venue.v1 import venue_pb2, venue_pb2_grpc
from user_worker.clients.asked import asked
from user_worker.clients.books import amount_to
from user_worker.domain.carrying_out import VenueSaid, VenueState
from user_worker.domain.orders import Coins, Order, Refusal, Refused, Side
from user_worker.domain.sizing import Asset, Preview, Question
from user_worker.errors import RequestRefused
from user_worker.wire import claim_to

_STATES = {
    venue_pb2.ORDER_STATE_NOT_FOUND: VenueState.NOT_FOUND,
    venue_pb2.ORDER_STATE_OPEN: VenueState.OPEN,
    venue_pb2.ORDER_STATE_FILLED: VenueState.FILLED,
    venue_pb2.ORDER_STATE_REFUSED: VenueState.REFUSED,
    venue_pb2.ORDER_STATE_TOMBSTONED: VenueState.TOMBSTONED,
}
_REFUSED = {
    venue_pb2.REFUSAL_REASON_SLIPPAGE: Refused.PRICE_MOVED,
    venue_pb2.REFUSAL_REASON_STALE_PRICE: Refused.STALE_PRICE,
    venue_pb2.REFUSAL_REASON_UNKNOWN_SYMBOL: Refused.UNKNOWN_SYMBOL,
    venue_pb2.REFUSAL_REASON_TOO_SMALL: Refused.TOO_SMALL,
    venue_pb2.REFUSAL_REASON_TOO_LARGE: Refused.TOO_LARGE,
}
_SIDES = {
    Side.BUY: venue_pb2.ORDER_SIDE_BUY,
    Side.SELL: venue_pb2.ORDER_SIDE_SELL,
}


class VenueClient:
    """VenueService."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = venue_pb2_grpc.VenueServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def preview(
        self, side: Side, symbol: str, question: Question, spent: Asset, received: Asset
    ) -> Preview | Refusal:
        """Ask what an order that spends one asset and receives the other would do."""
        request = venue_pb2.PreviewOrderRequest(side=_SIDES[side], symbol=symbol)
        if question.spend is not None:
            request.spend.CopyFrom(amount_to(spent.coins(question.spend)))
        elif question.receive is not None:
            request.receive.CopyFrom(amount_to(received.coins(question.receive)))
        response = await asked(
            "venue", self._stub.PreviewOrder(request, timeout=self._timeout_seconds)
        )
        if response.refusal_reason != venue_pb2.REFUSAL_REASON_UNSPECIFIED:
            reason = _REFUSED.get(response.refusal_reason, Refused.NOT_TAKEN)
            if not response.HasField("bound"):
                return Refusal(reason)
            currency = spent if side is Side.BUY else received
            return Refusal(reason, _value(response.bound, currency.asset_id), currency.symbol)
        return Preview(
            spent=_value(response.spent, spent.asset_id),
            received=_value(response.received, received.asset_id),
            fee=_value(response.fee, received.asset_id),
            price=_number(response.price),
        )

    async def submit(self, claim: Claim, order: Order) -> VenueSaid:
        """Execute the order, once, however often it is submitted."""
        draft = order.draft
        request = venue_pb2.SubmitOrderRequest(
            claim=claim_to(claim),
            order_id=str(order.order_id),
            user_id=str(draft.user_id),
            side=_SIDES[draft.wish.side],
            symbol=draft.wish.symbol,
            spend=amount_to(draft.spend),
            receive_min=amount_to(Coins(draft.receive.asset_id, "", draft.receive_min)),
        )
        if draft.receive_max is not None:
            most = Coins(draft.receive.asset_id, "", draft.receive_max)
            request.receive_max.CopyFrom(amount_to(most))
        response = await asked(
            "venue", self._stub.SubmitOrder(request, timeout=self._timeout_seconds)
        )
        return _said(order, response.outcome)

    async def inquire(self, order: Order) -> VenueSaid:
        """Ask what became of the order."""
        request = venue_pb2.InquireOrderRequest(order_id=str(order.order_id))
        response = await asked(
            "venue", self._stub.InquireOrder(request, timeout=self._timeout_seconds)
        )
        return _said(order, response.outcome)

    async def tombstone(self, claim: Claim, order: Order) -> VenueSaid:
        """Make sure that the order is never executed, unless it already was."""
        request = venue_pb2.TombstoneOrderRequest(
            claim=claim_to(claim), order_id=str(order.order_id)
        )
        response = await asked(
            "venue", self._stub.TombstoneOrder(request, timeout=self._timeout_seconds)
        )
        return _said(order, response.outcome)


def _said(order: Order, outcome: venue_pb2.OrderOutcome) -> VenueSaid:
    state = _STATES.get(outcome.state, VenueState.OTHER)
    if state is VenueState.REFUSED:
        return VenueSaid(state, _REFUSED.get(outcome.refusal_reason))
    if state is not VenueState.FILLED:
        return VenueSaid(state)
    received = order.draft.receive.asset_id
    return VenueSaid(
        state,
        spent=_value(outcome.spent, order.draft.spend.asset_id),
        received=_value(outcome.received, received),
        fee=_value(outcome.fee, received),
    )


def _value(amount: money_pb2.Amount, asset_id: str) -> Decimal:
    """Read an amount of the asset there must be. Raises RequestRefused for any other."""
    if amount.asset_id != asset_id:
        raise RequestRefused("venue", f"{amount.asset_id!r} where {asset_id} must be")
    return _number(amount.value)


def _number(text: str) -> Decimal:
    try:
        return parse_amount(text)
    except Malformed as malformed:
        raise RequestRefused("venue", str(malformed)) from None
