"""The state machine of transfers: what each operation does to a picture of the books. No I/O.

A `Picture` is what the database says of everybody involved, under locks. `Bookkeeper` applies
requests to it in order, in memory, and in the end says what has to be written (`Changes`). It
decides everything: the database executes, and refuses what would make a balance negative.

    hold ──► pending ──fill──► posted          each of the three is final
                     ──release──► voided
                     ──time──► expired

Every action looks before it changes anything, so a refused one has changed nothing. A linked group
keeps an undo log: when one member is refused, what the others did is taken back.

Which refusals are durable: all but three kinds. SHARD_MISMATCH, and NOT_FOUND for a user nobody has
registered, leave no key behind, because the caller may not be the one the key belongs to; NOT_FOUND
for an asset that is not in the registry leaves none, because the registry is a remembered one and
the asset may be younger: an executed order must not be refused its posting for ever; and
IDEMPOTENCY_MISMATCH never overwrites the first answer. The other members of a group that failed so
leave none either.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from kernel.identifiers import new_uuid7
from kernel.money import INTEGER_DIGITS_MAX, exact
from kernel.sharding import ShardKey
from ledger.domain.operations import (
    FINGERPRINT_VERSION,
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
    fingerprint_of,
    linked_groups,
)
from ledger.domain.picture import (
    AccountState,
    Changes,
    HoldState,
    KnownKey,
    Picture,
    Trade,
    Transfer,
)
from ledger.domain.positions import NOTHING, Position, buy, sell

BALANCE_LIMIT = Decimal(10) ** INTEGER_DIGITS_MAX
"""Balances stay below: what the columns hold and the wire carries."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why an operation is not applied; one that is not durable leaves no key."""

    outcome: Outcome
    durable: bool = True


_RESOLVED = {
    "posted": _Refusal(Outcome.ALREADY_POSTED),
    "voided": _Refusal(Outcome.ALREADY_VOIDED),
    "expired": _Refusal(Outcome.EXPIRED),
}
_NOT_FOUND = _Refusal(Outcome.NOT_FOUND)
_UNREGISTERED = _Refusal(Outcome.NOT_FOUND, durable=False)
_UNKNOWN_ASSET = _Refusal(Outcome.NOT_FOUND, durable=False)
_INSUFFICIENT = _Refusal(Outcome.INSUFFICIENT_FUNDS)
_LIMIT = _Refusal(Outcome.LIMIT_EXCEEDED)
_MISMATCH = _Refusal(Outcome.IDEMPOTENCY_MISMATCH, durable=False)
_OTHER_SHARD = _Refusal(Outcome.SHARD_MISMATCH, durable=False)
_NOT_DURABLE = frozenset({Outcome.IDEMPOTENCY_MISMATCH, Outcome.SHARD_MISMATCH})


