"""The operator with the real user-worker as its pods: kubectl apply to a pool that is served.

The workers are the program itself, started by the pod runner; what they would call (gateway,
pricing, wallet, ledger) is not there, so the test ends the jobs in their stead. What is under test
is the control loop: pods, leases, claims, counts.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.api import JsonObject, KubernetesApi
from tests.cluster.operators import SAMPLES, TARGET, OperatorFactory, PlacementView, make_shards
from tests.cluster.test_operator import (
    Kubectl,
    Subject,
    defined,
    end_jobs,
    operators,
    put_jobs,
    subject,
)
from tests.cluster.waiting import eventually

from devbox.database import Database
from kernel.identifiers import new_uuid7
from kernel.sharding import ShardKey
from purser.gateway.v1 import job_pb2

__all__ = ["defined", "operators", "subject"]

SHARDS = 8
NOWHERE = "127.0.0.1:1"

pytestmark = pytest.mark.timeout(300)


def worker_set(pool: str, database: Database, redis_url: str) -> JsonObject:
    """The StatefulSet of the chart, as far as this test needs it; without `replicas`, as there."""
    labels = {"app": TARGET}
    values = {
        "USER_WORKER_POOL": pool,
        "USER_WORKER_DATABASE_URL": database.url("purser_worker"),
        "USER_WORKER_REDIS_URL": redis_url,
        "USER_WORKER_LISTEN_ADDRESS": "$(ADDRESS):50051",
    } | {
        f"USER_WORKER_{room}_ADDRESS": NOWHERE
        for room in ("GATEWAY", "PRICING", "WALLET", "LEDGER")
    }
    fields = {"USER_WORKER_NAME": "metadata.name", "ADDRESS": "status.podIP"}
    env: list[Any] = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in fields.items()
    ]
    env += [{"name": name, "value": value} for name, value in values.items()]
    command = ["python", "-m", "user_worker"]
    container = {"name": "worker", "image": "none", "command": command, "env": env}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": TARGET},
        "spec": {
            "podManagementPolicy": "Parallel",
            "serviceName": TARGET,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 30},
            },
        },
    }


def waiting_job(key: ShardKey) -> bytes:
    """A job that has to wait for its user's first one, which only the gateway could tell."""
    job = job_pb2.Job(
        job_id=str(new_uuid7()),
        pool=key.pool,
        shard=key.shard,
        user_id=str(new_uuid7()),
        user_seq=2,
        command=job_pb2.CommandInput(name="start"),
    )
    job.accepted_at.GetCurrentTime()
    return job.SerializeToString()


async def test_a_pool_is_applied_served_grown_and_shrunk(
    operators: OperatorFactory,
    subject: Subject,
    node: str,
    kubectl: Kubectl,
    namespace: str,
    api: KubernetesApi,
    database: Database,
    redis_url: str,
    tmp_path: Path,
) -> None:
    """Pods start and own shards, more come with a backlog, and go when they are empty."""
    pool = f"{namespace}.main"
    file = tmp_path / "workers.yaml"
    file.write_text(yaml.safe_dump(worker_set(pool, database, redis_url)))
    kubectl("apply", "-f", str(file))
    await make_shards(database, pool, SHARDS)
    operators.start()

    kubectl("apply", "-f", str(SAMPLES / "usershard-minimal.yaml"))
    await subject.patch(
        scaling={
            "pollPeriodSeconds": 1,
            "scaleDownStabilizationSeconds": 3,
            # Jobs nobody ends grow old: only their number shall count here.
            "targetOldestJobSeconds": 3600,
        }
    )
    kubectl("wait", "--for=condition=Ready", "ush/main", "--timeout=60s")
    async with PlacementView.of(database, pool) as placement:
        await eventually(lambda: placement.is_spread(SHARDS // 2, over=2))
        epochs = await placement.epochs()

        await put_jobs(redis_url, pool, per_shard=50, shards=SHARDS, payload=waiting_job)
        await subject.until_asked(4)
        await eventually(lambda: placement.is_spread(SHARDS // 4, over=4))
        await subject.until_condition("Progressing", "False", "Settled")

        await end_jobs(redis_url, pool, shards=SHARDS)
        await subject.until_asked(2)
        await eventually(lambda: placement.is_spread(SHARDS // 2, over=2))
        kubectl("wait", "--for=condition=Ready", "ush/main", "--timeout=60s")
        moves = sum((await placement.epochs()).values()) - sum(epochs.values())

    # Half of the shards went out and came back, each by one claim: no plan could do with fewer.
    assert moves == SHARDS
    assert re.search(r"ScaledIn .* to 2 workers", kubectl("describe", "ush", "main"))
