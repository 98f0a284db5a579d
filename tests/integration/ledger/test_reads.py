"""Reads over gRPC: the registry, accounts, trades page by page, performance that reconciles."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import grpc
import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from tests.integration.books import assert_balanced
from tests.integration.ledger.conftest import Serve
from tests.integration.ledger.operations import (
    BTC,
    TIMEOUT_SECONDS,
    USDT,
    balances,
    buy,
    faucet,
    fee,
    hold,
    new_user,
    outcomes,
    sell,
)
from tests.integration.stores import ClaimShard, rows

from devbox.database import Database
from kernel.sharding import Claim
from purser.ledger.v1.ledger_pb2 import (
    TRADE_SIDE_BUY,
    TRADE_SIDE_SELL,
    GetPerformanceRequest,
    GetPerformanceResponse,
    ListAssetsRequest,
    ListTradesRequest,
    ListTradesResponse,
    Mark,
    MarkedTime,
)
from purser.ledger.v1.ledger_pb2_grpc import LedgerServiceStub


async def trade(
    ledger: LedgerServiceStub, claim: Claim, user: UUID, side: str, *amounts: str
) -> UUID:
    """Hold and fill an order: spent, received, fee."""
    order = uuid4()
    make, asset_id = (buy, USDT) if side == "buy" else (sell, BTC)
    spent, received, charged = amounts
    assert await outcomes(
        ledger,
        claim,
        hold(user, order, spent, asset_id),
        make(user, order, spent, received, charged),
    ) == ["APPLIED", "APPLIED"]
    return order


async def page(
    ledger: LedgerServiceStub, user: object, size: int = 0, token: str = ""
) -> ListTradesResponse:
    """One page of trades."""
    answer: ListTradesResponse = await ledger.ListTrades(
        ListTradesRequest(user_id=str(user), page_size=size, page_token=token),
        timeout=TIMEOUT_SECONDS,
    )
    return answer


async def performance(
    ledger: LedgerServiceStub, user: object, price: str = "", *past: MarkedTime
) -> GetPerformanceResponse:
    """Performance in USDT at a price of BTC."""
    marks = [Mark(asset_id=BTC, price=price)] if price else []
    answer: GetPerformanceResponse = await ledger.GetPerformance(
        GetPerformanceRequest(user_id=str(user), currency_asset_id=USDT, marks=marks, past=past),
        timeout=TIMEOUT_SECONDS,
    )
    return answer


async def test_the_registry_is_listed_by_id(serve: Serve) -> None:
    """With what people call each asset and its smallest unit."""
    async with serve() as ledger:
        answer = await ledger.ListAssets(ListAssetsRequest(), timeout=TIMEOUT_SECONDS)

    listed = [(a.asset_id, a.symbol, a.decimals) for a in answer.assets]
    assert listed == sorted(listed)
    assert ("paper:USDT", "USDT", 6) in listed
    assert ("paper:ETH", "ETH", 18) in listed


async def test_a_stranger_has_no_accounts_no_trades_and_nothing_to_measure(serve: Serve) -> None:
    """Nobody has registered the user: known, and nothing."""
    async with serve() as ledger:
        assert await balances(ledger, uuid4()) == {}
        trades = await page(ledger, uuid4())
        measured = await performance(ledger, uuid4(), "1")

    assert (list(trades.trades), trades.next_page_token) == ([], "")
    assert (measured.equity.value, measured.net_deposits.value, measured.trades) == ("0", "0", 0)
    assert measured.win_rate == measured.profit_factor == measured.max_drawdown_ratio == ""
    assert not measured.HasField("expectancy")


async def test_trades_come_newest_first_page_by_page_without_gaps_or_repeats(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """Also while a new one arrives between two pages, and when many were posted at one moment."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user, other = await new_user(ledger, claim), await new_user(ledger, claim)
        orders = [uuid4() for _ in range(7)]
        operations = [
            operation
            for order in orders
            for operation in (hold(user, order, "10"), buy(user, order, "10", "0.1", "0.001"))
        ]
        assert set(await outcomes(ledger, claim, *operations)) == {"APPLIED"}
        await trade(ledger, claim, other, "buy", "1", "0.1", "0")
        last = await trade(ledger, claim, user, "sell", "0.1", "12", "0.2")

        first = await page(ledger, user, 3)
        newer = await trade(ledger, claim, user, "buy", "5", "0.05", "0")
        second = await page(ledger, user, 3, first.next_page_token)
        third = await page(ledger, user, 3, second.next_page_token)

    seen = [t.order_id for p in (first, second, third) for t in p.trades]
    assert [len(p.trades) for p in (first, second, third)] == [3, 3, 2]
    assert third.next_page_token == ""
    assert sorted(seen) == sorted(map(str, [*orders, last]))
    assert str(newer) not in seen
    newest = first.trades[0]
    assert (newest.order_id, newest.side) == (str(last), TRADE_SIDE_SELL)
    assert (newest.spent.value, newest.received.value, newest.fee.value) == ("0.1", "12", "0.2")
    assert newest.price == "120"
    assert second.trades[0].side == TRADE_SIDE_BUY
    assert not second.trades[0].HasField("realised_pnl")


