"""What has ended goes when nothing can ask for it any more, in a real PostgreSQL.

What became an order stays, and nothing that comes too late makes anything of what is gone.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from tests.integration.user_worker.ruled import Room, offer_of, open_room
from tests.integration.user_worker.test_old_rows import read_by

from devbox.database import Database
from kernel.sharding import Claim
from user_worker.domain.orders import OrderState, Side
from user_worker.domain.resting import Direction, RestingOrder, RestingState
from user_worker.domain.rules import Copy, Plan
from user_worker.errors import ClaimLost
from user_worker.postgres import PostgresAlerts, PostgresEnded, ended, resting
from user_worker.resting_ports import NewAlert, Reached
from user_worker.rule_ports import LeaderTrade
from user_worker.trading_ports import Seen, StatedQuote

MANY = 20_000
KEYS = {
    "resting_orders": "order_id",
    "alerts": "alert_id",
    "plans": "plan_id",
    "copies": "copy_id",
    "shares": "share_id",
}
USER = UUID(int=1)
QUOTE = StatedQuote("BTC", Decimal(70_001), "USDT", is_simulated=True, stated_at=0.0)


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables."""
    async with open_room(database) as opened:
        yield opened


async def grow_older(room: Room, days: int) -> None:
    """Let so many days pass for all that has ended, and for the marks of copies."""
    past = f"- interval '{days} days'"
    # As no worker may: an end never changes.
    await room.owner.execute("SET session_replication_role = replica")
    for table in KEYS:
        await room.owner.execute(
            f"UPDATE worker.{table} SET ended_at = ended_at {past}"  # noqa: S608 (ours)
        )
    await room.owner.execute(
        f"UPDATE worker.copied SET taken_at = taken_at {past}"  # noqa: S608 (ours)
    )
    await room.owner.execute("RESET session_replication_role")


async def forgotten(room: Room, claim: Claim, count_max: int = 100) -> dict[str, int]:
    """Remove what may go; gives of which kind there was any."""
    removed = await PostgresEnded(room.connections).forget(claim, count_max)
    return {kind: count for kind, count in removed.items() if count}


async def planned(room: Room, claim: Claim, user_id: UUID) -> Plan:
    """A plan that is active."""
    plan = await room.plans.offer(claim, uuid4(), user_id, offer_of().wish, 100, 3600, None)
    assert isinstance(plan, Plan)
    confirmed = await room.plans.confirm(claim, user_id, plan.plan_id, "de")
    assert isinstance(confirmed, Plan)
    return confirmed


async def copying(room: Room, claim: Claim, user_id: UUID, leader_id: UUID) -> Copy:
    """A copy that is active, of somebody who shares in the same shard."""
    share = await room.shares.share(claim, leader_id)
    copy = await room.copies.offer(claim, uuid4(), user_id, share.code, Decimal(50), 100)
    assert isinstance(copy, Copy)
    confirmed = await room.copies.confirm(claim, user_id, copy.copy_id, "de")
    assert isinstance(confirmed, Copy)
    return confirmed


async def alerted(room: Room, claim: Claim, user_id: UUID, alert_id: UUID) -> PostgresAlerts:
    """An alert that waits, and the tables of alerts."""
    alerts = PostgresAlerts(room.connections, user_waiting_max=5)
    await alerts.set(
        claim, user_id, NewAlert(alert_id, "BTC", Direction.AT_OR_ABOVE, Decimal(9), "")
    )
    return alerts


