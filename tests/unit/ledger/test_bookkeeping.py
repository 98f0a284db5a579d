"""The state machine of transfers, decided in memory."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from kernel.sharding import ShardKey
from ledger.domain.assets import Asset
from ledger.domain.bookkeeping import decide
from ledger.domain.operations import (
    Action,
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
from ledger.domain.picture import Picture
from ledger.domain.working import BALANCE_LIMIT

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


def test_the_same_key_again_gives_the_first_answer_refusals_included() -> None:
    """Within a request, and once it has been written."""
    refusal = held(5000, SECOND, "too much")
    operations = [held(), refusal, held(), refusal]
    first, _, again, _ = answers(RICH, *operations)
    _, changes = decide(RICH, [(SHARD, operations)])

    assert names(RICH, *operations) == [
        "APPLIED", "INSUFFICIENT_FUNDS", "APPLIED*", "INSUFFICIENT_FUNDS*",
    ]  # fmt: skip
    assert again.transfer_id == first.transfer_id
    later = written(RICH, changes)
    assert names(later, *operations[:2]) == ["APPLIED*", "INSUFFICIENT_FUNDS*"]
    assert check(later, decide(later, [(SHARD, operations)])[1]) == later


@pytest.mark.parametrize(
    "other",
    [
        held("100.000001"),
        held(order=SECOND),
        Operation("hold", Hold(OTHER, ORDER, usdt(100), None)),
        Operation("hold", Hold(USER, ORDER, btc(100), None)),
        Operation("hold", Hold(USER, ORDER, usdt(100), NOW + timedelta(hours=1))),
        Operation("hold", Release(USER, ORDER)),
        Operation("hold", Fee(USER, usdt(100))),
        Operation("hold", Faucet(USER, usdt(100))),
    ],
)
def test_the_same_key_with_any_other_field_is_a_mismatch(other: Operation) -> None:
    """And the first answer stands."""
    assert names(RICH, held(), other, held())[1:] == ["IDEMPOTENCY_MISMATCH", "APPLIED*"]


def test_another_way_to_write_the_same_amount_is_the_same_operation() -> None:
    """0.50 is 0.5; being linked is no part of it either."""
    assert names(RICH, held("100"), held("100.000000"))[1] == "APPLIED*"
    one, other = held(linked=True), released()
    assert names(RICH, held(), one, other) == ["APPLIED", "APPLIED*", "APPLIED"]


def test_an_answer_under_an_older_fingerprint_is_believed() -> None:
    """A new version of the code cannot compare it, and must not do the effect again."""
    _, changes = decide(RICH, [(SHARD, [held()])])
    later = written(RICH, changes)
    older = replace(later.keys["hold"], fingerprint_version=0, fingerprint=b"\0" * 32)

    assert names(replace(later, keys={"hold": older}), held()) == ["APPLIED*"]


def test_a_user_of_another_shard_is_refused_without_a_trace() -> None:
    """The key stays free for the rightful caller, also in a linked group."""
    elsewhere = replace(RICH, users={USER: ShardKey("default.main", 9)})
    group = [held(linked=True), released()]

    assert names(elsewhere, held()) == ["SHARD_MISMATCH"]
    assert decide(elsewhere, [(SHARD, [held()]), (SHARD, group)])[1].keys == {}


def test_an_unregistered_user_is_not_found_without_a_trace() -> None:
    """Nobody can tell whose key it is."""
    charge = Operation("k", Fee(STRANGER, usdt(1)))

    assert names(RICH, charge) == ["NOT_FOUND"]
    assert decide(RICH, [(SHARD, [charge])])[1].keys == {}


def test_a_missing_account_is_not_found_and_that_is_kept() -> None:
    """The user is known here, so the refusal is his."""
    charge = Operation("k", Fee(USER, btc(1)))

    assert names(EMPTY, charge) == ["NOT_FOUND"]
    assert list(decide(EMPTY, [(SHARD, [charge])])[1].keys) == ["k"]


def test_a_linked_group_fails_together_and_says_which_one_was_to_blame() -> None:
    """What the earlier members did is taken back; the neighbours go on; a replay says the same."""
    group = [held(linked=True), held(5000, SECOND, "too much", linked=True), released()]
    beside = Operation("fee", Fee(USER, usdt(1)))
    _, changes = decide(RICH, [(SHARD, [*group, beside])])
    after = check(RICH, changes)

    expected = ["LINKED_FAILED", "INSUFFICIENT_FUNDS", "LINKED_FAILED"]
    assert names(RICH, *group, beside) == [*expected, "APPLIED"]
    assert after.accounts[USER, USDT].posted == 999
    assert after.holds == {}
    assert names(after, *group) == [f"{name}*" for name in expected]


def test_a_linked_group_succeeds_together() -> None:
    """And is replayed as it was."""
    group = [held(linked=True), filled()]
    _, changes = decide(RICH, [(SHARD, group)])

    assert names(RICH, *group) == ["APPLIED", "APPLIED"]
    assert names(check(RICH, changes), *group) == ["APPLIED*", "APPLIED*"]


def test_a_member_applied_before_stays_and_its_new_neighbour_answers_for_itself() -> None:
    """What was applied in an earlier call cannot be taken back."""
    _, changes = decide(RICH, [(SHARD, [held()])])
    later = written(RICH, changes)
    group = [held(linked=True), held(5000, SECOND, "too much")]

    assert names(later, *group) == ["APPLIED*", "INSUFFICIENT_FUNDS"]
    assert check(later, decide(later, [(SHARD, group)])[1]).holds[ORDER].state == "pending"


def test_a_member_refused_before_fails_the_group() -> None:
    """Its answer is final, so the group can never succeed."""
    refusal = held(5000, SECOND, "too much")
    _, changes = decide(RICH, [(SHARD, [refusal])])
    later = written(RICH, changes)

    assert names(later, held(linked=True), refusal) == ["LINKED_FAILED", "INSUFFICIENT_FUNDS*"]


def test_a_key_that_stands_twice_in_a_failing_group_gets_one_answer() -> None:
    """The key is kept once, with the answer its first place got."""
    group = [held(linked=True), held(linked=True), held(5000, SECOND, "too much")]
    _, changes = decide(RICH, [(SHARD, group)])

    assert names(RICH, *group) == ["LINKED_FAILED", "LINKED_FAILED*", "INSUFFICIENT_FUNDS"]
    assert changes.keys["hold"].outcome is Outcome.LINKED_FAILED


def test_a_mismatch_in_a_group_fails_it_without_a_trace() -> None:
    """A caller's mistake with one key must not burn the keys beside it."""
    _, changes = decide(RICH, [(SHARD, [held()])])
    later = written(RICH, changes)
    group = [Operation("new", Fee(USER, usdt(1)), linked=True), held(7)]

    assert names(later, *group) == ["LINKED_FAILED", "IDEMPOTENCY_MISMATCH"]
    assert decide(later, [(SHARD, group)])[1].keys == {}


