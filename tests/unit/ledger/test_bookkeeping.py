"""The state machine of transfers, decided in memory."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.unit.ledger.booking import (
    EMPTY,
    ORDER,
    OTHER,
    RICH,
    SECOND,
    USER,
    filled,
    held,
    released,
)
from tests.unit.ledger.books import (
    BTC,
    NOW,
    SHARD,
    USDT,
    account,
    answers,
    balances,
    btc,
    check,
    names,
    picture,
    usdt,
    written,
)

from kernel.money import AssetId
from ledger.domain.assets import Asset
from ledger.domain.bookkeeping import decide
from ledger.domain.operations import (
    Amount,
    Answer,
    Faucet,
    Fee,
    Fill,
    Hold,
    Operation,
    Outcome,
    Release,
    Side,
)
from ledger.domain.working import BALANCE_LIMIT


def test_a_hold_takes_nothing_and_leaves_less_to_spend() -> None:
    """The next hold counts what is pending."""
    assert names(RICH, held(600), held(401, SECOND, "next"), held(400, SECOND, "less")) == [
        "APPLIED",
        "INSUFFICIENT_FUNDS",
        "APPLIED",
    ]
    assert balances(RICH, [held(600)])["USDT"] == (Decimal(1000), Decimal(600))


def test_a_fill_posts_what_was_spent_gives_back_the_rest_and_takes_the_fee() -> None:
    """All three transfers and the trade come of one operation."""
    _, changes = decide(RICH, [(SHARD, [held(), filled("99.5")])])
    after = check(RICH, changes)

    assert after.accounts[USER, USDT].posted == Decimal("900.5")
    assert after.accounts[USER, BTC].posted == Decimal("1.4")
    assert {t.operation: t.amount for t in changes.transfers} == {
        "fill": Decimal("0.5"),
        "fee": Decimal("0.1"),
    }
    (trade,) = changes.trades
    assert (trade.order_id, trade.realised_pnl) == (ORDER, None)
    assert after.positions[USER, BTC, USDT].cost == Decimal("99.5")
    assert after.positions[USER, BTC, USDT].quantity == Decimal("0.4")


def test_a_hold_made_and_filled_in_one_batch_is_written_once_in_its_end_state() -> None:
    """One row, not an insert and an update of it."""
    _, changes = decide(RICH, [(SHARD, [held(), filled()])])

    assert [hold.state for hold in changes.holds_made] == ["posted"]
    assert list(changes.holds_resolved) == []


def test_a_fill_opens_the_account_of_what_was_received() -> None:
    """The venue has executed the order: a missing account must not lose the money."""
    poor = picture(account(USER, 101, USDT, 100))
    _, changes = decide(poor, [(SHARD, [held(), filled()])])

    check(poor, changes)
    assert [(a.asset_id, a.posted) for a in changes.opened] == [(BTC, Decimal("0.4"))]


def test_a_fill_is_not_refused_for_a_limit_of_the_account() -> None:
    """posted_max bounds gifts; what the venue executed is a fact."""
    limited = replace(account(USER, 102, BTC), posted_max=Decimal("0.01"))
    before = picture(account(USER, 101, USDT, 100), limited)

    assert names(before, held(), filled()) == ["APPLIED", "APPLIED"]


@pytest.mark.parametrize("ends", [filled(), released()])
@pytest.mark.parametrize("later", [filled(key="again"), released("again"), held(key="again")])
def test_a_hold_ends_once(ends: Operation, later: Operation) -> None:
    """Whatever comes under another key afterwards is told how it ended."""
    expected = "ALREADY_POSTED" if isinstance(ends.action, Fill) else "ALREADY_VOIDED"

    assert names(RICH, held(), ends, later) == ["APPLIED", "APPLIED", expected]


def test_a_release_gives_everything_back_and_names_the_hold() -> None:
    """A void makes no transfer of its own."""
    hold, release = answers(RICH, held(), released())

    assert release == Answer(Outcome.APPLIED, hold.transfer_id)
    assert balances(RICH, [held(), released()])["USDT"] == (Decimal(1000), Decimal(0))


def test_a_second_cause_for_a_hold_that_is_pending_is_a_mismatch_and_is_not_kept() -> None:
    """One hold per order: the first key is the hold's; the second key stays free."""
    _, changes = decide(RICH, [(SHARD, [held(), held(key="other")])])

    assert names(RICH, held(), held(key="other")) == ["APPLIED", "IDEMPOTENCY_MISMATCH"]
    assert list(changes.keys) == ["hold"]


def test_a_hold_is_over_at_its_time_and_not_before() -> None:
    """Whoever touches it then is told, and can spend what it held."""
    hold = Operation("hold", Hold(USER, ORDER, usdt(900), NOW + timedelta(seconds=5)))
    _, changes = decide(RICH, [(SHARD, [hold])])

    for seconds, expected, left in ((4.999999, "APPLIED", 100), (5, "EXPIRED", 1000)):
        later = written(RICH, changes, NOW + timedelta(seconds=seconds))
        assert names(later, filled(900)) == [expected]
        _, after = decide(later, [(SHARD, [filled(900)])])
        assert check(later, after).accounts[USER, USDT].posted == left


