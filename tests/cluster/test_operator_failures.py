"""The operator is killed, killed together with a worker, and there are two of it, while people
trade.
"""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil  # type: ignore[import-untyped]  # carries no types
import pytest
from tests.awake import awake_clock
from tests.cluster.house import House, worker_name
from tests.cluster.local_node import NODE_NAME
from tests.cluster.operators import OperatorProcess
from tests.cluster.signals import frozen, signal_tree
from tests.history.moving import (
    held_at,
    moves_in,
    moves_needed,
    moves_needed_in_steps,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

OPERATOR_SETTINGS = {
    "lease_duration_seconds": "4",
    "renew_deadline_seconds": "3",
    "renew_period_seconds": "1",
}
"""A lease as short as a test's patience."""
WORKERS = 3
VICTIM = 1
LEASE_SECONDS = float(OPERATOR_SETTINGS["lease_duration_seconds"])
HANDED_OVER_GOAL_SECONDS = 5.0
HANGS_SECONDS = 20.0
"""Who has not ended by then will not, however long the machine stood still."""
ORPHANS_SERVED_SECONDS_MAX = 15.0
"""A lease of 3 s, 3 s without an owner, a look each second; twice that on a busy machine."""
ELECTED_SECONDS_MAX = 2 * LEASE_SECONDS + 2.0
"""The stand-by looks each second; twice that on a busy machine."""


async def test_a_killed_operator_is_replaced_and_nobody_notices(
    house: House, request: pytest.FixtureRequest
) -> None:
    """The stand-by leads when the Lease has been silent; nothing moves meanwhile, and what a person
    asks for afterwards is done."""
    await house.rest(WORKERS)
    async with house.under_load(request):
        leader, stand_by = house.scenario.operator, await standing_by(house)
        begin = time.time()
        leader.kill()
        await stand_by.until("leading")
        elected = time.time() - begin
        house.note("operator killed to the next leading, s", elected, LEASE_SECONDS + 1)
        assert elected <= ELECTED_SECONDS_MAX
        assert moves_in(house.records, begin) == []
        await house.rest(WORKERS + 1)


async def test_a_stopped_operator_hands_over_within_five_seconds(
    house: House, request: pytest.FixtureRequest
) -> None:
    """A clean stop empties the Lease; in the middle of a scale-out the next one carries on."""
    await house.rest(WORKERS - 1)
    async with house.under_load(request):
        leader, stand_by = house.scenario.operator, await standing_by(house)
        await house.kubectl("scale", "ush", "main", f"--replicas={WORKERS + 1}")
        with awake_clock() as clock:
            leader.process.terminate()
            await stand_by.until("leading")
            handed_over = clock()
        house.note("operator stopped to the next leading, s", handed_over, HANDED_OVER_GOAL_SECONDS)
        assert handed_over <= HANDED_OVER_GOAL_SECONDS
        assert leader.stop() == 0
        await house.rest(WORKERS + 1)


async def test_without_an_operator_a_lost_pods_shards_are_claimed_by_the_others(
    house: House, request: pytest.FixtureRequest
) -> None:
    """The operator and a worker die together and no pod can come instead. Nobody decides, and
    everybody is served; the operator that comes back settles what it finds."""
    await house.rest(WORKERS)
    scenario, name = house.scenario, worker_name(VICTIM)
    async with house.under_load(request):
        await house.users.act()
        process = await house.worker(VICTIM)
        async with no_new_pods(house):
            scenario.operator.kill()
            at = house.strike("kill", name)
            # It hangs until it is killed: it can neither say that it goes nor be started again.
            signal_tree(process, signal.SIGSTOP)
            await house.kubectl("delete", "pod", name, "--grace-period=0", "--force")
            longest = await house.served_again(name, at)
            house.note("without an operator, killed to its shards served, s", longest)
            assert longest <= ORPHANS_SERVED_SECONDS_MAX
            assert set(await scenario.shards_of()) == {worker_name(0), worker_name(2)}
            begin = time.time()
            back = scenario.operators.start(**OPERATOR_SETTINGS)
            await back.until("leading")
            await scenario.subject.until_condition("Progressing", "True", "WorkersStarting")
        await house.until_spread_over(WORKERS)
        await scenario.subject.until_condition("Progressing", "False", "Settled")
        house.note("operator and room back to settled, s", time.time() - begin)


async def test_an_operator_that_wakes_up_after_its_lease_does_no_harm(
    house: House, request: pytest.FixtureRequest
) -> None:
    """SIGSTOP past its lease in the middle of a scale-in: the next one finishes, the old one wakes,
    sees that it leads no more, and ends."""
    await house.rest(WORKERS + 1)
    async with house.under_load(request):
        await house.users.act()
        leader, stand_by = house.scenario.operator, await standing_by(house)
        await house.kubectl("scale", "ush", "main", f"--replicas={WORKERS - 1}")
        with frozen(psutil.Process(leader.process.pid)):
            await stand_by.until("leading")
            await house.until_spread_over(WORKERS - 1)
            begin = time.time()
        with awake_clock() as clock:
            assert await asyncio.to_thread(leader.process.wait, HANGS_SECONDS) == 3
            assert clock() <= HANDED_OVER_GOAL_SECONDS
        await house.rest(WORKERS - 1)
        assert moves_in(house.records, begin) == []


async def test_two_operators_that_both_lead_place_every_shard_once(
    house: House, request: pytest.FixtureRequest
) -> None:
    """What the Lease prevents: each has a Lease of its own. Workers come, are killed and go; the
    two agree, since each decides from what stands."""
    await house.rest(WORKERS - 1)
    async with house.under_load(request):
        await allow_lease(house, "other")
        other = house.scenario.operators.start(**OPERATOR_SETTINGS, lease_name="other")
        try:
            await other.until("leading")
            await grown_by_both(house)
            process = await house.worker(VICTIM)
            house.strike("kill", worker_name(VICTIM))
            signal_tree(process, signal.SIGKILL)
            await house.rest(WORKERS + 1)
            begin = time.time()
            await house.rest(WORKERS - 1)
            gone = {pod.name for pod in await house.gone_since(begin)}
            assert gone == {worker_name(WORKERS - 1), worker_name(WORKERS)}
        finally:
            other.stop()


async def grown_by_both(house: House) -> None:
    """Workers come; no shard is moved twice because two planned it."""
    begin = time.time()
    held = held_at(house.records, begin)
    all_ = [worker_name(ordinal) for ordinal in range(WORKERS + 1)]
    await house.rest(WORKERS + 1)
    moves = len(moves_in(house.records, begin))
    house.note("moves when two operators scale out", moves)
    house.note("moves any plan needs", moves_needed(held, all_))
    assert moves <= moves_needed_in_steps(held, [all_[:-1], all_])


async def standing_by(house: House) -> OperatorProcess:
    """One more operator, which has seen that another leads. It is `scenario.operator` from now
    on."""
    stand_by = house.scenario.operators.start(**OPERATOR_SETTINGS)
    await stand_by.until("standing_by")
    return stand_by


@asynccontextmanager
async def no_new_pods(house: House) -> AsyncIterator[None]:
    """The node takes no pod for as long as the context lasts: a machine less, and no room."""
    await house.kubectl("cordon", NODE_NAME)
    try:
        yield
    finally:
        await house.kubectl("uncordon", NODE_NAME)


async def allow_lease(house: House, name: str) -> None:
    """Let the operator's account hold another Lease."""
    role = json.loads(await house.kubectl("get", "role", "purser-operator", "-o", "json"))
    for rule in role["rules"]:
        if rule["resources"] == ["leases"] and "resourceNames" in rule:
            rule["resourceNames"].append(name)
    patch = json.dumps({"rules": role["rules"]})
    await house.kubectl("patch", "role", "purser-operator", "--type=merge", "-p", patch)
