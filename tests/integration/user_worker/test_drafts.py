"""Drafts: kept to the last digit, confirmed once, and by nobody else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from tests.integration.user_worker.order_tables import OFFER, Room, opened

from devbox.database import Database
from user_worker.domain.orders import (
    Draft,
    DraftState,
    OrderState,
)
from user_worker.domain.sizing import Terms
from user_worker.postgres import PostgresDrafts
from user_worker.trading_ports import Seen


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables, as the worker's role may use them."""
    async with opened(database) as tables:
        yield tables


async def test_a_draft_is_read_as_it_was_kept_to_the_last_digit(room: Room) -> None:
    """And belongs to its user alone."""
    claim, user_id = await room.claim_shard(0), uuid4()
    draft = await room.offered(claim, user_id)

    assert OFFER.wish == draft.wish
    assert OFFER.terms == Terms(
        draft.spend, draft.receive, draft.fee, draft.receive_min, draft.receive_max, draft.price
    )
    assert (True, 100, DraftState.OPEN) == (
        draft.is_simulated,
        draft.slippage_basis_points,
        draft.state,
    )
    assert 120 == round((draft.expires_at - draft.made_at).total_seconds())
    assert draft == await room.drafts.read(user_id, draft.draft_id)
    assert None is await room.drafts.read(uuid4(), draft.draft_id)


async def test_a_job_that_runs_again_meets_its_draft(room: Room) -> None:
    """One draft per job, also when both runs come at the same time."""
    claim, user_id, job_id = await room.claim_shard(0), uuid4(), uuid4()
    keep = [room.kept(claim, job_id, user_id) for _ in range(4)]
    drafts = await asyncio.gather(*keep)

    assert 1 == len({draft.draft_id for draft in drafts}) == await room.count("drafts")
    assert drafts[0] == await room.drafts.of_job(user_id, job_id)
    assert None is await room.drafts.of_job(uuid4(), job_id)


async def test_the_oldest_open_drafts_give_way(room: Room) -> None:
    """Three may be open; confirmed ones do not count."""
    claim, user_id = await room.claim_shard(0), uuid4()
    await room.accepted(claim, user_id)
    drafts = [await room.offered(claim, user_id) for _ in range(5)]
    others = await room.offered(claim, uuid4())

    states = [await room.drafts.read(user_id, draft.draft_id) for draft in drafts]
    expected = [DraftState.CANCELLED] * 2 + [DraftState.OPEN] * 3
    assert expected == [draft.state for draft in states if draft is not None]
    assert others == await room.drafts.read(others.user_id, others.draft_id)
    assert 3 == await room.drafts.cancel_open(claim, user_id)
    assert 0 == await room.drafts.cancel_open(claim, user_id)


async def test_a_cancelled_draft_cannot_be_confirmed_and_a_confirmed_one_not_cancelled(
    room: Room,
) -> None:
    """Whichever comes first."""
    claim, user_id = await room.claim_shard(0), uuid4()
    cancelled = await room.offered(claim, user_id)
    order = await room.accepted(claim, user_id)
    stranger = await room.drafts.cancel(claim, uuid4(), cancelled.draft_id)
    assert stranger is None

    found = await room.drafts.cancel(claim, user_id, cancelled.draft_id)
    assert replace(cancelled, state=DraftState.CANCELLED) == found
    assert found == await room.orders.accept(claim, user_id, cancelled.draft_id, "")
    kept = await room.drafts.cancel(claim, user_id, order.order_id)
    assert kept is not None
    assert DraftState.CONFIRMED is kept.state


async def test_an_expired_draft_is_recorded_so_and_becomes_no_order(room: Room) -> None:
    """By the database's clock."""
    claim, user_id = await room.claim_shard(0), uuid4()
    drafts = PostgresDrafts(room.connections, lifetime_seconds=0.05, user_open_max=3)
    draft = await drafts.keep(claim, uuid4(), user_id, OFFER)
    assert isinstance(draft, Draft)
    await asyncio.sleep(0.1)

    expired = replace(draft, state=DraftState.EXPIRED)
    assert expired == await room.drafts.read(user_id, draft.draft_id)
    assert "open" == await room.owner.fetchval("SELECT state FROM worker.drafts")
    assert expired == await room.orders.accept(claim, user_id, draft.draft_id, "")
    assert "expired" == await room.owner.fetchval("SELECT state FROM worker.drafts")
    assert 0 == await room.count("orders")


async def test_a_draft_is_confirmed_once_however_often_it_is_pressed(room: Room) -> None:
    """Eight presses at the same moment are one order, under the draft's id."""
    claim, user_id = await room.claim_shard(0), uuid4()
    draft = await room.offered(claim, user_id)
    press = [room.orders.accept(claim, user_id, draft.draft_id, "de") for _ in range(8)]
    seen = await asyncio.gather(*press)

    orders = [s.order for s in seen if isinstance(s, Seen)]
    assert 8 == len(orders)
    assert {draft.draft_id} == {order.order_id for order in orders}
    assert {OrderState.ACCEPTED} == {order.state for order in orders}
    assert (1, 1) == (await room.count("orders"), await room.count("order_steps"))
    assert orders[0] == await room.orders.of_receipt(user_id, draft.receipt)


async def test_nobody_confirms_anothers_draft_nor_one_of_another_shard(room: Room) -> None:
    """Nothing is written."""
    claim, other_shard, user_id = await room.claim_shard(0), await room.claim_shard(1), uuid4()
    draft = await room.offered(claim, user_id)

    assert None is await room.orders.accept(claim, uuid4(), draft.draft_id, "")
    assert None is await room.orders.accept(other_shard, user_id, draft.draft_id, "")
    assert None is await room.orders.accept(claim, user_id, uuid4(), "")
    assert None is await room.orders.of_receipt(uuid4(), draft.receipt)
    assert draft == await room.drafts.read(user_id, draft.draft_id)
    assert 0 == await room.count("orders")
