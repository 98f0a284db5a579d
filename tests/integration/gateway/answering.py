"""Short ways to have users answered, and to look at what became of it."""

from tests.integration.gateway.house import House, Running, ending, eventually

from purser.gateway.v1 import reply_pb2


async def answer(house: House, gateway: Running, user_id: int, *replies: reply_pb2.Reply) -> None:
    """Have a user say something and answer it."""
    claim = await house.claim()
    count = await house.sql.fetchval("SELECT count(*) FROM gateway.inbox")
    house.say(user_id, "hi")
    job = (await house.jobs(count + 1))[-1]
    await gateway.stub.Deliver(ending(claim, job.job_id, *replies), timeout=5)


async def states(house: House) -> list[int]:
    """The states of all rows of the outbox, once none is pending."""

    async def settled() -> list[int] | None:
        rows = await house.sql.fetch("SELECT state FROM gateway.outbox ORDER BY place")
        return [row["state"] for row in rows] if all(row["state"] for row in rows) else None

    async def released() -> bool:
        left: int = await house.sql.fetchval("SELECT count(*) FROM gateway.senders")
        return left == 0

    found: list[int] = await eventually(settled)
    assert await eventually(released)
    return found


def words(messages: list[dict[str, object]]) -> list[object]:
    """What the messages say."""
    return [message["text"] for message in messages]
