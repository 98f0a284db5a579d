"""Orders as the worker would ask the books and the venue about them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from tests.simulation.seeding import BEGIN

from user_worker.domain.orders import Coins, Draft, Order, OrderState, Share, Side, Wish

CURRENCY = "USDT"


def order_of(
    order_id: UUID,
    user_id: UUID,
    side: Side,
    symbol: str,
    spend: str,
    *,
    receive_min: Decimal = Decimal(0),
    receive_max: Decimal | None = None,
) -> Order:
    """An order of a user, not executed yet."""
    given, taken = (CURRENCY, symbol) if side is Side.BUY else (symbol, CURRENCY)
    draft = Draft(
        draft_id=order_id,
        user_id=user_id,
        wish=Wish(side, symbol, Share(Decimal(1))),
        spend=Coins(f"paper:{given}", given, Decimal(spend)),
        receive=Coins(f"paper:{taken}", taken, Decimal(1)),
        fee=Coins(f"paper:{taken}", taken, Decimal(0)),
        receive_min=receive_min,
        receive_max=receive_max,
        price=Decimal(1),
        slippage_basis_points=100,
        is_simulated=True,
        made_at=BEGIN,
        expires_at=BEGIN + timedelta(seconds=90),
    )
    return Order(draft, OrderState.ACCEPTED, BEGIN, BEGIN + timedelta(seconds=60))


def executed(order: Order, spent: str, received: str, fee: str) -> Order:
    """The order as the venue has executed it."""
    return replace(order, spent=Decimal(spent), received=Decimal(received), fee=Decimal(fee))
