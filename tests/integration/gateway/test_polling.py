"""One gateway polls, the others wait; nothing is advanced over that is not committed."""

import asyncio
from datetime import UTC

import pytest
from prometheus_client import REGISTRY
from tests.integration.gateway.house import House, Line, eventually

from chassis.errors import CannotStart
from devbox.telegram import FaultSettings
from gateway.polling import next_offset


async def holder(house: House) -> object:
    """Who has the lease of polling."""
    return await house.sql.fetchval(
        "SELECT holder FROM gateway.pollers WHERE lease_until > clock_timestamp()"
    )


async def test_one_of_two_polls_and_the_other_takes_over_when_it_ends(house: House) -> None:
    """After an orderly end it does not wait for the lease to run out."""
    # Longer than a machine stands still. Who waits looks three times as often.
    house.environ = {"POLL_LEASE_SECONDS": "15"}
    async with house.gateway():
        first = await eventually(lambda: holder(house))
        await house.open_gateway()
        house.say(5, "one")
        await house.jobs(1)
        assert await holder(house) == first
        lease_until = await house.sql.fetchval("SELECT lease_until FROM gateway.pollers")

    house.say(5, "two")
    jobs = await house.jobs(2)
    assert [job.text.text for job in jobs] == ["one", "two"]
    assert jobs[1].accepted_at.ToDatetime(tzinfo=UTC) < lease_until
    assert await holder(house) != first


async def test_a_dead_pollers_lease_runs_out(house: House) -> None:
    """Somebody who never renews is waited for, no longer than the lease."""
    lease_until = await house.sql.fetchval(
        "INSERT INTO gateway.pollers (bot_id, holder, lease_until)"
        " VALUES ($1, gen_random_uuid(), clock_timestamp() + interval '3 seconds')"
        " RETURNING lease_until",
        int(house.simulator.token.partition(":")[0]),
    )
    await house.open_gateway(POLL_LEASE_SECONDS="3")
    house.say(5, "hello")
    (job,) = await house.jobs()
    assert job.accepted_at.ToDatetime(tzinfo=UTC) >= lease_until


async def test_a_poller_that_lost_its_lease_stops(house: House) -> None:
    """Somebody else took the row: within a renewal's time this one polls no more."""
    await house.open_gateway(POLL_LEASE_SECONDS="3")
    await eventually(lambda: holder(house))
    await house.sql.execute(
        "UPDATE gateway.pollers SET holder = gen_random_uuid(),"
        " lease_until = clock_timestamp() + interval '1 hour'"
    )

    async def stopped() -> bool:
        return REGISTRY.get_sample_value("purser_gateway_polling") == 0

    assert await eventually(stopped)
    house.say(5, "unheard")
    await asyncio.sleep(1)
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.inbox") == 0


async def test_updates_survive_failing_polls(house: House) -> None:
    """Half of the calls fail one way or another; every message is there once."""
    house.simulator.world.faults.set(
        FaultSettings(
            status_500=0.2,
            status_429=0.1,
            drop_connection=0.2,
            duplicate_updates=0.3,
            seed=5,
            methods=["getUpdates"],
        )
    )
    await house.open_gateway(POLL_FAILURE_SECONDS_MAX="0.1", POLL_WAIT_SECONDS="0")
    for n in range(50):
        house.say(1 + n % 5, str(n))
    jobs = await house.jobs(50)
    assert sorted(int(job.text.text) for job in jobs) == list(range(50))
    assert sorted(job.user_seq for job in jobs) == sorted([*range(1, 11)] * 5)


async def test_nothing_is_advanced_over_that_is_not_committed(house: House) -> None:
    """The database is away when the update comes: Telegram keeps it until it is back."""
    line = Line(house.database.url("purser_gateway"))
    await line.join()
    await house.open_gateway(DATABASE_URL=line.url, POLL_FAILURE_SECONDS_MAX="0.2")
    house.say(5, "before")
    await house.jobs(1)

    await line.cut()
    house.say(5, "meanwhile")
    await asyncio.sleep(1.5)
    await line.join()
    house.say(5, "after")

    jobs = await house.jobs(3)
    assert [job.text.text for job in jobs] == ["before", "meanwhile", "after"]
    assert [job.user_seq for job in jobs] == [1, 2, 3]
    await line.cut()


async def test_one_malformed_update_does_not_hold_up_its_poll(house: House) -> None:
    """It is kept as it came; its neighbours are jobs."""
    world = house.simulator.world
    house.say(5, "before")
    entry = world.updates.make("message", {"message_id": "?", "chat": 5, "text": {}}, 5)
    house.say(5, "after")
    await house.open_gateway()

    assert [job.text.text for job in await house.jobs(2)] == ["before", "after"]
    kept = await house.sql.fetchrow("SELECT update_id, error FROM gateway.rejected_updates")
    assert kept is not None
    assert (int(kept["update_id"]), "message.message_id" in kept["error"]) == (entry, True)


async def test_an_unknown_token_is_one_clear_sentence(house: House) -> None:
    """For the person who set it."""
    with pytest.raises(CannotStart, match="does not know the bot token"):
        await house.open_gateway(BOT_TOKEN="123456:" + "A" * 35)


async def test_a_token_that_is_none_is_one_clear_sentence(house: House) -> None:
    """Before Telegram is asked."""
    with pytest.raises(CannotStart, match="does not look like a bot token"):
        await house.open_gateway(BOT_TOKEN="hello")


async def test_a_webhook_left_behind_is_removed_so_that_polling_works(house: House) -> None:
    """Telegram refuses polls while a webhook is set; no update is dropped by removing it."""
    async with house.gateway(
        MODE="webhook", WEBHOOK_SECRET="s", WEBHOOK_URL="http://127.0.0.1:1/telegram"
    ):
        house.say(5, "waiting")
    await house.open_gateway(POLL_FAILURE_SECONDS_MAX="0.2")
    assert [job.text.text for job in await house.jobs(1)] == ["waiting"]


async def test_the_gateway_starts_while_telegram_is_away(house: House) -> None:
    """Workers can deliver; polling goes on when Telegram is back."""
    house.simulator.world.faults.set(FaultSettings(status_500=1.0))
    await house.open_gateway(POLL_FAILURE_SECONDS_MAX="0.2")
    house.say(5, "hello")
    await asyncio.sleep(0.5)
    house.simulator.world.faults.set(FaultSettings())
    assert await house.jobs(1)


@pytest.mark.parametrize(
    ("updates", "offset"),
    [([], None), ([{"update_id": 7}, {"update_id": 5}], 8), ([{}, "x", {"update_id": True}], None)],
)
def test_the_next_poll_begins_behind_the_last_update(
    updates: list[object], offset: int | None
) -> None:
    """Without any, from the beginning: Telegram may have begun its ids anew."""
    assert next_offset(updates) == offset
