"""The books as they stand while a batch is decided: what each action does to them. No I/O.

    hold ──► pending ──fill──► posted          each of the three is final
                     ──release──► voided
                     ──time──► expired

Every action looks before it changes anything, so a refused one has changed nothing. Between `begin`
and `take_back` or `keep` what was there before is remembered, so that the earlier members of a
linked group can be taken back.
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from kernel.money import INTEGER_DIGITS_MAX
from ledger.domain.operations import (
    Action,
    Amount,
    Faucet,
    Fee,
    Fill,
    Hold,
    Outcome,
    Release,
    Side,
)
from ledger.domain.picture import (
    NONE,
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
class Refusal:
    """Why an operation is not applied; one that is not durable leaves no key."""

    outcome: Outcome
    durable: bool = True


_RESOLVED = {
    "posted": Refusal(Outcome.ALREADY_POSTED),
    "voided": Refusal(Outcome.ALREADY_VOIDED),
    "expired": Refusal(Outcome.EXPIRED),
}
_NOT_FOUND = Refusal(Outcome.NOT_FOUND)
_UNREGISTERED = Refusal(Outcome.NOT_FOUND, durable=False)
_UNKNOWN_ASSET = Refusal(Outcome.NOT_FOUND, durable=False)
_INSUFFICIENT = Refusal(Outcome.INSUFFICIENT_FUNDS)
_LIMIT = Refusal(Outcome.LIMIT_EXCEEDED)
MISMATCH = Refusal(Outcome.IDEMPOTENCY_MISMATCH, durable=False)


class WorkingBooks:
    """A picture, and what has been changed in it."""

    def __init__(self, picture: Picture, new_id: Callable[[], UUID]) -> None:
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

    def begin(self) -> None:
        """Remember from here on what was there before."""
        self._undo = []

    def keep(self) -> None:
        """Let what was done since `begin` stand."""
        self._undo = None

    def take_back(self) -> None:
        """Restore what was there at `begin`."""
        undo, self._undo = self._undo or [], None
        for mapping, key, value in reversed(undo):
            if value is None:
                del mapping[key]
            else:
                mapping[key] = value

    def known(self, key: str) -> KnownKey | None:
        """Find the first answer to a key."""
        return self._keys.get(key)

    def remember(self, key: str, answer: KnownKey) -> None:
        """Keep the first answer to a key."""
        self._set(self._keys, key, answer)

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

    def perform(self, action: Action) -> UUID | Refusal:
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

    def _hold(self, action: Hold) -> UUID | Refusal:
        amount = action.amount
        account = self._accounts.get((action.user_id, amount.asset_id))
        if account is None:
            return _NOT_FOUND
        earlier = self._holds.get(action.order_id)
        if earlier is not None:
            # The order is held already, under another key: the caller has two causes for one hold.
            return _RESOLVED.get(earlier.state, MISMATCH)
        if action.expires_at is not None and action.expires_at <= self._picture.now:
            return Refusal(Outcome.EXPIRED)
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
        self._put(account.moved(held=amount.value))
        return hold.transfer_id

    def _fill(self, action: Fill) -> UUID | Refusal:
        hold = self._hold_of(action.user_id, action.order_id)
        if isinstance(hold, Refusal):
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
        self._put(credited.moved(posted=received.value - action.fee.value))
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

    def _release(self, action: Release) -> UUID | Refusal:
        hold = self._hold_of(action.user_id, action.order_id)
        if isinstance(hold, Refusal):
            return hold
        self._resolve(hold, "voided")
        return hold.transfer_id

    def _faucet(self, action: Faucet) -> UUID | Refusal:
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
        self._put(account.moved(posted=amount.value, given=amount.value))
        return self._post(
            "faucet", amount, debit_system="faucet", credit_account_id=account.account_id
        )

    def _fee(self, action: Fee) -> UUID | Refusal:
        amount = action.amount
        account = self._accounts.get((action.user_id, amount.asset_id))
        if account is None:
            return _NOT_FOUND
        if account.posted - account.held < amount.value:
            return _INSUFFICIENT
        self._put(account.moved(posted=-amount.value))
        return self._post("fee", amount, debit_account_id=account.account_id, credit_system="fees")

    def _hold_of(self, user_id: UUID, order_id: UUID) -> HoldState | Refusal:
        """Find the pending hold of a user's order, or why there is none."""
        hold = self._holds.get(order_id)
        if hold is None or hold.user_id != user_id:
            return _NOT_FOUND
        return _RESOLVED.get(hold.state, hold)

    def _resolve(self, hold: HoldState, state: str, spent: Decimal | None = None) -> None:
        """End a pending hold; what was not spent of it can be spent again."""
        account = self._accounts[hold.user_id, hold.asset_id]
        self._put(account.moved(posted=NONE if spent is None else -spent, held=-hold.amount))
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


def _base_and_currency(action: Fill) -> tuple[Amount, Amount]:
    if action.side is Side.BUY:
        return action.received, action.spent
    return action.spent, action.received


def _differing(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: value for key, value in after.items() if before.get(key) is not value}
