"""Short ways to say what is asked of the books."""

from uuid import UUID

from tests.unit.ledger.books import (
    BTC,
    USDT,
    account,
    btc,
    picture,
    usdt,
)

from ledger.domain.operations import (
    Fill,
    Hold,
    Operation,
    Release,
    Side,
)

USER, OTHER, STRANGER = UUID(int=1), UUID(int=2), UUID(int=3)
ORDER, SECOND = UUID(int=11), UUID(int=12)
RICH = picture(account(USER, 101, USDT, 1000), account(USER, 102, BTC, 1))
EMPTY = picture(account(USER, 101, USDT))


def held(
    value: str | int = 100, order: UUID = ORDER, key: str = "hold", **more: object
) -> Operation:
    """A hold of USDT."""
    return Operation(key, Hold(USER, order, usdt(value), None), **more)  # type: ignore[arg-type]


def filled(
    spent: str | int = 100, received: str = "0.5", fee: str = "0.1", key: str = "fill"
) -> Operation:
    """A fill of that hold."""
    fill = Fill(USER, ORDER, usdt(spent), btc(received), btc(fee), Side.BUY)
    return Operation(key, fill)


def released(key: str = "release") -> Operation:
    """The end of that hold."""
    return Operation(key, Release(USER, ORDER))
