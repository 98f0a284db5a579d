"""What is accepted is there once, in each user's order, in a shard with room."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

import asyncpg
from tests.integration.gateway.house import (
    POOL,
    House,
    ending,
    eventually,
    post_updates,
    text,
    typed,
)

from gateway.domain import Incoming, Verdict
from gateway.postgres import AdmissionLimits, BacklogLimits, Directory, Inbox, Places
from gateway.postgres.backlog import LOOK_SECONDS
from gateway.translation import translate
from purser.gateway.v1 import gateway_pb2, job_pb2

LIMITS = AdmissionLimits(users_max=10_000, sign_ups_per_minute_max=10_000, users_per_shard=50)


def open_inbox(pool: "asyncpg.Pool[asyncpg.Record]", limits: AdmissionLimits = LIMITS) -> Inbox:
    """An inbox of its own, without the doors around it."""
    backlogs = BacklogLimits(
        user_jobs_max=1000, user_urgent_jobs_max=5, shard_jobs_max=10_000, rush_seconds=60
    )
    return Inbox(pool, 1, Places(1, Directory(pool, POOL, limits), backlogs))


async def test_the_same_update_twice_is_one_job(house: House) -> None:
    """Within a batch, across batches, and through another gateway."""
    first = await house.open_webhook()
    second = await house.open_webhook()

    statuses = await post_updates([first, first, second], [typed(1, 5, "a")] * 6)
    statuses += await post_updates([second], [typed(1, 5, "a"), typed(2, 5, "b")])

    jobs = await house.jobs(2)
    assert Counter({200: 8}) == Counter(statuses)
    assert [job.text.text for job in jobs] == ["a", "b"]


async def test_places_have_no_gap_and_follow_acceptance_with_two_gateways(house: House) -> None:
    """Forty users, ten updates each, thrown at two gateways at once."""
    gateways = [await house.open_webhook(), await house.open_webhook()]
    updates = [typed(user * 100 + n, user, str(n)) for n in range(10) for user in range(1, 41)]

    await post_updates(gateways, updates)

    jobs = await house.jobs(400)
    by_user = {
        user: [job.user_seq for job in group]
        for user, group in groupby(
            sorted(jobs, key=lambda job: job.user_id), lambda job: job.user_id
        )
    }
    assert len(by_user) == 40
    assert all(places == list(range(1, 11)) for places in by_user.values())
    assert len({job.job_id for job in jobs}) == 400
    accepted = [job.accepted_at.ToNanoseconds() for job in jobs if job.user_id == jobs[0].user_id]
    assert sorted(accepted) == accepted


async def test_twenty_first_contacts_at_once_never_overfill_a_shard(house: House) -> None:
    """Three to a shard, two gateways: the lowest shards are full and one empty one waits."""
    await house.sql.execute(
        "INSERT INTO placement.pools (pool, users_per_shard, accept_new_users,"
        " shards_per_worker_max, drain_timeout_seconds) VALUES ($1, 3, true, 40, 20)",
        POOL,
    )
    gateways = [await house.open_webhook(), await house.open_webhook()]

    await post_updates(gateways, [typed(user, user, "/start") for user in range(1, 21)])

    rows = await house.sql.fetch("SELECT shard, users FROM gateway.shards ORDER BY shard")
    counted = await house.sql.fetch(
        "SELECT shard, count(*)::integer FROM gateway.users GROUP BY shard ORDER BY shard"
    )
    placed = await house.sql.fetch("SELECT shard, users FROM placement.shards ORDER BY shard")
    assert [(shard, 3) for shard in range(6)] + [(6, 2), (7, 0)] == [tuple(row) for row in rows]
    assert [tuple(row) for row in rows[:7]] == [tuple(row) for row in counted]
    assert rows == placed, "what the directory tells the operator is what it did"


async def test_a_shard_waits_before_the_first_user_comes(house: House) -> None:
    """So that a worker owns it by then."""
    await house.open_webhook()
    assert await house.sql.fetchval("SELECT count(*) FROM placement.shards") == 1


async def test_one_poisonous_row_does_not_hold_up_its_batch(house: House) -> None:
    """The batch is halved until the row to blame is alone; that one is kept as it came."""
    await house.sql.execute(
        "ALTER TABLE gateway.users ADD CONSTRAINT no_poison CHECK (display_name <> 'poison')"
    )
    gateway = await house.open_webhook(ACCEPT_WAIT_MILLISECONDS="100")
    updates = [typed(n, n, "hi", "poison" if n in (3, 17) else "fine") for n in range(1, 31)]

    statuses = await post_updates([gateway], updates)

    jobs = await house.jobs(28)
    kept = await house.sql.fetch("SELECT update_id, raw, error FROM gateway.rejected_updates")
    assert Counter({200: 30}) == Counter(statuses)
    assert len(jobs) == 28
    assert {3, 17} == {int(row["update_id"]) for row in kept}
    assert all(b'"poison"' in row["raw"] for row in kept)
    assert {"CheckViolationError"} == {row["error"] for row in kept}


async def test_without_redis_jobs_are_accepted_and_found_by_their_worker(house: House) -> None:
    """The stream is a push path; the inbox is the truth."""
    gateway = await house.open_webhook(REDIS_URL="redis://127.0.0.1:1/0")
    claim = await house.claim()

    (status,) = await post_updates([gateway], [typed(1, 5, "hello")])
    request = gateway_pb2.FetchJobsRequest(claims=[claim], include_cursors=True)
    answer = await gateway.stub.FetchJobs(request, timeout=5)

    assert status == 200
    (shard,) = answer.shards
    assert [job.text.text for job in shard.jobs] == ["hello"]
    assert [cursor.next_user_seq for cursor in shard.cursors] == [1]


async def test_fetching_gives_undone_jobs_without_a_gap_and_cursors(house: House) -> None:
    """Done ones are left out; a stale claim gets nothing but the word."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    updates = [typed(n, 5 if n % 2 else 6, str(n)) for n in range(1, 9)]
    for update in updates:
        await post_updates([gateway], [update])
    first = (await house.jobs(8))[0]
    await gateway.stub.Deliver(ending(claim, first.job_id), timeout=5)
    stale = type(claim)(pool=claim.pool, shard=claim.shard, epoch=claim.epoch + 1)

    answer = await gateway.stub.FetchJobs(
        gateway_pb2.FetchJobsRequest(
            claims=[stale, claim], jobs_per_shard_max=5, include_cursors=True
        ),
        timeout=5,
    )

    refused, found = answer.shards
    assert gateway_pb2.ShardJobs(pool=POOL, shard=0, stale=True) == refused
    assert [job.text.text for job in found.jobs] == ["2", "3", "4", "5", "6"]
    assert {first.user_id: 2, found.jobs[0].user_id: 1} == {
        cursor.user_id: cursor.next_user_seq for cursor in found.cursors
    }


