"""Who gets which answer: idempotency keys, linked groups, whole batches. No I/O.

A `Picture` is what the database says of everybody involved, under locks. `Bookkeeper` applies
requests to it in order, in memory, and in the end says what has to be written (`Changes`). It
decides everything: the database executes, and refuses what would make a balance negative. What each
action does stands in `ledger.domain.working`.

Which refusals are durable: all but three kinds. SHARD_MISMATCH, and NOT_FOUND for a user nobody has
registered, leave no key behind, because the caller may not be the one the key belongs to; NOT_FOUND
for an asset that is not in the registry leaves none, because the registry is a remembered one and
the asset may be younger: an executed order must not be refused its posting for ever; and
IDEMPOTENCY_MISMATCH never overwrites the first answer. The other members of a group that failed so
leave none either.
"""

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from kernel.identifiers import new_uuid7
from kernel.money import exact
from kernel.sharding import ShardKey
from ledger.domain.operations import (
    FINGERPRINT_VERSION,
    Answer,
    Operation,
    Outcome,
    fingerprint_of,
    linked_groups,
)
from ledger.domain.picture import Changes, KnownKey, Picture
from ledger.domain.working import MISMATCH, Refusal, WorkingBooks

_NOT_DURABLE = frozenset({Outcome.IDEMPOTENCY_MISMATCH, Outcome.SHARD_MISMATCH})


class Bookkeeper:
    """Applies requests to a picture, one after the other. Use it inside `kernel.money.exact()`."""

    def __init__(self, picture: Picture, new_id: Callable[[], UUID] = new_uuid7) -> None:
        self._users = picture.users
        self._books = WorkingBooks(picture, new_id)

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
        return self._books.changes()

    def _apply_alone(self, shard: ShardKey, operation: Operation) -> Answer:
        fingerprint = fingerprint_of(operation.action)
        settled = self._settled(shard, operation, fingerprint)
        if settled is not None:
            return settled
        result = self._books.perform(operation.action)
        if isinstance(result, Refusal):
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
        self._books.begin()
        answers: list[Answer] = []
        refusal: Refusal | None = None
        for operation, fingerprint in zip(group, prints, strict=True):
            answer = self._settled(shard, operation, fingerprint)
            if answer is None:
                result = self._books.perform(operation.action)
                if isinstance(result, Refusal):
                    refusal = result
                    break
                self._remember(operation, fingerprint, Outcome.APPLIED, result)
                answer = Answer(Outcome.APPLIED, result)
            elif answer.outcome is not Outcome.APPLIED:
                refusal = MISMATCH
                break
            answers.append(answer)
        if refusal is None:
            self._books.keep()
            return answers
        self._books.take_back()
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
        home = self._users.get(operation.action.user_id)
        if home is not None and home != shard:
            return Answer(Outcome.SHARD_MISMATCH)
        known = self._books.known(operation.idempotency_key)
        if known is None:
            return None
        if known.fingerprint_version == FINGERPRINT_VERSION and known.fingerprint != fingerprint:
            return Answer(Outcome.IDEMPOTENCY_MISMATCH)
        return Answer(known.outcome, known.transfer_id, replayed=True)

    def _remember(
        self, operation: Operation, fingerprint: bytes, outcome: Outcome, transfer_id: UUID | None
    ) -> None:
        answer = KnownKey(FINGERPRINT_VERSION, fingerprint, outcome, transfer_id)
        self._books.remember(operation.idempotency_key, answer)


def decide(
    picture: Picture, requests: Iterable[tuple[ShardKey, Sequence[Operation]]]
) -> tuple[list[list[Answer]], Changes]:
    """Apply requests in order: their answers, and what has to be written for them to be true."""
    with exact():
        bookkeeper = Bookkeeper(picture)
        answers = [bookkeeper.apply(shard, operations) for shard, operations in requests]
        return answers, bookkeeper.changes()
