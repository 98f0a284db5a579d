"""Typed operations over gRPC against a real PostgreSQL, one caller at a time."""

from uuid import uuid4

from tests.integration.books import assert_balanced
from tests.integration.ledger.conftest import Serve
from tests.integration.ledger.operations import (
    balances,
    buy,
    hold,
    new_user,
    outcomes,
    release,
    sell,
)
from tests.integration.stores import ClaimShard

from devbox.database import Database


async def test_a_trade_is_a_hold_and_a_fill_and_the_books_balance(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """What is not spent of the hold comes back, and the fee is taken from what was received."""
    claim, first, second, third = await claim_shard(0), uuid4(), uuid4(), uuid4()
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        assert await outcomes(ledger, claim, hold(user, first, "100")) == ["APPLIED"]
        assert await balances(ledger, user) == {"USDT": ("1000", "100"), "BTC": ("0", "0")}

        assert await outcomes(ledger, claim, buy(user, first, "99.5", "0.002", "0.00001")) == [
            "APPLIED"
        ]
        assert await balances(ledger, user) == {"USDT": ("900.5", "0"), "BTC": ("0.00199", "0")}

        fill = sell(user, second, "0.001", "60", "0.06")
        assert (
            await outcomes(ledger, claim, hold(user, second, "0.001", "paper:BTC"), fill)
            == ["APPLIED"] * 2
        )
        assert await balances(ledger, user) == {"USDT": ("960.44", "0"), "BTC": ("0.00099", "0")}

        assert (
            await outcomes(ledger, claim, hold(user, third, "960.44"), release(user, third))
            == ["APPLIED"] * 2
        )
        assert await balances(ledger, user) == {"USDT": ("960.44", "0"), "BTC": ("0.00099", "0")}

    await assert_balanced(database)