amounts = st.decimals(Decimal("0.000001"), Decimal(20_000), places=6)
few = st.integers(1, 3)


@st.composite
def actions(draw: st.DrawFn) -> Action:
    """Any action of a few users about a few orders."""
    user, order = UUID(int=draw(few)), UUID(int=10 + draw(few))
    value = draw(amounts)
    kind = draw(st.sampled_from(["hold", "fill", "release", "faucet", "fee"]))
    match kind:
        case "hold":
            seconds = draw(st.none() | st.integers(-1, 3))
            expires = None if seconds is None else NOW + timedelta(seconds=seconds)
            return Hold(user, order, Amount(draw(st.sampled_from([USDT, BTC])), value), expires)
        case "fill":
            side = draw(st.sampled_from(Side))
            spent, received = (USDT, BTC) if side is Side.BUY else (BTC, USDT)
            other = draw(amounts)
            fee = Amount(received, draw(st.decimals(Decimal(0), other, places=6)))
            return Fill(user, order, Amount(spent, value), Amount(received, other), fee, side)
        case "release":
            return Release(user, order)
        case "faucet":
            return Faucet(user, Amount(draw(st.sampled_from([USDT, BTC])), value))
        case _:
            return Fee(user, Amount(draw(st.sampled_from([USDT, BTC])), value))


operations = st.builds(
    Operation, st.integers(0, 12).map(lambda n: f"key-{n}"), actions(), st.booleans()
)
requests = st.lists(operations, min_size=1, max_size=8).map(
    lambda some: [*some[:-1], replace(some[-1], linked=False)]
)


@given(batches=st.lists(st.lists(requests, min_size=1, max_size=4), max_size=4))
def test_whatever_is_asked_the_books_balance_and_answers_stay(
    batches: list[list[list[Operation]]],
) -> None:
    """Batch after batch: double entry, nothing negative, holds end once, keys answer once."""
    before: Picture = picture(
        account(USER, 101, USDT, 500), account(USER, 102, BTC, 3), account(OTHER, 103, USDT, 70)
    )
    for number, batch in enumerate(batches):
        before = replace(before, now=NOW + timedelta(seconds=number))
        answered, changes = decide(before, [(SHARD, request) for request in batch])
        after = check(before, changes)
        for order, hold in before.holds.items():
            assert hold.state == "pending" or after.holds[order] == hold
        for key, known in before.keys.items():
            assert after.keys[key] == known
        effects = [k.transfer_id for k in after.keys.values() if k.outcome is Outcome.APPLIED]
        assert None not in effects
        for request, given_answers in zip(batch, answered, strict=True):
            for operation, answer in zip(request, given_answers, strict=True):
                kept = after.keys.get(operation.idempotency_key)
                if answer.replayed:
                    assert kept is not None
                    assert (answer.outcome, answer.transfer_id) == (kept.outcome, kept.transfer_id)
        before = after


@given(batch=st.lists(requests, min_size=1, max_size=6))
def test_requests_of_one_batch_are_answered_as_if_they_came_one_by_one(
    batch: list[list[Operation]],
) -> None:
    """Group commit is invisible: the same answers and the same books."""
    start = picture(
        account(USER, 101, USDT, 500), account(USER, 102, BTC, 3), account(OTHER, 103, USDT, 70)
    )
    together, changes = decide(start, [(SHARD, request) for request in batch])
    all_at_once = check(start, changes)
    one_by_one, apart = start, []
    for request in batch:
        (given_answers,), changes = decide(one_by_one, [(SHARD, request)])
        one_by_one = check(one_by_one, changes)
        apart.append(given_answers)

    assert [[(a.outcome, a.replayed) for a in request] for request in together] == [
        [(a.outcome, a.replayed) for a in request] for request in apart
    ]
    for key, state in all_at_once.accounts.items():
        assert (state.posted, state.held) == (
            one_by_one.accounts[key].posted,
            one_by_one.accounts[key].held,
        )


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