async def test_a_flood_of_one_user_does_not_hide_the_others(house: House) -> None:
    """With the streams gone, the owner of their shard must still learn of them."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    await post_updates([gateway], [typed(n, 5, f"m{n}") for n in range(30)])
    await post_updates([gateway], [typed(100 + n, 6, f"other {n}") for n in range(2)])

    request = gateway_pb2.FetchJobsRequest(claims=[claim], jobs_per_shard_max=10)
    (answer,) = (await gateway.stub.FetchJobs(request, timeout=5)).shards

    users = Counter(job.user_id for job in answer.jobs)
    assert [8, 2] == sorted(users.values(), reverse=True)
    for user in users:
        places = [job.user_seq for job in answer.jobs if job.user_id == user]
        assert list(range(1, users[user] + 1)) == places


async def test_strangers_are_turned_away_with_a_sentence_when_sign_ups_are_too_many(
    house: House,
) -> None:
    """Nothing is kept of them, and those who are known go on."""
    gateway = await house.open_webhook(
        SIGN_UPS_PER_MINUTE_MAX="2", TURNED_AWAY_TEXT="Later, please"
    )
    for user in (1, 2, 3):
        house.simulator.world.chats.ensure_user(user)

    await post_updates([gateway], [typed(user, user, "/start") for user in (1, 2, 3)])
    await post_updates([gateway], [typed(9, 1, "again")])

    async def heard() -> list[str]:
        return [m["text"] for user in (1, 2, 3) for m in house.said_to(user)]

    assert await eventually(heard) == ["Later, please"]
    jobs = await house.jobs(3)
    assert Counter({"start": 2, "": 1}) == Counter(job.command.name for job in jobs)
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.users") == 2


async def test_a_closed_pool_and_a_full_one_admit_nobody(house: House) -> None:
    """The pool's control loop closes it; the gateway's own limit is a number."""
    pool = house.sql
    full = open_inbox(pool, AdmissionLimits(2, 100, 50))
    verdicts = [verdict for verdict, _ in await full.accept(accepted(range(1, 6)))]
    await pool.execute(
        "INSERT INTO placement.pools (pool, users_per_shard, accept_new_users,"
        " shards_per_worker_max, drain_timeout_seconds) VALUES ($1, 3, false, 40, 20)",
        POOL,
    )
    late = [verdict for verdict, _ in await open_inbox(pool).accept(accepted([9]))]

    assert verdicts == [Verdict.ACCEPTED] * 2 + [Verdict.TURNED_AWAY] * 3
    assert late == [Verdict.TURNED_AWAY]


async def test_a_newcomer_two_gateways_meet_at_once_is_one_user(house: House) -> None:
    """Both accept an update of the same stranger; nobody deadlocks, nobody is doubled."""
    gateways = [await house.open_webhook(), await house.open_webhook()]
    updates = [typed(user * 10 + n, user, "x") for user in range(1, 16) for n in range(4)]

    statuses = await post_updates(gateways, updates)

    assert Counter({200: 60}) == Counter(statuses)
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.users") == 15
    assert await house.sql.fetchval("SELECT sum(users) FROM gateway.shards") == 15


async def test_a_press_names_the_message_the_worker_knows(house: House) -> None:
    """The worker's own key travels back with a press under its message."""
    gateway = await house.open_gateway()
    claim = await house.claim()
    house.say(5, "/start")
    (job,) = await house.jobs()
    await gateway.stub.Deliver(ending(claim, job.job_id, text("Menu", "menu:1")), timeout=5)
    (message,) = await house.heard(5)

    # The id is written down right after Telegram's answer.
    async def known() -> object:
        return await house.sql.fetchval("SELECT count(*) FROM gateway.messages")

    await eventually(known)
    house.simulator.people.click(5, message["message_id"], "anything at all")
    pressed = (await house.jobs(2))[1].press

    assert (pressed.data, pressed.message_key) == ("anything at all", "menu:1")
    assert pressed.press_id


