"""The API server away, hanging, forgetful, stormy: the operator waits, ends only when another must
lead, notices what it missed, and writes little.

These tests break their control plane, so they have one for themselves. The workers are played, and
go on without the API server as pods do.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager

import aiohttp
import pytest
from tests.cluster.api import ApiError, JsonObject, KubernetesApi, resource_path
from tests.cluster.audit import Request, requests_of
from tests.cluster.backlogs import end_jobs, put_jobs
from tests.cluster.breaking import Breakable
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.cluster.errors import BinariesMissing
from tests.cluster.operators import (
    TARGET,
    OperatorFactory,
    OperatorProcess,
    PlayedWorkers,
    make_shards,
)
from tests.cluster.subject import Subject
from tests.cluster.waiting import eventually, until

from devbox.database import Database
from shard_operator.event_budget import BURST_MAX, REFILL_SECONDS
from shard_operator.reconciling import PASS_SPACING_SECONDS

ACCOUNT = "purser-operator"
SHARDS = 8
SPEC: JsonObject = {
    "workers": {"minReplicas": 2, "maxReplicas": 4},
    "scaling": {"pollPeriodSeconds": 1, "scaleDownStabilizationSeconds": 2},
}
PATIENT = {"lease_duration_seconds": "90", "renew_deadline_seconds": "80"}
"""For a machine on which an API server takes longer to start than a lease lasts."""

BRIEF = {
    "lease_duration_seconds": "7",
    "renew_deadline_seconds": "6",
    "renew_period_seconds": "1",
}
"""Shorter than a storm."""

HANG_SECONDS = 20.0
STORM_SECONDS = 10.0
STORM_PERIOD_SECONDS = 0.05
SETTLING_SECONDS = 3.0
REFUSED_SECONDS = 7.0
"""Longer than a watch of the test: each kind of request is refused meanwhile."""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """One to break."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(running_control_plane())
        except BinariesMissing as missing:
            pytest.skip(str(missing))
        if running.external:
            pytest.skip("The cluster that PURSER_TEST_KUBECONFIG names is not ours to break.")
        yield running


@pytest.fixture
def breakable(control_plane: ControlPlane) -> Breakable:
    """How to break it."""
    assert control_plane.breakable is not None
    return control_plane.breakable


@pytest.fixture
async def pool(workers: PlayedWorkers, subject: Subject, database: Database) -> str:
    """The pool of the UserShard `main`, made, with shards and without an operator."""
    await make_shards(database, workers.pool, SHARDS)
    await subject.create(**SPEC)
    return workers.pool


async def follows_the_backlog(subject: Subject, redis_url: str, pool: str) -> None:
    """Out and in again: the whole way through API server, PostgreSQL and Redis works."""
    await put_jobs(redis_url, pool, per_shard=50, shards=SHARDS)
    await subject.until_asked(4)
    await end_jobs(redis_url, pool, shards=SHARDS)
    await subject.until_asked(2)
    await subject.until_condition("Ready", "True", "ShardsServed")


async def is_live(operator: OperatorProcess) -> bool:
    """What a kubelet would learn."""
    port = operator.field_of("ready", "health_port")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/livez") as response,
    ):
        return response.status == 200


def assert_unharmed(*operators: OperatorProcess) -> None:
    """They run, and showed nobody a stack trace."""
    for operator in operators:
        assert operator.process.poll() is None
        assert "Traceback" not in operator.log.read_text()


async def test_an_api_server_killed_and_started_again_ends_neither_leader_nor_stand_by(
    operators: OperatorFactory, pool: str, subject: Subject, breakable: Breakable, redis_url: str
) -> None:
    """kill -9 and the same port and data again: both go on, the leader leads, its watches too."""
    leader = operators.start(**PATIENT)
    await leader.until("leading")
    stand_by = operators.start(**PATIENT)
    await stand_by.until("standing_by")
    await subject.until_condition("Ready", "True", "ShardsServed")

    breakable.kill_apiserver()
    await put_jobs(redis_url, pool, per_shard=50, shards=SHARDS)
    await asyncio.sleep(3)
    assert await is_live(leader)
    assert await is_live(stand_by)
    breakable.start_apiserver()
    await breakable.until_apiserver_is_ready()

    await subject.until_asked(4)
    await end_jobs(redis_url, pool, shards=SHARDS)
    await subject.until_asked(2)
    await subject.patch(replicas=3)
    await subject.until_asked(3)
    assert not stand_by.says("leading")
    assert_unharmed(leader, stand_by)