async def test_each_kind_goes_ninety_days_after_its_end_and_not_before(room: Room) -> None:
    """What still waits or is active has no end, and stays however old it is."""
    claim, user_id, leader_id = await room.claim_shard(0), uuid4(), uuid4()
    cancelled = await room.rests(claim, user_id)
    await room.resting.cancel(claim, user_id, cancelled)
    alert_id = uuid4()
    alerts = await alerted(room, claim, user_id, alert_id)
    await room.waiting.reach(claim, [Reached(alert_id, QUOTE)])
    plan = await planned(room, claim, user_id)
    await room.plans.cancel(claim, user_id, plan.plan_id)
    copy = await copying(room, claim, user_id, leader_id)
    await room.copies.end(claim, user_id, copy.copy_id)
    await room.shares.stop(claim, leader_id)
    kept = await room.rests(claim, user_id)
    await alerted(room, claim, user_id, uuid4())
    await planned(room, claim, user_id)
    await copying(room, claim, user_id, leader_id)
    store = PostgresEnded(room.connections)

    await grow_older(room, ended.KEPT_DAYS - 1)
    assert [] == await store.old([claim])
    assert {} == await forgotten(room, claim)
    await grow_older(room, 1)
    assert [claim] == await store.old([claim])
    assert dict.fromkeys(KEYS, 1) == await forgotten(room, claim)
    assert [] == await store.old([claim])

    assert dict.fromkeys(KEYS, 1) == {table: len(await room.rows(table)) for table in KEYS}
    assert [kept] == [row["draft_id"] for row in await room.rows("drafts")]
    assert 1 == len(await alerts.waiting(user_id))


async def test_an_order_that_waited_in_vain_takes_its_draft_with_it(room: Room) -> None:
    """Its receipt is unknown from then on, and its buttons find nothing and make nothing."""
    claim, user_id = await room.claim_shard(0), uuid4()
    order_id = await room.rests(claim, user_id)
    await room.owner.execute(
        "UPDATE worker.resting_orders SET expires_at = clock_timestamp() - interval '1 second'"
    )
    await room.waiting.expire(claim, 10)
    await grow_older(room, ended.KEPT_DAYS)
    assert {"resting_orders": 1} == await forgotten(room, claim)

    assert await room.resting.place(claim, user_id, order_id, "de") is None
    assert await room.resting.cancel(claim, user_id, order_id) is None
    assert await room.orders.accept(claim, user_id, order_id, "de") is None
    assert {} == await room.waiting.trigger(claim, [order_id])
    for table in ("drafts", "resting_orders", "orders"):
        assert [] == await room.rows(table)


async def test_an_order_that_triggered_stays_with_all_it_was_made_of(room: Room) -> None:
    """Whatever its age: its condition says why it was made, and offers the same again."""
    claim, user_id = await room.claim_shard(0), uuid4()
    order_id = await room.rests(claim, user_id)
    seen = (await room.waiting.trigger(claim, [order_id]))[order_id]
    assert seen is not None
    await room.filled(seen.order, claim)
    await grow_older(room, 10 * ended.KEPT_DAYS)
    assert {} == await forgotten(room, claim)

    found = await room.resting.place(claim, user_id, order_id, "de")
    assert isinstance(found, RestingOrder)
    assert RestingState.TRIGGERED is found.state
    assert OrderState.FILLED is (await room.orders.look(order_id)).order.state


async def test_the_job_of_an_alert_that_runs_again_meets_it_until_it_goes(room: Room) -> None:
    """It is told once, though its job may come again after its end."""
    claim, user_id, job_id = await room.claim_shard(0), uuid4(), uuid4()
    alerts = await alerted(room, claim, user_id, job_id)
    await room.waiting.reach(claim, [Reached(job_id, QUOTE)])
    await grow_older(room, ended.KEPT_DAYS - 1)
    await forgotten(room, claim)
    await alerted(room, claim, user_id, job_id)
    assert [] == await alerts.waiting(user_id)
    assert ["reached"] == [row["state"] for row in await room.rows("alerts")]


