"""How drafts and orders stand in rows, for the adapters that read them."""

from decimal import Decimal
from typing import Any

from user_worker.domain.orders import (
    Coins,
    Draft,
    DraftState,
    Money,
    Order,
    OrderState,
    Refused,
    Rule,
    Share,
    Side,
    Size,
    Units,
    Wish,
)
from user_worker.domain.resting import (
    Condition,
    Direction,
    RestingKind,
    RestingOrder,
    RestingState,
)
from user_worker.trading_ports import Seen

_DRAFT_COLUMNS = """
d.draft_id, d.user_id, d.side, d.symbol, d.size_kind, d.size_value, d.spend_asset_id,
d.spend_symbol, d.spend, d.receive_asset_id, d.receive_symbol, d.receive, d.fee AS draft_fee,
d.receive_min, d.receive_max, d.price, d.slippage_basis_points, d.is_simulated, d.made_at,
d.expires_at, d.rule,
CASE WHEN d.state = 'open' AND d.expires_at <= clock_timestamp() THEN 'expired' ELSE d.state
END AS draft_state
"""

SELECT_DRAFT = f"SELECT {_DRAFT_COLUMNS} FROM worker.drafts d"  # noqa: S608 (columns of ours)
"""To be followed by a WHERE about `d`; `draft_of` reads the rows."""

SELECT_ORDER = f"""
SELECT {_DRAFT_COLUMNS}, o.state AS order_state, o.language, o.accepted_at, o.submit_before,
    o.spent, o.received, o.fee, o.refused, o.ended_at, o.is_frozen,
    o.submit_before <= clock_timestamp() AS is_late
FROM worker.orders o JOIN worker.drafts d ON d.draft_id = o.order_id
"""  # noqa: S608 (columns of ours)
"""The same about `o` and `d`; `seen_of` reads the rows."""

SELECT_RESTING = f"""
SELECT {_DRAFT_COLUMNS}, r.kind AS resting_kind, r.direction, r.trigger_price, r.lasts_seconds,
    r.state AS resting_state, r.language, r.placed_at, r.expires_at AS resting_expires_at,
    r.ended_at
FROM worker.resting_orders r JOIN worker.drafts d ON d.draft_id = r.order_id
"""  # noqa: S608 (columns of ours)
"""The same about `r` and `d`; `resting_of` reads the rows."""

_SIZES: dict[type[Size], str] = {Units: "units", Money: "money", Share: "share"}
_SIZE_OF_KIND = {kind: size for size, kind in _SIZES.items()}


def size_kind(size: Size) -> str:
    """Name the kind of a size."""
    return _SIZES[type(size)]


def size_of(kind: str, value: Decimal) -> Size:
    """Make a size of its kind."""
    return _SIZE_OF_KIND[kind](value)


def draft_of(row: Any) -> Draft:
    """Read a draft from SELECT_DRAFT's rows."""
    received = (row["receive_asset_id"], row["receive_symbol"])
    return Draft(
        draft_id=row["draft_id"],
        user_id=row["user_id"],
        wish=Wish(Side(row["side"]), row["symbol"], size_of(row["size_kind"], row["size_value"])),
        spend=Coins(row["spend_asset_id"], row["spend_symbol"], row["spend"]),
        receive=Coins(*received, row["receive"]),
        fee=Coins(*received, row["draft_fee"]),
        receive_min=row["receive_min"],
        receive_max=row["receive_max"],
        price=row["price"],
        slippage_basis_points=row["slippage_basis_points"],
        is_simulated=row["is_simulated"],
        made_at=row["made_at"],
        expires_at=row["expires_at"],
        state=DraftState(row["draft_state"]),
        rule=None if row["rule"] is None else Rule(row["rule"]),
    )


def seen_of(row: Any) -> Seen:
    """Read an order from SELECT_ORDER's rows."""
    order = Order(
        draft=draft_of(row),
        state=OrderState(row["order_state"]),
        accepted_at=row["accepted_at"],
        submit_before=row["submit_before"],
        spent=row["spent"],
        received=row["received"],
        fee=row["fee"],
        refused=None if row["refused"] is None else _refused_of(row["refused"]),
        ended_at=row["ended_at"],
        is_frozen=row["is_frozen"],
    )
    return Seen(order, row["is_late"])


def resting_of(row: Any) -> RestingOrder:
    """Read a resting order from SELECT_RESTING's rows."""
    return RestingOrder(
        draft=draft_of(row),
        condition=Condition(
            kind=RestingKind(row["resting_kind"]),
            direction=Direction(row["direction"]),
            price=row["trigger_price"],
            lasts_seconds=row["lasts_seconds"],
        ),
        state=RestingState(row["resting_state"]),
        placed_at=row["placed_at"],
        expires_at=row["resting_expires_at"],
        ended_at=row["ended_at"],
    )


def _refused_of(reason: str) -> Refused:
    # A later version may have written a reason this one has no name for.
    try:
        return Refused(reason)
    except ValueError:
        return Refused.NOT_TAKEN
