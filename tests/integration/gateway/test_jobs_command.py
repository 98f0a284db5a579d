"""`python -m user_worker jobs` in a pod: the worker's own settings, a real gateway."""

import asyncio
import json
import sys

from tests.integration.gateway.house import POOL, House, Running, ending, post_updates, text, typed

from purser.gateway.v1 import gateway_pb2
from purser.shard.v1 import shard_pb2

NOBODYS = "0198c0de-0000-7000-8000-000000000000"


async def jobs(gateway: Running, *arguments: str) -> tuple[int, str, str]:
    """Type a command; its exit status, what it printed, what it complained of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "user_worker",
        "jobs",
        *arguments,
        env={
            "USER_WORKER_GATEWAY_ADDRESS": gateway.gateway.address,
            "USER_WORKER_POOL": POOL,
            "USER_WORKER_NAME": "a-workers-own",
            "PYTHONWARNINGS": "error",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        printed, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode(), complained.decode()


async def poison(house: House, gateway: Running, words: str) -> tuple[shard_pb2.ShardClaim, str]:
    """Have something set aside; the claim and the job's id."""
    claim = await house.claim()
    await post_updates([gateway], [typed(1, 5, words)])
    (job,) = await house.jobs()
    call = ending(claim, job.job_id, text("sorry"))
    call.outcome = gateway_pb2.JOB_OUTCOME_SET_ASIDE
    call.error = "ValueError: bad\nluck"
    await gateway.stub.Deliver(call, timeout=5)
    return claim, job.job_id


async def test_a_job_is_found_looked_at_and_replayed(house: House) -> None:
    """From the list to the answer in the chat; a second replay does nothing and says so."""
    gateway = await house.open_webhook()
    house.simulator.world.chats.ensure_user(5)
    claim, job_id = await poison(house, gateway, "/buy BTC $100")

    status, printed, _ = await jobs(gateway)
    assert status == 0
    assert job_id in printed
    assert "/buy" in printed
    assert "$100" not in printed
    status, printed, _ = await jobs(gateway, "show", job_id)
    assert status == 0
    assert "ValueError: bad\n" in printed
    assert "$100" not in printed
    status, printed, _ = await jobs(gateway, "show", job_id, "--with-text")
    assert "typed      /buy BTC $100\n" in printed

    status, printed, _ = await jobs(gateway, "replay", job_id, "--json")
    replayed = json.loads(printed)
    again, said, _ = await jobs(gateway, "replay", job_id)

    assert status == 0
    assert not replayed["already_replayed"]
    assert (4, True) == (again, replayed["job_id"] in said)
    call = ending(claim, replayed["job_id"], text("bought"))
    await gateway.stub.Deliver(call, timeout=5)
    assert [m["text"] for m in await house.heard(5, 2)] == ["sorry", "bought"]


async def test_refusals_are_one_sentence_and_a_status(house: House) -> None:
    """No such job; what the user had forgotten; a page nobody named."""
    gateway = await house.open_webhook()
    claim, job_id = await poison(house, gateway, "private")
    user_id = (await house.jobs())[0].user_id
    await gateway.stub.ForgetUser(
        gateway_pb2.ForgetUserRequest(claim=claim, user_id=user_id), timeout=5
    )

    unknown = await jobs(gateway, "replay", NOBODYS)
    forgotten = await jobs(gateway, "replay", job_id)
    page = await jobs(gateway, "list", "--page", "2")

    assert (3, "", f"No job {NOBODYS} is set aside.\n") == unknown
    assert (1, "") == forgotten[:2]
    assert "forgotten" in forgotten[2]
    assert (1, "") == page[:2]
    assert "page_token" in page[2]