async def test_of_a_plan_that_is_gone_the_orders_stay_and_nothing_runs(room: Room) -> None:
    """A run that somebody still holds in his hands finds no plan."""
    claim, user_id = await room.claim_shard(0), uuid4()
    plan = await planned(room, claim, user_id)
    (due,) = await room.plans.due([claim], 10)
    seen = await room.plans.run(due, offer_of())
    assert isinstance(seen, Seen)
    await room.plans.cancel(claim, user_id, plan.plan_id)
    await grow_older(room, ended.KEPT_DAYS)
    assert {"plans": 1} == await forgotten(room, claim)

    assert not isinstance(await room.plans.run(due, offer_of()), Seen)
    assert await room.plans.confirm(claim, user_id, plan.plan_id, "de") is None
    assert [seen.order.order_id] == [row["order_id"] for row in await room.rows("orders")]


async def test_a_copy_goes_after_its_marks_and_a_share_after_its_copies(room: Room) -> None:
    """With what was counted of the copy's trades; what its user has is counted on."""
    claim, follower, leader = await room.claim_shard(0), uuid4(), uuid4()
    copy = await copying(room, claim, follower, leader)
    await room.filled(await room.accepted(claim, leader), claim)
    (trade,) = await room.copies.to_take([claim], 600, 5)
    assert isinstance(trade, LeaderTrade)
    taken = await room.copies.take(trade, offer_of(side=Side.BUY))
    assert isinstance(taken, Seen)
    await room.filled(taken.order, claim)
    await room.copies.end(claim, follower, copy.copy_id)
    await room.shares.stop(claim, leader)
    holders = {row["holder_id"] for row in await room.rows("holdings")}
    assert {leader, follower, copy.copy_id} == holders

    await grow_older(room, ended.KEPT_DAYS)
    assert {} == await forgotten(room, claim)
    await room.copies.pass_over([claim])
    assert {"copies": 1, "shares": 1} == await forgotten(room, claim)

    assert not isinstance(await room.copies.take(trade, offer_of()), Seen)
    assert {leader, follower} == {row["holder_id"] for row in await room.rows("holdings")}
    assert 2 == len(await room.rows("orders"))


async def test_only_the_owner_removes_and_only_in_his_shard(room: Room) -> None:
    """A claim that is over removes nothing; another shard's rows are another's."""
    mine, others = await room.claim_shard(0), await room.claim_shard(1)
    for claim in (mine, others):
        user_id = uuid4()
        await room.plans.cancel(claim, user_id, (await planned(room, claim, user_id)).plan_id)
    await grow_older(room, ended.KEPT_DAYS)
    assert {"plans": 1} == await forgotten(room, mine)
    assert [others] == await PostgresEnded(room.connections).old([mine, others])
    with pytest.raises(ClaimLost):
        await forgotten(room, Claim(others.pool, others.shard, others.epoch + 1))
    assert 1 == len(await room.rows("plans"))


FILL = """
CREATE TEMPORARY TABLE filler AS
SELECT gen_random_uuid() AS id, gen_random_uuid() AS other_id, 'default.main' AS pool,
    {shard} AS shard, 'BTC' AS symbol, {ended} AS ended_at, {ended} IS NULL AS is_open,
    to_char(n, 'FM0000"-"0000') AS code
FROM generate_series(1, {many}) AS n;
INSERT INTO worker.plans (plan_id, job_id, user_id, pool, shard, symbol, size_kind, size_value,
    slippage_basis_points, period_seconds, expires_at, next_at, counted_since, state, ended_at)
SELECT id, id, id, pool, shard, symbol, 'money', 1, 100, 3600, now(), now(), now(),
    CASE WHEN is_open THEN 'active' ELSE 'finished' END, ended_at FROM filler;
INSERT INTO worker.shares (share_id, user_id, pool, shard, code, ended_at)
SELECT id, id, pool, shard, code, ended_at FROM filler ON CONFLICT DO NOTHING;
INSERT INTO worker.copies (copy_id, job_id, user_id, pool, shard, share_id, leader_id, spend,
    slippage_basis_points, expires_at, began_at, state, ended_at)
SELECT id, id, id, pool, shard, other_id, other_id, 50, 100, now(), now(),
    CASE WHEN is_open THEN 'active' ELSE 'ended' END, ended_at FROM filler;
INSERT INTO worker.alerts (alert_id, user_id, pool, shard, symbol, direction, price, expires_at,
    state, ended_at)
SELECT id, '{user}', pool, shard, symbol, 'at-or-below', 1, now(),
    CASE WHEN is_open THEN 'waiting' ELSE 'reached' END, ended_at FROM filler;
INSERT INTO worker.drafts
SELECT id, id, id, pool, shard, code, 'sell', symbol, 'units', 1, 'paper:BTC', symbol, 1,
    'paper:USDT', 'USDT', 1, 0, 1, NULL, 1, 100, true, now(), now(), 'confirmed' FROM filler;
INSERT INTO worker.resting_orders (order_id, user_id, pool, shard, kind, symbol, direction,
    trigger_price, lasts_seconds, state, placed_at, expires_at, ended_at)
SELECT id, id, pool, shard, 'stop', symbol, 'at-or-below', 1, 60,
    CASE WHEN is_open THEN 'waiting' ELSE 'expired' END, now(), now(), ended_at FROM filler;
DROP TABLE filler
"""


