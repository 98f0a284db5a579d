"""Plans in a real PostgreSQL: each run once, whoever owns the shard, and what ends a plan."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.integration.user_worker.ruled import Room, offer_of, open_room, waiting

from devbox.database import Database
from kernel.sharding import Claim
from user_worker.domain.freezing import Stopped
from user_worker.domain.notes import PlanFinished, PlanPaused, RunSkipped
from user_worker.domain.orders import Money, Order, Refusal, Refused, Rule, Side, Units, Wish
from user_worker.domain.rules import Plan, PlanState, TooMany, cause_of_run
from user_worker.errors import ClaimLost
from user_worker.postgres import OrderLimits, PostgresPlans
from user_worker.rule_ports import DuePlan, Held
from user_worker.trading_ports import EndEvent, Seen

WISH = Wish(Side.BUY, "BTC", Money(Decimal(100)))
DAY = 86_400


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables; two orders of a user may be under way, four of a shard."""
    async with open_room(database) as opened:
        yield opened


async def offered(
    room: Room, claim: Claim, user_id: UUID, *, runs: int | None = None, wish: Wish = WISH
) -> Plan:
    """A daily plan, not confirmed."""
    plan = await room.plans.offer(claim, uuid4(), user_id, wish, 100, DAY, runs)
    assert isinstance(plan, Plan)
    return plan


async def active(room: Room, claim: Claim, user_id: UUID, *, runs: int | None = None) -> Plan:
    """A daily plan whose first run is due."""
    plan = await offered(room, claim, user_id, runs=runs)
    confirmed = await room.plans.confirm(claim, user_id, plan.plan_id, "de")
    assert isinstance(confirmed, Plan)
    return confirmed


async def due(room: Room, claim: Claim) -> DuePlan:
    """The only plan that is due."""
    (found,) = await room.plans.due([claim], 10)
    return found


async def ran(room: Room, claim: Claim) -> Order:
    """Run the only plan that is due."""
    seen = await room.plans.run(await due(room, claim), offer_of())
    assert isinstance(seen, Seen)
    return seen.order


async def make_due(room: Room, seconds: float = 1) -> None:
    """Let every plan be due since so long."""
    await room.owner.execute(
        "UPDATE worker.plans SET next_at = clock_timestamp() - make_interval(secs => $1)", seconds
    )


async def test_a_plan_is_confirmed_once_and_its_first_run_is_due_at_once(room: Room) -> None:
    """A job that runs again meets its plan; a second press meets the same."""
    claim, ann, job_id = await room.claim_shard(0), uuid4(), uuid4()
    wish = Wish(Side.BUY, "BTC", Units(Decimal("0.000000000000000001")))
    plan = await room.plans.offer(claim, job_id, ann, wish, 50, DAY, 7)
    again = await room.plans.offer(claim, job_id, ann, wish, 50, DAY, 7)
    assert isinstance(plan, Plan)
    assert plan == again == await room.plans.of_job(ann, job_id)
    assert (wish, 50, DAY, 7, 0, PlanState.OFFERED) == (
        *(plan.wish, plan.slippage_basis_points, plan.period_seconds, plan.runs_max, plan.runs),
        plan.state,
    )
    assert [] == list(await room.plans.due([claim], 10))

    confirmed = await room.plans.confirm(claim, ann, plan.plan_id, "de")
    assert confirmed == await room.plans.confirm(claim, ann, plan.plan_id, "de")
    found = await due(room, claim)
    assert (confirmed, "de", False, claim) == (
        *(found.plan, found.language, found.is_overdue),
        found.claim,
    )
    assert [confirmed] == await room.plans.of_user(ann)


async def test_a_plan_is_its_users_alone_and_its_shards(room: Room) -> None:
    """Nobody else confirms or ends it; another shard's owner neither runs nor changes it."""
    claim, other, ann = await room.claim_shard(0), await room.claim_shard(1), uuid4()
    plan = await offered(room, claim, ann)
    assert None is await room.plans.confirm(claim, uuid4(), plan.plan_id, "")
    assert None is await room.plans.confirm(other, ann, plan.plan_id, "")
    await room.plans.confirm(claim, ann, plan.plan_id, "")

    assert None is await room.plans.cancel(claim, uuid4(), plan.plan_id)
    assert None is await room.plans.pause(other, ann, plan.plan_id)
    assert [] == list(await room.plans.due([other], 10))
    found = await due(room, claim)
    stranger = DuePlan(other, found.plan, found.language, is_overdue=False)
    assert Held.GONE is await room.plans.run(stranger, offer_of())
    assert not await room.plans.skip(stranger, None)


async def test_an_offer_that_has_run_out_is_not_confirmed(room: Room) -> None:
    """By the database's clock."""
    claim, ann = await room.claim_shard(0), uuid4()
    plan = await offered(room, claim, ann)
    await room.owner.execute("UPDATE worker.plans SET expires_at = clock_timestamp()")

    found = await room.plans.confirm(claim, ann, plan.plan_id, "")
    assert isinstance(found, Plan)
    assert PlanState.EXPIRED is found.state