def test_a_hold_that_would_be_over_at_once_is_refused() -> None:
    """It could never be submitted."""
    assert names(RICH, Operation("k", Hold(USER, ORDER, usdt(1), NOW))) == ["EXPIRED"]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (filled(101), "INSUFFICIENT_FUNDS"),
        (Operation("k", Fill(USER, ORDER, btc(1), usdt(1), usdt(0), Side.SELL)), "NOT_FOUND"),
        (Operation("k", Fill(OTHER, ORDER, usdt(1), btc(1), btc(0), Side.BUY)), "NOT_FOUND"),
        (Operation("k", Fill(USER, SECOND, usdt(1), btc(1), btc(0), Side.BUY)), "NOT_FOUND"),
        (Operation("k", Release(OTHER, ORDER)), "NOT_FOUND"),
        (Operation("k", Release(USER, SECOND)), "NOT_FOUND"),
    ],
)
def test_only_the_users_own_hold_is_filled_and_only_with_what_it_holds(
    operation: Operation, expected: str
) -> None:
    """More than was held, another asset, another user, another order: refused, nothing changed."""
    before = picture(
        account(USER, 101, USDT, 1000), account(USER, 102, BTC, 1), account(OTHER, 103, USDT, 5)
    )

    assert names(before, held(), operation) == ["APPLIED", expected]
    _, changes = decide(before, [(SHARD, [held(), operation])])
    assert check(before, changes).holds[ORDER].state == "pending"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("10000", "APPLIED"), ("10000.000001", "LIMIT_EXCEEDED")],
)
def test_the_faucet_gives_up_to_its_bound_to_the_unit(given: str, expected: str) -> None:
    """Counted over all gifts, not per gift."""
    first = Operation("first", Faucet(USER, usdt(1)))
    rest = Operation("rest", Faucet(USER, Amount(USDT, Decimal(given) - 1)))

    assert names(EMPTY, Operation("all", Faucet(USER, usdt(given)))) == [expected]
    assert names(EMPTY, first, rest) == ["APPLIED", expected]


def test_what_has_no_faucet_gives_nothing() -> None:
    """Only play money has one."""
    assert names(RICH, Operation("k", Faucet(USER, btc(1)))) == ["LIMIT_EXCEEDED"]


def test_limits_of_an_account_bound_gifts_and_single_holds() -> None:
    """Exactly the limit is allowed."""
    limited = replace(account(USER, 101, USDT, 100), posted_max=Decimal(150), hold_max=Decimal(40))
    before = picture(limited)

    assert names(before, Operation("k", Faucet(USER, usdt(50)))) == ["APPLIED"]
    assert names(before, Operation("k", Faucet(USER, usdt("50.000001")))) == ["LIMIT_EXCEEDED"]
    assert names(before, held(40), held("40.000001", SECOND, "more")) == [
        "APPLIED",
        "LIMIT_EXCEEDED",
    ]


def test_a_fee_is_taken_from_what_is_not_held() -> None:
    """And refused rather than take what an order needs."""
    charge = Operation("fee", Fee(USER, usdt("0.000001")))

    assert names(RICH, held(1000), charge) == ["APPLIED", "INSUFFICIENT_FUNDS"]
    assert balances(RICH, [charge])["USDT"][0] == Decimal("999.999999")


def test_a_balance_never_outgrows_its_column() -> None:
    """38 digits before the point: more is an answer, not a failure of the batch."""
    vast = account(USER, 102, BTC, str(BALANCE_LIMIT - 1))
    before = picture(account(USER, 101, USDT, 100), vast)

    assert names(before, held(), filled(received="1", fee="0")) == ["APPLIED", "LIMIT_EXCEEDED"]


def test_an_asset_younger_than_the_remembered_registry_is_refused_for_now_only() -> None:
    """An executed order is posted as soon as the registry has been read again; nothing stays."""
    sol = AssetId("paper:SOL")
    bought = Operation(
        "fill",
        Fill(USER, ORDER, usdt(100), Amount(sol, Decimal(1)), Amount(sol, Decimal(0)), Side.BUY),
    )
    (_, _), changes = decide(RICH, [(SHARD, [held()]), (SHARD, [bought])])
    before = check(RICH, changes)
    assert names(before, bought) == ["NOT_FOUND"]
    assert "fill" not in before.keys

    later = replace(before, registry={**before.registry, sol: Asset(sol, "SOL", 9, None)})
    assert names(later, bought, bought) == ["APPLIED", "APPLIED*"]


def test_a_gift_of_an_unknown_asset_fails_no_neighbour() -> None:
    """It has an account, made a moment ago; the registry remembered here is older."""
    sol = AssetId("paper:SOL")
    before = picture(account(USER, 101, USDT), account(USER, 103, sol))
    gift = Operation("sol", Faucet(USER, Amount(sol, Decimal(1))))

    assert names(before, gift, Operation("usdt", Faucet(USER, usdt(1)))) == ["NOT_FOUND", "APPLIED"]
    _, changes = decide(before, [(SHARD, [gift])])
    assert changes.keys == {}
