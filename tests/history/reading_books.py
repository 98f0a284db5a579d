"""Reads the rows the checker needs, in one snapshot, as the owner of the database.

No role of Purser may read across the rooms' schemas; an auditor must.
"""

from datetime import datetime
from typing import Any

from tests.e2e.reconciling import CHECKS
from tests.history.books import (
    Account,
    Answer,
    Books,
    Copied,
    Copy,
    Draft,
    Entry,
    Execution,
    Job,
    Order,
    Plan,
    Resting,
    Step,
    Trade,
    Transfer,
)

from purser.gateway.v1 import job_pb2, reply_pb2

_JOBS = """
SELECT i.job_id::text, u.telegram_id AS user, i.user_seq, i.shard, i.payload,
       accepted_at, done_at, i.outcome, i.error
FROM gateway.inbox i JOIN gateway.users u USING (user_id) ORDER BY i.place
"""
_ANSWERS = """
SELECT o.lane, o.cause::text, o.number, o.place, u.telegram_id AS user, o.state, o.payload,
       done_at, o.failure, o.user_id
FROM gateway.outbox o JOIN gateway.users u USING (user_id) ORDER BY o.place
"""
_MESSAGES = "SELECT user_id, message_key, message_id FROM gateway.messages"
_DRAFTS = """
SELECT d.draft_id::text, d.job_id::text, u.telegram_id AS user, d.receipt, d.state, d.expires_at,
       d.rule, d.rule_id::text
FROM worker.drafts d JOIN gateway.users u USING (user_id)
"""
_ORDERS = """
SELECT o.order_id::text, u.telegram_id AS user, o.shard, o.state, accepted_at, ended_at
FROM worker.orders o JOIN gateway.users u USING (user_id)
"""
_STEPS = """
SELECT s.step_id, s.order_id::text, o.shard, s.step, s.epoch, at
FROM worker.order_steps s JOIN worker.orders o USING (order_id) ORDER BY s.step_id
"""
_TRANSFERS = """
SELECT transfer_id::text, operation, state, order_id::text, debit_account_id::text AS debit_account,
       amount
FROM ledger.transfers
"""
_ENTRIES = """
SELECT transfer_id::text, account_id::text AS account, asset_id AS asset, amount FROM ledger.entries
"""
_ACCOUNTS = """
SELECT a.account_id::text, u.telegram_id AS user, a.asset_id AS asset, a.posted, a.held
FROM ledger.accounts a JOIN gateway.users u USING (user_id)
"""
_TRADES = """
SELECT t.order_id::text, u.telegram_id AS user, t.spent_asset_id AS spent_asset, t.spent,
       t.received_asset_id AS received_asset, t.received, t.fee
FROM ledger.trades t JOIN gateway.users u USING (user_id)
"""
_EXECUTIONS = "SELECT order_id::text, state, received FROM venue.orders"
_RESTING = """
SELECT order_id::text, shard, kind, symbol, direction = 'at-or-below' AS is_below, trigger_price,
       state, placed_at, expires_at, ended_at
FROM worker.resting_orders WHERE state <> 'offered'
"""
_PLANS = "SELECT plan_id::text, state, runs, next_at FROM worker.plans"
_COPIES = """
SELECT c.copy_id::text, u.telegram_id AS leader, c.state, c.began_at
FROM worker.copies c JOIN gateway.users u ON u.user_id = c.leader_id
"""
_COPIED = "SELECT copy_id::text, leader_order_id::text FROM worker.copied"
_UNRELAYED = "SELECT count(*) FROM worker.events WHERE relayed_at IS NULL"
ROWS_NAMED_MAX = 5
"""Rows of each disagreement that are named."""


async def read_books(connection: Any) -> Books:
    """Read everything in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        messages = {
            (row["user_id"], row["message_key"]): row["message_id"]
            for row in await connection.fetch(_MESSAGES)
        }

        async def rows(kind: Any, statement: str) -> list[Any]:
            return [kind(**_plain(row)) for row in await connection.fetch(statement)]

        return Books(
            jobs=[_job(row) for row in await connection.fetch(_JOBS)],
            answers=[_answer(row, messages) for row in await connection.fetch(_ANSWERS)],
            drafts=await rows(Draft, _DRAFTS),
            orders=await rows(Order, _ORDERS),
            steps=await rows(Step, _STEPS),
            transfers=await rows(Transfer, _TRANSFERS),
            entries=await rows(Entry, _ENTRIES),
            accounts=await rows(Account, _ACCOUNTS),
            trades=await rows(Trade, _TRADES),
            executions=await rows(Execution, _EXECUTIONS),
            resting=await rows(Resting, _RESTING),
            plans=await rows(Plan, _PLANS),
            copies=await rows(Copy, _COPIES),
            copied=await rows(Copied, _COPIED),
            read_at=(await connection.fetchval("SELECT clock_timestamp()")).timestamp(),
            unrelayed_events=await connection.fetchval(_UNRELAYED),
            disagreements=await _disagreements(connection),
        )


async def _disagreements(connection: Any) -> dict[str, list[str]]:
    return {
        claim: [str(tuple(row)) for row in rows[:ROWS_NAMED_MAX]]
        for claim, statement in CHECKS.items()
        if (rows := await connection.fetch(statement))
    }


def _plain(row: Any) -> dict[str, Any]:
    """The columns by name, times as seconds since the epoch."""
    return {
        name: value.timestamp() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _job(row: Any) -> Job:
    values = _plain(row)
    return Job(input=_input(job_pb2.Job.FromString(values.pop("payload"))), **values)


def _input(job: job_pb2.Job) -> str:
    match job.WhichOneof("input"):
        case "command":
            return f"/{job.command.name} {job.command.arguments}".strip()
        case "text":
            return job.text.text
        case "press":
            return f"press:{job.press.press_id}"
        case _:
            return "unsupported"


def _answer(row: Any, messages: dict[tuple[Any, str], int]) -> Answer:
    values = _plain(row)
    reply = reply_pb2.Reply.FromString(values.pop("payload"))
    user_id = values.pop("user_id")
    is_message = reply.WhichOneof("body") in ("send_text", "edit_text", "send_photo")
    return Answer(
        is_message=is_message,
        message_id=messages.get((user_id, reply.message_key)) if is_message else None,
        **values,
    )
