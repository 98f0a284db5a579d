"""What an operator costs while nothing happens."""

import asyncio
import time

import pytest
from tests.cluster.api import KubernetesApi, resource_path
from tests.cluster.audit import per_minute_at_rest, requests_of
from tests.cluster.control_plane import ControlPlane
from tests.cluster.figures import Figures
from tests.cluster.operators import (
    OperatorFactory,
    PlayedWorkers,
    make_shards,
    target_manifest,
)
from tests.cluster.subject import Subject

from devbox.database import Database

ACCOUNT = "purser-operator"

REQUESTS_AT_REST_PER_MINUTE_MAX = 10.0
"""With two UserShards, without renewals of the Lease."""
REST_SECONDS = 60.0
SETTLING_SECONDS = 15.0
"""Decisions are over then; a figure of theirs may still be written once in the minute of rest."""

pytestmark = pytest.mark.timeout(240)


async def test_at_rest_two_user_shards_cost_few_requests(
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    api: KubernetesApi,
    control_plane: ControlPlane,
    namespace: str,
    figures: Figures,
    database: Database,
) -> None:
    """A minute in which nothing happens; the Lease's renewals apart, which the election needs."""
    await api.create(resource_path("apps/v1", "statefulsets", namespace), target_manifest("second"))
    second = subject.named("second")
    await make_shards(database, workers.pool, 4)
    operators.start()
    await subject.create()
    await second.create(scaleTargetRef={"name": "second"})
    await subject.until_condition("Ready", "True", "ShardsServed")
    await second.until_asked(2)
    await asyncio.sleep(SETTLING_SECONDS)

    since = time.time()
    await asyncio.sleep(REST_SECONDS)
    made = requests_of(control_plane.logs, namespace, ACCOUNT)
    rates = per_minute_at_rest(made, since, since + REST_SECONDS)

    figures.note(
        "two UserShards at rest",
        "requests a minute without the Lease's renewals",
        sum(rates.values()),
        REQUESTS_AT_REST_PER_MINUTE_MAX,
    )
    assert sum(rates.values()) <= REQUESTS_AT_REST_PER_MINUTE_MAX, rates