async def test_more_plans_than_there_may_be_are_not_confirmed(room: Room) -> None:
    """Paused ones count, ended ones make room."""
    claim, ann = await room.claim_shard(0), uuid4()
    first, second = await active(room, claim, ann), await active(room, claim, ann)
    await room.plans.pause(claim, ann, second.plan_id)
    third = await offered(room, claim, ann)
    assert TooMany(2) == await room.plans.confirm(claim, ann, third.plan_id, "")
    await room.plans.cancel(claim, ann, first.plan_id)

    assert isinstance(await room.plans.confirm(claim, ann, third.plan_id, ""), Plan)


async def test_a_run_accepts_an_order_of_its_own_cause_and_is_counted(room: Room) -> None:
    """Its end is told; the next one is due a day after this one was."""
    claim, ann = await room.claim_shard(0), uuid4()
    plan = await active(room, claim, ann)
    assert plan.next_at is not None
    order = await ran(room, claim)

    draft = await room.drafts.of_job(ann, cause_of_run(plan.plan_id, 1))
    assert draft == order.draft
    assert (Rule.PLAN, offer_of().wish) == (order.draft.rule, order.draft.wish)
    (after,) = await room.plans.of_user(ann)
    assert after.next_at is not None
    assert (1, DAY) == (after.runs, (after.next_at - plan.next_at).total_seconds())
    assert [] == list(await room.plans.due([claim], 10))
    await room.refused(order, claim)
    (event,) = await room.events.unrelayed([claim], 10)
    assert isinstance(event, EndEvent)
    assert "de" == event.language


async def test_two_owners_run_a_run_once(room: Room) -> None:
    """Both saw it due; the later one finds it counted, a stale one is refused."""
    stale, ann = await room.claim_shard(0), uuid4()
    await active(room, stale, ann)
    seen_before = await due(room, stale)
    claim = await room.claim_shard(0)
    found = await due(room, claim)
    with pytest.raises(ClaimLost):
        await room.plans.run(seen_before, offer_of())
    with pytest.raises(ClaimLost):
        await room.plans.skip(seen_before, None)
    came = await asyncio.gather(*[room.plans.run(found, offer_of()) for _ in range(4)])

    assert [Held.GONE] * 3 == [c for c in came if not isinstance(c, Seen)]
    assert 1 == len(await room.rows("orders")) == len(await room.rows("drafts"))


async def test_missed_runs_are_not_made_up(room: Room) -> None:
    """After three and a half days one is run, and the next one is due in half a day."""
    claim, ann = await room.claim_shard(0), uuid4()
    await active(room, claim, ann)
    await make_due(room, 3.5 * DAY)
    assert (await due(room, claim)).is_overdue
    await ran(room, claim)

    (plan,) = await room.plans.of_user(ann)
    left = await room.owner.fetchval(
        "SELECT extract(epoch FROM next_at - clock_timestamp())::float8 FROM worker.plans"
    )
    assert 1 == plan.runs
    assert DAY / 2 - 5 < left <= DAY / 2


async def test_without_room_a_run_waits_and_nothing_is_changed(room: Room) -> None:
    """The user's own orders are under way; later there is room."""
    claim, ann = await room.claim_shard(0), uuid4()
    await active(room, claim, ann)
    orders = [await room.accepted(claim, ann) for _ in range(2)]
    before = [await room.rows(table) for table in ("plans", "orders", "drafts")]
    assert Held.NO_ROOM is await room.plans.run(await due(room, claim), offer_of())
    assert before == [await room.rows(table) for table in ("plans", "orders", "drafts")]

    await room.refused(orders[0], claim)
    await ran(room, claim)


async def test_a_skipped_run_is_counted_and_told_once(room: Room) -> None:
    """With its reason; the same run is not skipped twice."""
    claim, ann = await room.claim_shard(0), uuid4()
    await active(room, claim, ann)
    found = await due(room, claim)
    assert await room.plans.skip(found, Refused.TOO_SMALL)
    assert not await room.plans.skip(found, Refused.TOO_SMALL)

    assert [RunSkipped("BTC", "$100", "too-small")] == await room.notes(claim)
    (plan,) = await room.plans.of_user(ann)
    assert 1 == plan.runs


async def test_after_three_runs_without_money_the_plan_pauses_and_is_told(room: Room) -> None:
    """Instead of the fourth; resumed, it begins to count anew."""
    claim, ann = await room.claim_shard(0), uuid4()
    plan = await active(room, claim, ann)
    for _ in range(3):
        await make_due(room)
        await room.refused(await ran(room, claim), claim)
    await make_due(room)
    assert Held.PAUSED is await room.plans.run(await due(room, claim), offer_of())
    assert [PlanPaused("BTC", "$100", 3)] == await room.notes(claim)
    (paused,) = await room.plans.of_user(ann)
    assert (PlanState.PAUSED, 3) == (paused.state, paused.runs)
    assert [] == list(await room.plans.due([claim], 10))

    resumed = await room.plans.resume(claim, ann, plan.plan_id)
    assert isinstance(resumed, Plan)
    assert PlanState.ACTIVE is resumed.state
    assert [] == list(await room.plans.due([claim], 10))
    await make_due(room)
    await ran(room, claim)