async def test_what_is_over_is_forgotten_by_age_and_nothing_else(house: House) -> None:
    """Undone jobs and pending rows stay, whatever their age."""
    gateway = await house.open_webhook(PURGE_EVERY_SECONDS="0.1")
    claim = await house.claim()
    await post_updates([gateway], [typed(1, 5, "done"), typed(2, 6, "undone")])
    done = next(job for job in await house.jobs(2) if job.text.text == "done")
    house.simulator.world.chats.ensure_user(5)
    await gateway.stub.Deliver(ending(claim, done.job_id, text("bye")), timeout=5)

    async def marked() -> object:
        return await house.sql.fetchval("SELECT count(done_at) FROM gateway.outbox")

    assert await eventually(marked)
    statements = (
        "UPDATE gateway.updates_seen SET seen_at = seen_at - interval '3 days' WHERE update_id = 1",
        "UPDATE gateway.inbox SET done_at = done_at - interval '8 days'",
        "UPDATE gateway.outbox SET done_at = done_at - interval '8 days'",
        """INSERT INTO gateway.outbox (lane, cause, number, user_id, payload, created_at)
        VALUES (1, gen_random_uuid(), 1, gen_random_uuid(), '', now() - interval '1 year')""",
    )
    for statement in statements:
        await house.sql.execute(statement)

    async def left() -> bool:
        counts = await house.sql.fetchrow(
            "SELECT (SELECT count(*) FROM gateway.updates_seen),"
            " (SELECT count(*) FROM gateway.inbox), (SELECT count(*) FROM gateway.outbox)"
        )
        return counts is not None and tuple(counts) == (1, 1, 1)

    assert await eventually(left)
    (job,) = await house.jobs()
    assert job_pb2.TextInput(text="undone") == job.text


async def test_who_comes_back_is_unblocked(house: House) -> None:
    """Blocking is remembered; a new message forgets it."""
    gateway = await house.open_gateway()
    del gateway
    house.say(5, "hi")
    await house.jobs(1)

    async def blocked() -> bool:
        count: int = await house.sql.fetchval("SELECT count(blocked_at) FROM gateway.users")
        return count == 1

    async def unblocked() -> bool:
        return not await blocked()

    house.simulator.people.block(5, True)
    assert await eventually(blocked)
    house.simulator.people.block(5, False)
    assert await eventually(unblocked)


async def test_many_updates_in_one_batch_take_few_statements(house: House) -> None:
    """Two hundred updates of known users: begin, remember, lock, look at the shards, give places,
    put, commit.
    """
    seen: list[str] = []

    async def listen(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        connection.add_query_logger(lambda query: seen.append(query.query))

    async with asyncpg.create_pool(
        house.database.url("purser_gateway"),
        min_size=1,
        max_size=1,
        init=listen,
        server_settings={"transaction_timeout": "0"},
    ) as pool:
        inbox = open_inbox(pool)
        # The first batch admits newcomers, and the two teach asyncpg the types.
        await inbox.accept(accepted(range(1, 201)))
        await inbox.accept(accepted(range(1001, 1201)))
        await asyncio.sleep(LOOK_SECONDS + 0.1)
        seen.clear()
        await inbox.accept(accepted(range(2001, 2201)))

    # The pool's own reset is not ours.
    assert len([query for query in seen if "RESET ALL" not in query]) == 7, seen


def accepted(update_ids: Iterable[int]) -> list[Incoming]:
    """An update each of two hundred users, the same in every thousand."""
    updates = [translate(typed(n, n % 1000, "x")) for n in update_ids]
    return [update for update in updates if isinstance(update, Incoming)]
