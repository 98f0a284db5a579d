"""Judges a run: reads what people outside saw and what the stores say, and names what is wrong.

Pure, so that a history from anywhere can be judged, and the judge itself be tested with histories
that are broken on purpose. Each check is one promise; it yields a sentence for each breach. The
books must be read when everything has settled: what is still under way then counts as lost.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tests.history.books import ANSWER, DONE, SENT, Books, Job, Order
from tests.history.records import Heard, Pressed, Record, Said
from tests.history.resting import resting_orders_trigger_once, resting_orders_trigger_when_crossed
from tests.history.rules import rules_are_followed, rules_order_once
from tests.history.writers import an_epoch_has_one_owner, no_stale_write_is_accepted

CONFIRMS = ("confirm:", "rest:")
"""How the data of a button begins that accepts an offer: at once, or at its price."""
FILLED_MARK, REJECTED_MARK = "✓", "✗"
"""How a receipt begins, in every language: done, and not done."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was not kept, and where."""

    promise: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is judged."""

    records: Sequence[Record]
    books: Books


Check = Callable[[Evidence], Iterator[str]]


def judge(records: Iterable[Record], books: Books) -> list[Violation]:
    """Every breach of every promise, in the order of the promises."""
    evidence = Evidence(list(records), books)
    return [
        Violation(promise, what) for promise, check in PROMISES.items() for what in check(evidence)
    ]


def _updates_are_jobs_in_order(evidence: Evidence) -> Iterator[str]:
    """Each user's jobs are what the user sent, once each, in that order."""
    sent: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    for record in evidence.records:
        match record:
            case Said(user=user, update_id=update_id, text=text):
                sent[user].append((update_id, text))
            case Pressed(user=user, update_id=update_id, press_id=press_id):
                sent[user].append((update_id, f"press:{press_id}"))
    jobs = _jobs_by_user(evidence)
    for user in sorted(sent.keys() | jobs.keys()):
        wanted = [text for _, text in sorted(sent[user])]
        found = [job.input for job in jobs[user]]
        if wanted == found:
            continue
        lost, made_up = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
        yield from (f"user {user}: {text!r} was sent and is no job" for text in lost)
        yield from (f"user {user}: {text!r} is a job once too often" for text in made_up)
        if not lost and not made_up:
            yield f"user {user}: {found} instead of {wanted}"


def _jobs_end(evidence: Evidence) -> Iterator[str]:
    """Each job is done; one that was set aside was not worked."""
    for job in evidence.books.jobs:
        if job.done_at is None:
            yield f"job {job.job_id} of user {job.user}, {job.input!r}, never ended"
        elif job.outcome != DONE:
            yield f"job {job.job_id} of user {job.user}, {job.input!r}, set aside: {job.error}"


def _jobs_are_answered(evidence: Evidence) -> Iterator[str]:
    """Each job has an answer, Telegram took each message of it, and the chat showed it."""
    heard = {(r.user, r.message_id) for r in evidence.records if isinstance(r, Heard)}
    answered = set()
    for answer in evidence.books.answers:
        where = f"answer {answer.lane}/{answer.cause}/{answer.number} to user {answer.user}"
        if answer.lane == ANSWER:
            answered.add(answer.cause)
        if answer.done_at is None:
            yield f"{where} was never sent"
        elif not answer.is_message:
            continue  # a press that waited too long cannot be answered any more
        elif answer.state != SENT:
            yield f"{where} ended in state {answer.state}: {answer.failure}"
        elif (answer.user, answer.message_id) not in heard:
            yield f"{where} was sent as message {answer.message_id}, which the chat never showed"
    for job in evidence.books.jobs:
        if job.done_at is not None and job.job_id not in answered:
            yield f"job {job.job_id} of user {job.user}, {job.input!r}, has no answer"


def _one_after_another(evidence: Evidence) -> Iterator[str]:
    """A user's jobs end, and are answered, in the order they were accepted, without a gap."""
    places: dict[str, int] = {}
    for answer in evidence.books.answers:
        if answer.lane == ANSWER:
            places[answer.cause] = min(answer.place, places.get(answer.cause, answer.place))
    for user, jobs in _jobs_by_user(evidence).items():
        if [job.user_seq for job in jobs] != list(range(1, len(jobs) + 1)):
            yield f"user {user}: places {[job.user_seq for job in jobs]} in the user's order"
        for earlier, later in itertools.pairwise(jobs):
            if _is_after(earlier.done_at, later.done_at):
                yield f"user {user}: job {later.user_seq} ended before job {earlier.user_seq}"
            if _is_after(places.get(earlier.job_id), places.get(later.job_id)):
                yield f"user {user}: {later.user_seq} was answered before {earlier.user_seq}"