async def test_performance_reconciles_with_the_books_to_the_last_unit(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Equity is deposits plus realised plus unrealised PnL; positions are the accounts."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, claim, "1000")
        await trade(ledger, claim, user, "buy", "300", "3", "0")
        await trade(ledger, claim, user, "buy", "100.000001", "0.7", "0.00000001")
        await trade(ledger, claim, user, "sell", "1", "150", "0.15")
        await trade(ledger, claim, user, "sell", "0.5", "40", "0.04")
        await outcomes(ledger, claim, faucet(user, "500"))
        measured = await performance(ledger, user, "123.456789")
        accounts = await balances(ledger, user)

    # 3.69999999 BTC cost 400.000001; a unit of it 108.1081…; sold one, then a half.
    cost = Decimal("400.000001")
    first = (cost * 10**18 // Decimal("3.69999999")) / 10**18
    second_cost = cost - first
    second = (second_cost * Decimal("0.5") * 10**18 // Decimal("2.69999999")) / 10**18
    pnls = [Decimal("149.85") - first, Decimal("39.96") - second]
    realised = Decimal(measured.realised_pnl.value)
    assert realised == sum(pnls)
    assert (measured.trades, measured.winning_trades, measured.losing_trades) == (4, 1, 1)
    assert measured.win_rate == "0.5"
    assert measured.net_deposits.value == "1500"
    assert Decimal(measured.max_drawdown.value) == -pnls[1]
    assert {p.quantity.asset_id: p.quantity.value for p in measured.positions} == {
        f"paper:{symbol}": posted for symbol, (posted, _) in accounts.items()
    }
    unrealised = Decimal(measured.unrealised_pnl.value)
    assert Decimal(measured.equity.value) == 1500 + realised + unrealised
    assert {fee.asset_id: fee.value for fee in measured.fees} == {BTC: "0.00000001", USDT: "0.19"}
    await assert_balanced(database)


async def test_a_charge_is_a_fee_and_no_loss_of_trading(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """It lowers the equity alone."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, claim, "1000")
        await outcomes(ledger, claim, fee(user, "2.5"))
        measured = await performance(ledger, user)

    assert (measured.equity.value, measured.realised_pnl.value) == ("997.5", "0")
    assert [(fee.asset_id, fee.value) for fee in measured.fees] == [(USDT, "2.5")]


async def test_without_a_mark_the_sums_are_absent(serve: Serve, claim_shard: ClaimShard) -> None:
    """Unknown is absent, never zero."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        await trade(ledger, claim, user, "buy", "100", "1", "0")
        measured = await performance(ledger, user)

    assert not measured.HasField("equity")
    assert not measured.HasField("unrealised_pnl")
    assert measured.net_deposits.value == "1000"


async def test_past_equity_is_valued_from_the_entries_with_deposits_told_apart(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Before the first account, at each posting to the microsecond, and now."""
    claim = await claim_shard(0)
    before = datetime.now(UTC) - timedelta(hours=1)
    async with serve() as ledger:
        user = await new_user(ledger, claim, "1000")
        await trade(ledger, claim, user, "buy", "100", "1", "0")
        await outcomes(ledger, claim, faucet(user, "50"))
        times = [row[0] for row in await rows(database, _POSTED_AT)]
        just_before = [time - timedelta(microseconds=1) for time in times]  # type: ignore[operator]
        asked = sorted([before, *times, *just_before])  # type: ignore[type-var]
        measured = await performance(
            ledger,
            user,
            "1",
            *(_marked(at, "120") for at in asked),  # type: ignore[arg-type]
        )

    assert [
        (point.equity.value if point.HasField("equity") else None, point.net_deposits.value)
        for point in measured.points
    ] == [
        (None, "0"),
        ("0", "0"),
        ("1000", "1000"),
        ("1000", "1000"),
        ("1020", "1000"),
        ("1020", "1000"),
        ("1070", "1050"),
    ]


_POSTED_AT = "SELECT DISTINCT posted_at FROM ledger.entries ORDER BY posted_at"


def _marked(at: datetime, price: str) -> MarkedTime:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return MarkedTime(at=stamp, marks=[Mark(asset_id=BTC, price=price)])


@pytest.mark.parametrize(
    ("request_", "code", "details"),
    [
        (
            GetPerformanceRequest(user_id=str(uuid4()), currency_asset_id="paper:NOBODY"),
            grpc.StatusCode.NOT_FOUND,
            "not in the asset registry: paper:NOBODY",
        ),
        (
            GetPerformanceRequest(user_id=str(uuid4()), currency_asset_id="USDT"),
            grpc.StatusCode.INVALID_ARGUMENT,
            "currency_asset_id: expected an asset id",
        ),
        (
            GetPerformanceRequest(user_id="me", currency_asset_id=USDT),
            grpc.StatusCode.INVALID_ARGUMENT,
            "user_id: expected a UUID",
        ),
    ],
)
async def test_a_malformed_or_unknown_question_is_refused_naming_what_is_wrong(
    request_: GetPerformanceRequest, code: grpc.StatusCode, details: str, serve: Serve
) -> None:
    """The caller can mend it."""
    async with serve() as ledger:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await ledger.GetPerformance(request_, timeout=TIMEOUT_SECONDS)

    assert refusal.value.code() is code
    assert (refusal.value.details() or "").startswith(details)