class Bookkeeper:
    """Applies requests to a picture, one after the other. Use it inside `kernel.money.exact()`."""

    def __init__(self, picture: Picture, new_id: Callable[[], UUID] = new_uuid7) -> None:
        self._picture = picture
        self._new_id = new_id
        self._accounts = dict(picture.accounts)
        self._holds = dict(picture.holds)
        self._positions = dict(picture.positions)
        self._keys = dict(picture.keys)
        self._transfers: dict[UUID, Transfer] = {}
        self._trades: dict[UUID, Trade] = {}
        self._undo: list[tuple[MutableMapping[Any, Any], Any, Any]] | None = None
        self._expire()

    def apply(self, shard: ShardKey, operations: Sequence[Operation]) -> list[Answer]:
        """Apply one request made for `shard`; an answer per operation, in order."""
        answers: list[Answer] = []
        for group in linked_groups(operations):
            if len(group) == 1:
                answers.append(self._apply_alone(shard, group[0]))
            else:
                answers.extend(self._apply_together(shard, group))
        return answers

    def changes(self) -> Changes:
        """Say what has to be written. Call it once, after everything was applied."""
        before = self._picture
        accounts = _differing(before.accounts, self._accounts)
        holds = _differing(before.holds, self._holds)
        return Changes(
            opened=[a for key, a in accounts.items() if key not in before.accounts],
            changed=[a for key, a in accounts.items() if key in before.accounts],
            holds_made=[h for order, h in holds.items() if order not in before.holds],
            holds_resolved=[h for order, h in holds.items() if order in before.holds],
            transfers=list(self._transfers.values()),
            trades=list(self._trades.values()),
            positions=_differing(before.positions, self._positions),
            keys=_differing(before.keys, self._keys),
        )

    def _expire(self) -> None:
        """End the holds whose time is over: a fact of time, whoever touches them."""
        for hold in list(self._holds.values()):
            if hold.state == "pending" and hold.expires_at and hold.expires_at <= self._picture.now:
                self._resolve(hold, "expired")

    def _apply_alone(self, shard: ShardKey, operation: Operation) -> Answer:
        fingerprint = fingerprint_of(operation.action)
        settled = self._settled(shard, operation, fingerprint)
        if settled is not None:
            return settled
        result = self._perform(operation.action)
        if isinstance(result, _Refusal):
            if result.durable:
                self._remember(operation, fingerprint, result.outcome, None)
            return Answer(result.outcome)
        self._remember(operation, fingerprint, Outcome.APPLIED, result)
        return Answer(Outcome.APPLIED, result)

    def _apply_together(self, shard: ShardKey, group: Sequence[Operation]) -> list[Answer]:
        """Apply a linked group: all, or none and the first one that was refused says why.

        A member answered before counts as it stood: what was applied then cannot be taken back.
        """
        prints = [fingerprint_of(operation.action) for operation in group]
        before = [
            self._settled(shard, operation, fingerprint)
            for operation, fingerprint in zip(group, prints, strict=True)
        ]
        failed = next((a.outcome for a in before if a and a.outcome is not Outcome.APPLIED), None)
        if failed is not None:
            durable = failed not in _NOT_DURABLE
            return self._link_failed(shard, group, prints, before, durable=durable)
        self._undo = []
        answers: list[Answer] = []
        refusal: _Refusal | None = None
        for operation, fingerprint in zip(group, prints, strict=True):
            answer = self._settled(shard, operation, fingerprint)
            if answer is None:
                result = self._perform(operation.action)
                if isinstance(result, _Refusal):
                    refusal = result
                    break
                self._remember(operation, fingerprint, Outcome.APPLIED, result)
                answer = Answer(Outcome.APPLIED, result)
            elif answer.outcome is not Outcome.APPLIED:
                refusal = _MISMATCH
                break
            answers.append(answer)
        undo, self._undo = self._undo, None
        if refusal is None:
            return answers
        for mapping, key, value in reversed(undo):
            if value is None:
                del mapping[key]
            else:
                mapping[key] = value
        place = len(answers)
        before[place] = Answer(refusal.outcome)
        if refusal.durable:
            self._remember(group[place], prints[place], refusal.outcome, None)
        return self._link_failed(shard, group, prints, before, durable=refusal.durable)

    def _link_failed(
        self,
        shard: ShardKey,
        group: Sequence[Operation],
        prints: Sequence[bytes],
        answers: Sequence[Answer | None],
        *,
        durable: bool,
    ) -> list[Answer]:
        """Answer the members that have no answer yet: another one of their group was refused."""
        result = []
        for operation, fingerprint, known in zip(group, prints, answers, strict=True):
            # Asked again: a key may stand twice in one group.
            answer = known or self._settled(shard, operation, fingerprint)
            if answer is None:
                answer = Answer(Outcome.LINKED_FAILED)
                if durable:
                    self._remember(operation, fingerprint, Outcome.LINKED_FAILED, None)
            result.append(answer)
        return result

    def _settled(self, shard: ShardKey, operation: Operation, fingerprint: bytes) -> Answer | None:
        """Answer what needs no deciding: a stranger's user, a key that was answered before."""
        home = self._picture.users.get(operation.action.user_id)
        if home is not None and home != shard:
            return Answer(Outcome.SHARD_MISMATCH)
        known = self._keys.get(operation.idempotency_key)
        if known is None:
            return None
        if known.fingerprint_version == FINGERPRINT_VERSION and known.fingerprint != fingerprint:
            return Answer(Outcome.IDEMPOTENCY_MISMATCH)
        return Answer(known.outcome, known.transfer_id, replayed=True)

    def _remember(
        self, operation: Operation, fingerprint: bytes, outcome: Outcome, transfer_id: UUID | None
    ) -> None:
        answer = KnownKey(FINGERPRINT_VERSION, fingerprint, outcome, transfer_id)
        self._set(self._keys, operation.idempotency_key, answer)

    def _perform(self, action: Action) -> UUID | _Refusal:
        """Do one action; gives the transfer that stands for it."""
        if action.user_id not in self._picture.users:
            return _UNREGISTERED
        match action:
            case Hold():
                return self._hold(action)
            case Fill():
                return self._fill(action)
            case Release():
                return self._release(action)
            case Faucet():
                return self._faucet(action)
            case Fee():
                return self._fee(action)

    def _hold(self, action: Hold) -> UUID | _Refusal:
        amount = action.amount
        account = self._accounts.get((action.user_id, amount.asset_id))
        if account is None:
            return _NOT_FOUND
        earlier = self._holds.get(action.order_id)
        if earlier is not None:
            # The order is held already, under another key: the caller has two causes for one hold.
            return _RESOLVED.get(earlier.state, _MISMATCH)
        if action.expires_at is not None and action.expires_at <= self._picture.now:
            return _Refusal(Outcome.EXPIRED)
        if account.hold_max is not None and amount.value > account.hold_max:
            return _LIMIT
        if account.posted - account.held < amount.value:
            return _INSUFFICIENT
        hold = HoldState(
            transfer_id=self._new_id(),
            order_id=action.order_id,
            user_id=action.user_id,
            account_id=account.account_id,
            asset_id=amount.asset_id,
            amount=amount.value,
            state="pending",
            expires_at=action.expires_at,
        )
        self._set(self._holds, action.order_id, hold)
        self._put(replace(account, held=account.held + amount.value))
        return hold.transfer_id

    def _fill(self, action: Fill) -> UUID | _Refusal:
        hold = self._hold_of(action.user_id, action.order_id)
        if isinstance(hold, _Refusal):
            return hold
        spent, received = action.spent, action.received
        if hold.asset_id != spent.asset_id:
            return _NOT_FOUND
        if received.asset_id not in self._picture.registry:
            return _UNKNOWN_ASSET
        if spent.value > hold.amount:
            return _INSUFFICIENT
        credited = self._accounts.get((action.user_id, received.asset_id)) or AccountState(
            self._new_id(), action.user_id, received.asset_id
        )
        # No look at posted_max: the venue has executed the order, refusing would lose the money.
        position, trade = self._trade(action)
        if max(credited.posted + received.value, position.cost) >= BALANCE_LIMIT:
            return _LIMIT
        self._resolve(hold, "posted", spent.value)
        self._put(replace(credited, posted=credited.posted + received.value - action.fee.value))
        base, currency = _base_and_currency(action)
        self._set(self._positions, (action.user_id, base.asset_id, currency.asset_id), position)
        self._set(self._trades, action.order_id, trade)
        if action.fee.value:
            self._post(
                "fee",
                action.fee,
                debit_account_id=credited.account_id,
                credit_system="fees",
                order_id=action.order_id,
            )
        return self._post(
            "fill",
            received,
            debit_system="venue",
            credit_account_id=credited.account_id,
            order_id=action.order_id,
        )

    def _trade(self, action: Fill) -> tuple[Position, Trade]:
        """What the order leaves of the position, and the order as a trade."""
        base, currency = _base_and_currency(action)
        key = (action.user_id, base.asset_id, currency.asset_id)
        position = self._positions.get(key, NOTHING)
        net = action.received.value - action.fee.value
        realised = None
        if action.side is Side.BUY:
            position = buy(position, net, action.spent.value)
        else:
            position, cost = sell(position, action.spent.value)
            realised = net - cost
        trade = Trade(
            order_id=action.order_id,
            user_id=action.user_id,
            side=action.side,
            spent=action.spent,
            received=action.received,
            fee=action.fee.value,
            realised_pnl=realised,
        )
        return position, trade

    def _release(self, action: Release) -> UUID | _Refusal:
        hold = self._hold_of(action.user_id, action.order_id)
        if isinstance(hold, _Refusal):
            return hold
        self._resolve(hold, "voided")
        return hold.transfer_id

    def _faucet(self, action: Faucet) -> UUID | _Refusal:
        amount = action.amount
        account = self._accounts.get((action.user_id, amount.asset_id))
        if account is None:
            return _NOT_FOUND
        asset = self._picture.registry.get(amount.asset_id)
        if asset is None:
            return _UNKNOWN_ASSET
        given = account.faucet_given + amount.value
        posted = account.posted + amount.value
        if asset.faucet_max is None or given > asset.faucet_max:
            return _LIMIT
        if posted >= BALANCE_LIMIT or (
            account.posted_max is not None and posted > account.posted_max
        ):
            return _LIMIT
        self._put(replace(account, posted=posted, faucet_given=given))
        return self._post(
            "faucet", amount, debit_system="faucet", credit_account_id=account.account_id
        )

    def _fee(self, action: Fee) -> UUID | _Refusal:
        amount = action.amount
        account = self._accounts.get((action.user_id, amount.asset_id))
        if account is None:
            return _NOT_FOUND
        if account.posted - account.held < amount.value:
            return _INSUFFICIENT
        self._put(replace(account, posted=account.posted - amount.value))
        return self._post("fee", amount, debit_account_id=account.account_id, credit_system="fees")

    def _hold_of(self, user_id: UUID, order_id: UUID) -> HoldState | _Refusal:
        """Find the pending hold of a user's order, or why there is none."""
        hold = self._holds.get(order_id)
        if hold is None or hold.user_id != user_id:
            return _NOT_FOUND
        return _RESOLVED.get(hold.state, hold)

    def _resolve(self, hold: HoldState, state: str, spent: Decimal | None = None) -> None:
        """End a pending hold; what was not spent of it can be spent again."""
        account = self._accounts[hold.user_id, hold.asset_id]
        posted = account.posted if spent is None else account.posted - spent
        self._put(replace(account, posted=posted, held=account.held - hold.amount))
        self._set(self._holds, hold.order_id, replace(hold, state=state, posted_amount=spent))

    def _post(
        self,
        operation: str,
        amount: Amount,
        *,
        debit_account_id: UUID | None = None,
        debit_system: str | None = None,
        credit_account_id: UUID | None = None,
        credit_system: str | None = None,
        order_id: UUID | None = None,
    ) -> UUID:
        transfer_id = self._new_id()
        transfer = Transfer(
            transfer_id,
            operation,
            amount.asset_id,
            amount.value,
            debit_account_id,
            debit_system,
            credit_account_id,
            credit_system,
            order_id,
        )
        self._set(self._transfers, transfer_id, transfer)
        return transfer_id

    def _put(self, account: AccountState) -> None:
        self._set(self._accounts, (account.user_id, account.asset_id), account)

    def _set(self, mapping: MutableMapping[Any, Any], key: object, value: object) -> None:
        if self._undo is not None:
            self._undo.append((mapping, key, mapping.get(key)))
        mapping[key] = value


def decide(
    picture: Picture, requests: Iterable[tuple[ShardKey, Sequence[Operation]]]
) -> tuple[list[list[Answer]], Changes]:
    """Apply requests in order: their answers, and what has to be written for them to be true."""
    with exact():
        bookkeeper = Bookkeeper(picture)
        answers = [bookkeeper.apply(shard, operations) for shard, operations in requests]
        return answers, bookkeeper.changes()


def _base_and_currency(action: Fill) -> tuple[Amount, Amount]:
    if action.side is Side.BUY:
        return action.received, action.spent
    return action.spent, action.received


def _differing(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: value for key, value in after.items() if before.get(key) is not value}