async def test_what_happened_while_nobody_watched_is_noticed(
    operators: OperatorFactory, pool: str, subject: Subject, breakable: Breakable
) -> None:
    """The leader stands still while the API server is replaced, one UserShard deleted, one changed,
    and the history forgotten: its watches must begin anew (410 Gone) and see both.
    """
    other = subject.named("other")
    await other.create(scaleTargetRef={"name": "nowhere"}, scaling={"pollPeriodSeconds": 1})
    leader = operators.start(relist_period_seconds="5", **PATIENT)
    await other.until_condition("Degraded", "True", "ScaleTargetNotFound")
    await subject.until_condition("Ready", "True", "ShardsServed")

    leader.process.send_signal(signal.SIGSTOP)
    breakable.kill_apiserver()
    breakable.start_apiserver()
    await breakable.until_apiserver_is_ready()
    await other.delete()
    await subject.patch(replicas=3)
    await asyncio.to_thread(breakable.compact_etcd)
    leader.process.send_signal(signal.SIGCONT)

    await subject.until_asked(3)
    await leader.until("pool_left_alone")
    assert_unharmed(leader)


async def test_a_hanging_api_server_ends_the_leader_at_its_deadline_and_it_stands_by_again(
    operators: OperatorFactory,
    pool: str,
    workers: PlayedWorkers,
    subject: Subject,
    breakable: Breakable,
    redis_url: str,
) -> None:
    """With the default times: exit status 3, kubelet starts it again; the stand-by stays. Workers
    serve throughout, and whoever leads afterwards follows the backlog.
    """
    leader = operators.start()
    await leader.until("leading")
    stand_by = operators.start()
    await stand_by.until("standing_by")
    await subject.until_condition("Ready", "True", "ShardsServed")

    with breakable.hanging_apiserver():
        began = time.monotonic()
        await asyncio.sleep(5)
        assert await is_live(leader)
        status = await asyncio.to_thread(leader.process.wait, HANG_SECONDS)
        restarted = operators.start()
        await asyncio.sleep(max(0.0, began + HANG_SECONDS - time.monotonic()))
        assert await is_live(stand_by)
        assert sum((await workers.shards_of()).values()) == SHARDS

    assert status == 3
    assert leader.says("leadership_lost")
    assert "Traceback" not in leader.log.read_text()
    await eventually(lambda: one_leads(stand_by, restarted))
    await follows_the_backlog(subject, redis_url, pool)
    assert_unharmed(stand_by, restarted)


async def one_leads(*operators: OperatorProcess) -> bool:
    """Whether exactly one of them ever led."""
    return sum(operator.says("leading") for operator in operators) == 1


async def test_a_token_that_is_refused_is_read_again(
    operators: OperatorFactory,
    control_plane: ControlPlane,
    pool: str,
    subject: Subject,
    api: KubernetesApi,
    namespace: str,
    redis_url: str,
) -> None:
    """As after a rotation that came late: the old one is refused for a while, then the file holds
    another. Nobody starts the operator again.
    """
    operator = operators.start(watch_timeout_seconds="5", relist_period_seconds="5", **PATIENT)
    await subject.until_condition("Ready", "True", "ShardsServed")

    accounts = resource_path("v1", "serviceaccounts", namespace)
    await api.delete(f"{accounts}/{ACCOUNT}")
    await operator.until("renewal_failed")
    await asyncio.sleep(REFUSED_SECONDS)
    await api.create(accounts, {"metadata": {"name": ACCOUNT}})
    fresh = control_plane.kubeconfig_for(namespace, ACCOUNT)
    fresh.replace(operators.kubeconfig)

    await follows_the_backlog(subject, redis_url, pool)
    # Watches that ended without credentials are found by a listing, and begun anew.
    await operator.until("watch_begun_anew")
    await subject.patch(replicas=3)
    await subject.until_asked(3)
    assert operator.process.poll() is None