async def test_a_filled_run_between_ends_the_row_of_failures(room: Room) -> None:
    """Only those in a row count."""
    claim, ann = await room.claim_shard(0), uuid4()
    await active(room, claim, ann)
    for run in range(5):
        await make_due(room)
        order = await ran(room, claim)
        if run == 2:
            await room.filled(order, claim)
        else:
            await room.refused(order, claim)
    assert [] == await room.notes(claim)


async def test_a_plan_with_an_end_ends_with_its_last_run_and_says_so(room: Room) -> None:
    """A skipped run is one of them."""
    claim, ann = await room.claim_shard(0), uuid4()
    plan = await active(room, claim, ann, runs=2)
    await room.refused(await ran(room, claim), claim)
    await make_due(room)
    await room.plans.skip(await due(room, claim), None)

    assert [] == list(await room.plans.of_user(ann))
    told = await room.notes(claim)
    assert {RunSkipped("BTC", "$100", None), PlanFinished("BTC", "$100", 2)} == set(told)
    cancelled = await room.plans.cancel(claim, ann, plan.plan_id)
    assert cancelled is not None
    assert PlanState.FINISHED is cancelled.state
    with pytest.raises(asyncpg.RestrictViolationError):
        await room.owner.execute("UPDATE worker.plans SET state = 'active', ended_at = NULL")


async def test_a_freeze_cancels_plans_and_lets_none_begin(room: Room) -> None:
    """Neither by a confirmation nor by resuming; offered ones count as offers."""
    claim, ann = await room.claim_shard(0), uuid4()
    plan, offer = await active(room, claim, ann), await offered(room, claim, ann)
    found = await due(room, claim)
    frozen = await room.freezes.freeze(claim, uuid4(), ann)

    assert Stopped(plans=1, offers=1) == frozen.stopped
    assert Held.GONE is await room.plans.run(found, offer_of())
    assert [] == list(await room.plans.due([claim], 10))
    refusal = Refusal(Refused.FROZEN)
    assert refusal == await room.plans.offer(claim, uuid4(), ann, WISH, 100, DAY, None)
    for plan_id in (plan.plan_id, offer.plan_id):
        came = await room.plans.confirm(claim, ann, plan_id, "")
        assert isinstance(came, Plan)
        assert PlanState.CANCELLED is came.state
    assert 0 == len(await room.rows("orders"))


async def test_a_run_that_comes_before_a_freeze_is_found_by_it(room: Room) -> None:
    """The freeze waits for the plan's row and gives up the order it led to."""
    claim, ann = await room.claim_shard(0), uuid4()
    await active(room, claim, ann)
    found = await due(room, claim)
    # The run stops where it counts the orders under way, its plan's row locked.
    async with room.owner.transaction():
        await room.owner.execute("LOCK TABLE worker.orders IN ACCESS EXCLUSIVE MODE")
        running = await waiting(room.owner, room.plans.run(found, offer_of()))
        freezing = await waiting(room.owner, room.freezes.freeze(claim, uuid4(), ann))
    seen, frozen = await running, await freezing

    assert isinstance(seen, Seen)
    assert Stopped(plans=1, orders=1) == frozen.stopped
    assert (await room.orders.look(seen.order.order_id)).order.is_frozen


async def test_a_run_that_comes_after_a_freeze_finds_its_plan_cancelled(room: Room) -> None:
    """It waited for the row, and orders nothing."""
    claim, ann = await room.claim_shard(0), uuid4()
    plan = await active(room, claim, ann)
    found = await due(room, claim)
    async with room.owner.transaction():
        await room.owner.execute(
            "UPDATE worker.plans SET state = 'cancelled', ended_at = clock_timestamp()"
            " WHERE plan_id = $1",
            plan.plan_id,
        )
        running = await waiting(room.owner, room.plans.run(found, offer_of()))
    assert Held.GONE is await running
    assert [] == await room.rows("orders")


async def test_due_plans_come_from_the_index_longest_due_first(room: Room) -> None:
    """A shard's many do not hide another's."""
    limits = OrderLimits(submit_within_seconds=60, user_under_way_max=99, shard_under_way_max=99)
    room.plans = PostgresPlans(room.connections, limits, 120, user_plans_max=99)
    busy, quiet, ann, ben = await room.claim_shard(0), await room.claim_shard(1), uuid4(), uuid4()
    plans = [await active(room, busy, ann) for _ in range(5)]
    bens = await active(room, quiet, ben)
    found = await room.plans.due([busy, quiet], 3)

    ids = [due.plan.plan_id for due in found]
    assert [plan.plan_id for plan in plans[:3]] == [i for i in ids if i != bens.plan_id]
    assert bens.plan_id in ids
    assert quiet == next(due.claim for due in found if due.plan.plan_id == bens.plan_id)
