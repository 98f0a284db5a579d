"""One answer per key, linked groups that go together, and batches that answer like one by one."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ledger.booking import (
    EMPTY,
    ORDER,
    OTHER,
    RICH,
    SECOND,
    STRANGER,
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
    btc,
    check,
    names,
    picture,
    usdt,
    written,
)

from kernel.sharding import ShardKey
from ledger.domain.bookkeeping import decide
from ledger.domain.operations import (
    Action,
    Amount,
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