@asynccontextmanager
async def storm(*writes: Callable[[int], Awaitable[object]]) -> AsyncIterator[None]:
    """Others write as fast as they can, twenty times a second each at most, while the context
    lasts.
    """
    ended = asyncio.Event()

    async def blow(write: Callable[[int], Awaitable[object]]) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            try:
                await write(number)
            except ApiError as refusal:
                if refusal.status != 409:
                    raise
            await asyncio.sleep(STORM_PERIOD_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        for write in writes:
            tasks.create_task(blow(write))
        yield
        ended.set()


def written_since(plane: ControlPlane, namespace: str, since: float) -> list[Request]:
    """What the operator wrote, the Lease apart."""
    return [
        request
        for request in requests_of(plane.logs, namespace, ACCOUNT)
        if request.at >= since
        and request.verb in ("create", "patch", "update")
        and request.resource != "leases"
    ]


async def test_a_storm_of_changes_to_its_objects_costs_bounded_writes_and_settles(
    operators: OperatorFactory,
    control_plane: ControlPlane,
    pool: str,
    subject: Subject,
    api: KubernetesApi,
    namespace: str,
    redis_url: str,
) -> None:
    """Labels, spec and status of the UserShard, annotations of the StatefulSet."""
    operator = operators.start()
    await subject.until_condition("Ready", "True", "ShardsServed")
    target = resource_path("apps/v1", "statefulsets", namespace, TARGET)

    async with storm(
        lambda n: subject.change({"metadata": {"labels": {"storm": str(n)}}}),
        lambda n: subject.patch(usersPerShard=50 + n % 7),
        lambda n: subject.write_status({"backlog": n, "conditions": []}),
        lambda n: api.merge(target, {"metadata": {"annotations": {"storm": str(n)}}}),
    ):
        since = time.time()
        await asyncio.sleep(STORM_SECONDS)
    written = written_since(control_plane, namespace, since)
    await assert_bounded(written, api, namespace)
    last = await subject.read()

    generation = last["metadata"]["generation"]
    await until(subject.read, lambda body: observed(body) == generation, "the last spec noticed")
    await follows_the_backlog(subject, redis_url, pool)
    assert [request for request in written if request.resource == "statefulsets/scale"] == []
    assert_unharmed(operator)


async def assert_bounded(written: Sequence[Request], api: KubernetesApi, namespace: str) -> None:
    """At most one status a pass, and as many Events of a reason as the budget has."""
    listed = await api.get(resource_path("v1", "events", namespace))
    about = (event for event in listed["items"] if event["involvedObject"]["kind"] == "UserShard")
    told = Counter(event["reason"] for event in about)
    statuses = sum(request.resource == "usershards/status" for request in written)
    seconds = STORM_SECONDS + SETTLING_SECONDS

    assert statuses <= seconds / PASS_SPACING_SECONDS
    assert max(told.values()) <= BURST_MAX + seconds / REFILL_SECONDS + 1, told


def observed(body: JsonObject) -> int | None:
    """The generation a status is about."""
    seen: int | None = body.get("status", {}).get("observedGeneration")
    return seen


async def test_a_storm_of_counts_by_another_writer_is_not_fought(
    operators: OperatorFactory,
    control_plane: ControlPlane,
    pool: str,
    subject: Subject,
    api: KubernetesApi,
    namespace: str,
) -> None:
    """Two controllers that saw would move every shard for nothing: this one lets go. Somebody who
    writes the Lease's labels takes no leadership away.
    """
    operator = operators.start(**BRIEF)
    await subject.until_condition("Ready", "True", "ShardsServed")
    target = resource_path("apps/v1", "statefulsets", namespace, TARGET)

    since = time.time()
    lease = resource_path("coordination.k8s.io/v1", "leases", namespace, ACCOUNT)
    async with storm(
        lambda n: api.merge(target, {"spec": {"replicas": 2 + n % 3}}),
        lambda n: api.merge(lease, {"metadata": {"labels": {"storm": str(n)}}}),
    ):
        await asyncio.sleep(STORM_SECONDS)
    await subject.until_condition("Degraded", "True", "ScaleTargetContested")
    left = await subject.asked()
    await asyncio.sleep(SETTLING_SECONDS)
    written = written_since(control_plane, namespace, since)

    assert await subject.asked() == left
    scaled = [request for request in written if request.resource == "statefulsets/scale"]
    assert len(scaled) <= 1, scaled
    await assert_bounded(written, api, namespace)
    assert_unharmed(operator)
