"""The checker is checked: a good history passes, and each kind of breach is named.

Every broken history is the good one with one thing changed, so that what is found is due to that.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.history.books import Books, Entry, Step
from tests.history.checker import MONEY_PROMISES, PROMISES, judge
from tests.history.records import Heard, HistoryFile, Placed, Quoted, Record, Struck, read_history
from tests.unit.history import good_run
from tests.unit.history.good_run import ORDER, RESTING, USDT

Break = Callable[[list[Record], Books], tuple[list[Record], Books]]

LOST = "no acknowledged update is lost, doubled or overtaken"
ENDS = "every job ends"
ANSWERED = "every job is answered"
IN_TURN = "a user's jobs run one after another"
FORGOTTEN = "a confirmed order is never forgotten"
ORDER_ENDS = "every accepted order ends"
TOLD = "every end is told as it was"
ONCE = "each money effect happens at most once"
ZERO = "the books sum to zero and no balance is negative"
EXPLAINED = "balances are the gift and the trades"
AGREE = "all stores agree"
TRIGGER_ONCE = "each resting order triggers at most once"
TRIGGERS = "a resting order whose price was crossed for long enough triggers"
RULES_ONCE = "what orders by rule orders once"
RULES_FOLLOWED = "what orders by rule is not forgotten"
ONE_OWNER = "an epoch of a shard has one owner"
STALE = "no stale write is accepted"


def test_a_good_run_is_accepted() -> None:
    """Nothing is said against it."""
    assert judge(good_run.records(), good_run.books()) == []


def changed(rows: list[Any], which: Callable[[Any], bool], **changes: Any) -> list[Any]:
    """The rows with those that are meant changed; there must be some."""
    assert any(which(row) for row in rows)
    return [replace(row, **changes) if which(row) else row for row in rows]


def with_rows(table: str, change: Callable[[list[Any]], list[Any]]) -> Break:
    """Change one table."""

    def broken(records: list[Record], books: Books) -> tuple[list[Record], Books]:
        rows: dict[str, Any] = {table: change(getattr(books, table))}
        return records, replace(books, **rows)

    return broken


def in_books(table: str, which: Callable[[Any], bool], **changes: Any) -> Break:
    """Change rows of one table."""
    return with_rows(table, lambda rows: changed(rows, which, **changes))


def without(table: str, which: Callable[[Any], bool]) -> Break:
    """Leave rows of one table out."""
    return with_rows(table, lambda rows: [row for row in rows if not which(row)])


def twice(table: str, which: Callable[[Any], bool]) -> Break:
    """Have rows of one table once more."""

    def more(rows: list[Any]) -> list[Any]:
        again = [row for row in rows if which(row)]
        assert again
        return rows + again

    return with_rows(table, more)


def and_seen(*more: Record) -> Break:
    """Add what was seen."""
    return lambda records, books: ([*records, *more], books)


def unheard(words: str) -> Break:
    """Leave out what was heard with these words."""
    return lambda records, books: (
        [r for r in records if not (isinstance(r, Heard) and words in r.text)],
        books,
    )


def heard_instead(words: str, said: str) -> Break:
    """Let the bot have said something else."""
    return lambda records, books: (
        [
            msgspec.structs.replace(r, text=said) if isinstance(r, Heard) and words in r.text else r
            for r in records
        ],
        books,
    )


def a_step(order_id: str, step: str, epoch: int, at: float) -> Break:
    """Add a step of an order."""
    return with_rows("steps", lambda steps: [*steps, Step(9, order_id, 0, step, epoch, at)])


def _swapped(records: list[Record], books: Books) -> tuple[list[Record], Books]:
    inputs = {"j-3": "press:p1", "j-4": "/buy BTC $100"}
    jobs = [replace(job, input=inputs.get(job.job_id, job.input)) for job in books.jobs]
    return records, replace(books, jobs=jobs)


def _crossed_in_vain(records: list[Record], books: Books) -> tuple[list[Record], Books]:
    """The stop waits on though the price stayed below it from 60 on."""
    records, books = without("orders", lambda o: o.order_id == RESTING)(records, books)
    steps = [step for step in books.steps if step.order_id != RESTING]
    waiting = good_run.resting(state="waiting", ended_at=None)
    prices = [Quoted(at=70.0 + n, symbol="BTC", price=Decimal(80)) for n in range(5)]
    return [*records, *prices], replace(books, steps=steps, resting=[waiting])


def _more_money(records: list[Record], books: Books) -> tuple[list[Record], Books]:
    """Books that balance, with an account richer than its trades."""
    entries = [
        *books.entries,
        Entry("t-new", "a-usdt", USDT, Decimal(5)),
        Entry("t-new", None, USDT, Decimal(-5)),
    ]
    accounts = changed(books.accounts, lambda a: a.asset == USDT, posted=Decimal(9985))
    return records, replace(books, entries=entries, accounts=accounts)


BROKEN: list[tuple[str, str, Break]] = [
    ("an update that became no job", LOST, without("jobs", lambda j: j.job_id == "j-5")),
    ("a duplicate accepted as news", LOST, twice("jobs", lambda j: j.job_id == "j-3")),
    ("two updates overtaken", LOST, _swapped),
    ("a job never done", ENDS, in_books("jobs", lambda j: j.job_id == "j-5", done_at=None)),
    ("a job set aside", ENDS, in_books("jobs", lambda j: j.job_id == "j-5", outcome=2)),
    ("a job without an answer", ANSWERED, without("answers", lambda a: a.cause == "j-3")),
    ("an answer not sent", ANSWERED, in_books("answers", lambda a: a.place == 3, done_at=None)),
    ("an answer refused", ANSWERED, in_books("answers", lambda a: a.place == 3, state=2)),
    ("an answer nobody saw", ANSWERED, unheard("Hello")),
    ("a later job done first", IN_TURN, in_books("jobs", lambda j: j.job_id == "j-5", done_at=3.4)),
    ("a later answer first", IN_TURN, in_books("answers", lambda a: a.cause == "j-5", place=0)),
    ("a gap in a user's order", IN_TURN, in_books("jobs", lambda j: j.job_id == "j-5", user_seq=9)),
    ("a confirmed order gone", FORGOTTEN, without("orders", lambda o: o.order_id == ORDER)),
    (
        "a press in time without effect",
        FORGOTTEN,
        in_books("drafts", lambda d: d.draft_id == ORDER, state="open"),
    ),
    ("an order nobody confirmed", FORGOTTEN, without("drafts", lambda d: d.draft_id == ORDER)),
    (
        "an order that never ends",
        ORDER_ENDS,
        in_books("orders", lambda o: o.order_id == ORDER, state="submitted", ended_at=None),
    ),
    (
        "an event nobody relayed",
        ORDER_ENDS,
        lambda records, books: (records, replace(books, unrelayed_events=1)),
    ),
    ("an end nobody told", TOLD, heard_instead("✓ Bought", "…")),
    ("an end told wrongly", TOLD, heard_instead("✓ Bought", "✗ Not done. Receipt AAAA-AAAA")),
    ("a hold taken twice", ONCE, twice("transfers", lambda t: t.transfer_id == "t-hold")),
    ("an order executed twice", ONCE, twice("executions", lambda e: e.order_id == ORDER)),
    ("a trade in the books twice", ONCE, twice("trades", lambda t: t.order_id == ORDER)),
    ("a filled order without a trade", ONCE, without("trades", lambda t: t.order_id == ORDER)),
    (
        "a rejected order that was executed",
        ONCE,
        in_books("orders", lambda o: o.order_id == ORDER, state="rejected"),
    ),
    (
        "an order accepted twice",
        ONCE,
        twice("orders", lambda o: o.order_id == ORDER),
    ),
    (
        "one press with two offers",
        ONCE,
        in_books("drafts", lambda d: d.draft_id == RESTING, job_id="j-3"),
    ),
    ("half an entry", ZERO, without("entries", lambda e: e.transfer_id == "t-fill" and e.account)),
    (
        "money below zero",
        ZERO,
        in_books("accounts", lambda a: a.asset == USDT, posted=Decimal(-1)),
    ),
    (
        "a hold of nothing",
        ZERO,
        in_books("accounts", lambda a: a.asset == USDT, held=Decimal(1)),
    ),
    ("money from nowhere", EXPLAINED, _more_money),
    (
        "two gifts",
        EXPLAINED,
        twice("entries", lambda e: e.transfer_id == "t-gift"),
    ),
    (
        "stores that disagree",
        AGREE,
        lambda records, books: (records, replace(books, disagreements={"they agree": ["(1,)"]})),
    ),
    (
        "a cancelled one with an order",
        TRIGGER_ONCE,
        in_books("resting", lambda r: True, state="cancelled"),
    ),
    (
        "a trigger without an order",
        TRIGGER_ONCE,
        without("orders", lambda o: o.order_id == RESTING),
    ),
    (
        "a trigger accepted twice",
        TRIGGER_ONCE,
        a_step(RESTING, "accept", 2, 61.0),
    ),
    ("a crossing missed", TRIGGERS, _crossed_in_vain),
    (
        "a run with an order too many",
        RULES_ONCE,
        in_books("drafts", lambda d: d.draft_id == ORDER, rule="plan", rule_id="plan-1"),
    ),
    (
        "a trade copied though nobody marked it",
        RULES_ONCE,
        lambda records, books: without("copied", lambda mark: True)(
            *in_books("drafts", lambda d: d.draft_id == ORDER, rule="copy", rule_id="copy-1")(
                records, books
            )
        ),
    ),
    ("a run overdue", RULES_FOLLOWED, in_books("plans", lambda p: True, next_at=900.0)),
    ("a trade not copied", RULES_FOLLOWED, without("copied", lambda mark: True)),
    (
        "two owners of one epoch",
        ONE_OWNER,
        and_seen(Placed(at=80.0, shard=0, owner="w-2", incarnation="i-2", epoch=2)),
    ),
    (
        "an epoch that falls",
        ONE_OWNER,
        and_seen(Placed(at=80.0, shard=0, owner="w-2", incarnation="i-2", epoch=1)),
    ),
    ("a write after a newer one", STALE, a_step(ORDER, "venue", 1, 61.0)),
    ("a write after a newer claim", STALE, a_step(ORDER, "venue", 1, 21.0)),
]


@pytest.mark.parametrize(
    ("promise", "break_it"),
    [(promise, break_it) for _, promise, break_it in BROKEN],
    ids=[name for name, _, _ in BROKEN],
)
def test_a_broken_run_is_caught(promise: str, break_it: Break) -> None:
    """The promise that was broken is named."""
    records, books = break_it(good_run.records(), good_run.books())
    assert promise in {violation.promise for violation in judge(records, books)}


def test_every_promise_has_a_history_that_breaks_it() -> None:
    """A check that cannot fail is none."""
    assert {promise for _, promise, _ in BROKEN} == set(PROMISES)
    assert set(PROMISES) > MONEY_PROMISES


def test_a_crossing_in_the_middle_of_faults_is_not_judged() -> None:
    """A price that was crossed while things were broken may have been missed."""
    records, books = _crossed_in_vain(good_run.records(), good_run.books())
    struck = Struck(at=58.0, kind="kill", target="w-1", over_at=58.0)
    assert TRIGGERS not in {v.promise for v in judge([*records, struck], books)}


def test_a_history_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """Line by line, amounts to the last digit."""
    path = tmp_path / "history.jsonl"
    with HistoryFile(path) as history:
        for record in good_run.records():
            history.add(record)
    assert list(read_history(path.read_bytes().splitlines())) == good_run.records()