def _confirmed_is_accepted(evidence: Evidence) -> Iterator[str]:
    """A confirmed offer is an order, or waits for a price; a press too late changed nothing."""
    books = evidence.books
    accepted = {order.order_id for order in books.orders}
    waiting = {resting.order_id for resting in books.resting}
    drafts = {draft.draft_id: draft for draft in books.drafts}
    jobs = {job.input: job for job in books.jobs}
    for draft in books.drafts:
        if draft.state == "confirmed" and draft.draft_id not in accepted | waiting:
            yield f"offer {draft.draft_id} of user {draft.user} was confirmed and is no order"
    for order_id in accepted:
        if order_id not in drafts or drafts[order_id].state != "confirmed":
            yield f"order {order_id} was never confirmed"
    for pressed in evidence.records:
        if not isinstance(pressed, Pressed) or not pressed.data.startswith(CONFIRMS):
            continue
        found = drafts.get(pressed.data.partition(":")[2])
        job = jobs.get(f"press:{pressed.press_id}")
        if found is None or found.user != pressed.user or job is None or job.done_at is None:
            continue  # nobody's offer; or told of elsewhere
        if found.state == "open" and job.done_at < found.expires_at:
            yield f"user {pressed.user} confirmed {found.draft_id} in time, and it is still open"


def _orders_end(evidence: Evidence) -> Iterator[str]:
    """Every accepted order is filled or rejected, and no event waits to be told."""
    for order in evidence.books.orders:
        if order.ended_at is None:
            yield f"order {order.order_id} of user {order.user} is still {order.state}"
    if evidence.books.unrelayed_events:
        yield f"{evidence.books.unrelayed_events} events were never relayed"


def _ends_are_told(evidence: Evidence) -> Iterator[str]:
    """The user was shown each order's receipt after its end, with what really became of it."""
    receipts = {draft.draft_id: draft.receipt for draft in evidence.books.drafts}
    shown: defaultdict[int, list[Heard]] = defaultdict(list)
    for record in evidence.records:
        if isinstance(record, Heard) and record.text[:1] in (FILLED_MARK, REJECTED_MARK):
            shown[record.user].append(record)
    for order in evidence.books.orders:
        receipt = receipts.get(order.order_id)
        if order.ended_at is None or receipt is None:
            continue
        told = {heard.text[0] for heard in shown[order.user] if receipt in heard.text}
        true = FILLED_MARK if order.state == "filled" else REJECTED_MARK
        if not told:
            yield f"order {order.order_id} of user {order.user} ended and nobody said so"
        elif told != {true}:
            yield f"order {order.order_id} is {order.state}, and user {order.user} was told {told}"


def _effects_happen_once(evidence: Evidence) -> Iterator[str]:
    """Per order at most one hold, execution and trade; of a filled one exactly one of each."""
    books = evidence.books
    holds = Counter(t.order_id for t in books.transfers if t.operation == "hold")
    fills = Counter(t.order_id for t in books.transfers if t.operation == "fill")
    trades = Counter(trade.order_id for trade in books.trades)
    executed = Counter(e.order_id for e in books.executions if e.state == "filled")
    effects: dict[str, Counter[str] | Counter[str | None]] = {
        "hold": holds,
        "fill": fills,
        "trade": trades,
        "execution": executed,
    }
    for name, counts in effects.items():
        for order_id, count in counts.items():
            if order_id is not None and count > 1:
                yield f"order {order_id} has {count} times the effect {name}"
    for order in books.orders:
        wanted = _effects_wanted(order)
        for name, counts in effects.items():
            if wanted is not None and name in wanted and counts[order.order_id] != wanted[name]:
                yield (
                    f"order {order.order_id} is {order.state} with {counts[order.order_id]} times "
                    f"the effect {name}"
                )
    causes = Counter(draft.job_id for draft in books.drafts)
    yield from (
        f"job {job_id} made {count} offers" for job_id, count in causes.items() if count > 1
    )
    for count in (counts := Counter(order.order_id for order in books.orders)).values():
        if count > 1:
            yield f"an order was accepted {count} times: {counts.most_common(1)}"


def _effects_wanted(order: Order) -> dict[str, int] | None:
    if order.state == "filled":
        return {"hold": 1, "fill": 1, "trade": 1, "execution": 1}
    if order.state == "rejected":
        return {"fill": 0, "trade": 0, "execution": 0}
    return None