async def fill(room: Room, claim: Claim, days: int | None, user_id: UUID = USER) -> None:
    """Make a great many of each kind that ended so many days ago; None: that did not end.

    Each is another user's, but all alerts are `user_id`'s.
    """
    ended_at = "NULL::timestamptz" if days is None else f"now() - interval '{days} days'"
    await room.owner.execute("SET session_replication_role = replica")
    await room.owner.execute(
        FILL.format(shard=claim.shard, ended=ended_at, many=MANY, user=user_id)
    )
    await room.owner.execute("RESET session_replication_role")


async def test_few_rows_are_read_for_what_may_go(room: Room) -> None:
    """However much there is that waits, or ended lately, or long ago in another shard."""
    claim, others = await room.claim_shard(0), await room.claim_shard(1)
    await fill(room, others, 91)
    await fill(room, claim, None)
    await fill(room, claim, 89)
    await room.owner.execute("ANALYZE")
    mine = (claim.pool, claim.shard)
    asked: list[tuple[str, tuple[object, ...]]] = [(ended.WITH_OLD, ([claim.pool], [claim.shard]))]
    asked += [(statement, (*mine, 500)) for statement in ended.FORGET.values()]
    # Asked for each row that goes, by the constraints.
    asked += [("SELECT FROM worker.copies WHERE share_id = $1", (uuid4(),))]
    asked += [("SELECT FROM worker.orders WHERE order_id = $1", (uuid4(),))]
    for statement, arguments in asked:
        read = await read_by(room, statement, *arguments)
        assert read < 10, f"{read} rows are read by {statement}"


async def test_old_rows_of_each_kind_go_so_many_at_a_time(room: Room) -> None:
    """As many rows are read as go, and a few; the rest goes later."""
    claim = await room.claim_shard(0)
    await fill(room, claim, 91)
    await room.owner.execute("ANALYZE")
    before = {table: len(await room.rows(table)) for table in KEYS}
    assert dict.fromkeys(KEYS, 500) == await forgotten(room, claim, 500)
    assert {table: count - 500 for table, count in before.items()} == {
        table: len(await room.rows(table)) for table in KEYS
    }
    for statement in ended.FORGET.values():
        read = await read_by(room, statement, claim.pool, claim.shard, 500)
        assert read <= 4 * 500, f"{read} rows are read by {statement}"


async def test_the_ended_alerts_of_a_user_are_not_read_to_set_another(room: Room) -> None:
    """Those that wait are few and have an index of their own, however many wait of others."""
    claim, others = await room.claim_shard(0), await room.claim_shard(1)
    await fill(room, claim, 1)
    await fill(room, others, None, uuid4())
    await alerted(room, claim, USER, uuid4())
    await room.owner.execute("ANALYZE")
    assert await read_by(room, resting._ALERT_COUNT, USER, uuid4()) < 10
    assert await read_by(room, resting._WAITING_ALERTS, USER) < 10