def _books_balance(evidence: Evidence) -> Iterator[str]:
    """Each asset sums to zero, and every balance is what moved; nothing is below zero."""
    books = evidence.books
    assets: defaultdict[str, Decimal] = defaultdict(Decimal)
    moved: defaultdict[str | None, Decimal] = defaultdict(Decimal)
    for entry in books.entries:
        assets[entry.asset] += entry.amount
        moved[entry.account] += entry.amount
    pending: defaultdict[str | None, Decimal] = defaultdict(Decimal)
    for transfer in books.transfers:
        if transfer.state == "pending":
            pending[transfer.debit_account] += transfer.amount
    yield from (f"{asset} sums to {total}" for asset, total in assets.items() if total != 0)
    for account in books.accounts:
        whose = f"user {account.user}'s {account.asset}"
        if account.posted < 0 or account.held < 0 or account.held > account.posted:
            yield f"{whose}: {account.posted}, of which {account.held} is held"
        if account.posted != moved[account.account_id]:
            yield f"{whose}: {account.posted}, and {moved[account.account_id]} moved"
        if account.held != pending[account.account_id]:
            yield f"{whose}: {account.held} held, and {pending[account.account_id]} is pending"


def _trades_explain_balances(evidence: Evidence) -> Iterator[str]:
    """What a user has is the faucet's gift and the trades, to the last unit."""
    books = evidence.books
    owner = {account.account_id: account for account in books.accounts}
    gifts = {t.transfer_id for t in books.transfers if t.operation == "faucet"}
    wanted: defaultdict[tuple[int, str], Decimal] = defaultdict(Decimal)
    given: Counter[int] = Counter()
    for entry in books.entries:
        if entry.transfer_id in gifts and entry.account in owner:
            account = owner[entry.account]
            wanted[account.user, account.asset] += entry.amount
            given[account.user] += 1
    for trade in books.trades:
        wanted[trade.user, trade.spent_asset] -= trade.spent
        wanted[trade.user, trade.received_asset] += trade.received - trade.fee
    yield from (f"user {user} had {n} gifts" for user, n in given.items() if n > 1)
    for account in books.accounts:
        explained = wanted.pop((account.user, account.asset), Decimal(0))
        if account.posted != explained:
            yield f"user {account.user} has {account.posted} {account.asset}, not {explained}"
    for (user, asset), explained in wanted.items():
        yield f"user {user} has no account for {explained} {asset}"


def _stores_agree(evidence: Evidence) -> Iterator[str]:
    for claim, rows in evidence.books.disagreements.items():
        yield f"not true that {claim}: {'; '.join(rows)}"


def _jobs_by_user(evidence: Evidence) -> defaultdict[int, list[Job]]:
    jobs: defaultdict[int, list[Job]] = defaultdict(list)
    for job in sorted(evidence.books.jobs, key=lambda job: job.user_seq):
        jobs[job.user].append(job)
    return jobs


def _is_after(earlier: float | None, later: float | None) -> bool:
    return earlier is not None and later is not None and earlier >= later


PROMISES: dict[str, Check] = {
    "no acknowledged update is lost, doubled or overtaken": _updates_are_jobs_in_order,
    "every job ends": _jobs_end,
    "every job is answered": _jobs_are_answered,
    "a user's jobs run one after another": _one_after_another,
    "a confirmed order is never forgotten": _confirmed_is_accepted,
    "every accepted order ends": _orders_end,
    "every end is told as it was": _ends_are_told,
    "each money effect happens at most once": _effects_happen_once,
    "the books sum to zero and no balance is negative": _books_balance,
    "balances are the gift and the trades": _trades_explain_balances,
    "all stores agree": _stores_agree,
    "each resting order triggers at most once": lambda e: resting_orders_trigger_once(e.books),
    "a resting order whose price was crossed for long enough triggers": lambda e: (
        resting_orders_trigger_when_crossed(e.records, e.books)
    ),
    "what orders by rule orders once": lambda e: rules_order_once(e.books),
    "what orders by rule is not forgotten": lambda e: rules_are_followed(e.books),
    "an epoch of a shard has one owner": lambda e: an_epoch_has_one_owner(e.records),
    "no stale write is accepted": lambda e: no_stale_write_is_accepted(e.records, e.books),
}
"""The checks, by the promise each is about."""

MONEY_PROMISES = frozenset(
    {
        "a confirmed order is never forgotten",
        "every accepted order ends",
        "each money effect happens at most once",
        "the books sum to zero and no balance is negative",
        "balances are the gift and the trades",
        "all stores agree",
        "each resting order triggers at most once",
        "what orders by rule orders once",
    }
)
"""Those that are broken when an effect on money is lost or doubled."""
