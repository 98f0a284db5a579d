"""Operators as processes, and workers played by the test.

An operator runs as it would in a pod: under its own service account, whose rights are those of
k8s/dev/operator-rbac.yaml, and nothing else. `PlayedWorkers` stands for the pods of a StatefulSet
where no node runs them: it registers as many workers as the StatefulSet asks for, keeps their
leases and follows the desired owners as a worker must.
"""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from tests.cluster.api import ApiError, JsonObject, KubernetesApi, resource_path
from tests.cluster.waiting import eventually

from devbox.database import Database
from devbox.programs import start_program

TREE = Path(__file__).parents[2]
DEFINITION = TREE / "charts/purser-crds/templates/usershard.yaml"
OLDER_DEFINITION = Path(__file__).parent / "older_definition.yaml"
RIGHTS = TREE / "k8s/dev/operator-rbac.yaml"
SAMPLES = TREE / "k8s/samples"
TARGET = "purser-user-worker"
STOP_SECONDS = 20.0
ASK_SECONDS_MAX = 1.0
"""For a question to the API server between two heartbeats, whose lease is 5 s."""


@dataclass
class OperatorProcess:
    """One operator."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def says(self, event: str) -> bool:
        """Whether its log holds an event."""
        return f'"event":"{event}"' in self.log.read_text()

    def field_of(self, event: str, name: str) -> Any:
        """A value its log gives with an event."""
        lines = map(json.loads, self.log.read_text().splitlines())
        return next(line[name] for line in lines if line["event"] == event)

    async def until(self, event: str) -> None:
        """Wait for an event in its log."""
        await eventually(lambda: _true(self.says(event)))

    def kill(self) -> None:
        """As a lost machine would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As kubelet does; its exit status."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def pss_megabytes(self) -> float:
        """Its share of memory."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        assert found
        return int(found[1]) / 1024


@dataclass
class OperatorFactory:
    """Starts operators against one namespace, one database and one Redis."""

    kubeconfig: Path
    namespace: str
    database: Database
    redis_url: str
    folder: Path
    started: list[OperatorProcess] = field(default_factory=list)

    def start(self, **settings: str) -> OperatorProcess:
        """One more; keyword arguments are settings (`lease_duration_seconds="4"`)."""
        log = self.folder / f"operator-{len(self.started)}.log"
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(self.kubeconfig),
            "OPERATOR_NAMESPACE": self.namespace,
            "OPERATOR_DATABASE_URL": self.database.url("purser_operator"),
            "OPERATOR_REDIS_URL": self.redis_url,
        } | {f"OPERATOR_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "shard_operator"]
        # By a launcher and not by a fork of this process: it may have threads, gRPC's for one.
        process = start_program(command, folder=self.folder, log=log, environ=environment)
        self.started.append(OperatorProcess(process, log))
        return self.started[-1]

    def end_all(self) -> None:
        """Whatever still runs."""
        for operator in self.started:
            if operator.process.poll() is None:
                operator.kill()


@dataclass
class PlayedWorkers:
    """The workers a StatefulSet's pods would be."""

    api: KubernetesApi
    namespace: str
    database: Any
    runs: dict[str, uuid.UUID] = field(default_factory=dict)
    owned: dict[tuple[str, int], int] = field(default_factory=dict)
    count: int = 0
    """The workers that the StatefulSet asked for when it was last seen."""
    removed_with_shards: list[str] = field(default_factory=list)
    """Workers whose pods went while they still owned something: scale-in must never do that."""

    @property
    def pool(self) -> str:
        """The pool of the UserShard `main`."""
        return f"{self.namespace}.main"

    async def play(self) -> None:
        """Follow the StatefulSet and the desired owners until cancelled."""
        while True:
            await self._follow_count()
            await self._follow_desired()
            await asyncio.sleep(0.2)

    async def shards_of(self) -> dict[str, int]:
        """How many shards each worker owns."""
        rows = await self.database.fetch(
            "SELECT owner, count(*) FROM placement.shards WHERE pool = $1 AND owner IS NOT NULL"
            " GROUP BY owner",
            self.pool,
        )
        return dict(rows)

    async def _follow_count(self) -> None:
        path = resource_path("apps/v1", "statefulsets", self.namespace, TARGET)
        # Pods that run go on without the API server.
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ApiError):
            async with asyncio.timeout(ASK_SECONDS_MAX):
                self.count = (await self.api.get(path))["spec"]["replicas"]
        asked = [f"{TARGET}-{ordinal}" for ordinal in range(self.count)]
        for name in asked:
            if name not in self.runs:
                self.runs[name] = uuid.uuid4()
                await self._ask("register_worker($1, $2, $3, 5)", name)
            await self._ask("heartbeat($1, $2, $3, 5)", name)
        for name in [name for name in self.runs if name not in asked]:
            if taken_along := [key for key in self.owned if key[0] == name]:
                self.removed_with_shards.append(name)
                for key in taken_along:
                    del self.owned[key]
            await self._ask("deregister_worker($1, $2, $3)", name)
            del self.runs[name]

    async def _follow_desired(self) -> None:
        rows = await self.database.fetch(
            "SELECT shard, owner, desired_owner FROM placement.shards WHERE pool = $1", self.pool
        )
        for shard, owner, desired in rows:
            if owner is not None and owner != desired and (owner, shard) in self.owned:
                epoch = self.owned.pop((owner, shard))
                await self._ask("release_shard($1, $4, $2, $3, $5)", owner, shard, epoch)
            if desired in self.runs and owner != desired:
                epoch = await self._ask("claim_shard($1, $4, $2, $3, 3)", desired, shard)
                if epoch is not None:
                    self.owned[desired, shard] = epoch

    async def _ask(self, call: str, name: str, *more: object) -> Any:
        return await self.database.fetchval(
            f"SELECT placement.{call}",
            self.pool,
            name,
            self.runs[name],
            *more,
        )


@asynccontextmanager
async def playing_workers(
    api: KubernetesApi, namespace: str, database: Database
) -> AsyncIterator[PlayedWorkers]:
    """Workers that live as long as the context."""
    # A pool: the test asks while the workers act. Real ones ask again when a machine stood still.
    pool = await asyncpg.create_pool(
        database.url("purser_worker"),
        min_size=1,
        max_size=2,
        server_settings={"transaction_timeout": "0"},
    )
    workers = PlayedWorkers(api, namespace, pool)
    playing = asyncio.create_task(workers.play())
    try:
        yield workers
    finally:
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing
        await pool.close()


@dataclass
class PlacementView:
    """What the tables say about one pool."""

    connection: Any
    pool: str

    @classmethod
    @asynccontextmanager
    async def of(cls, database: Database, pool: str) -> "AsyncIterator[PlacementView]":
        """A view, as the operator's role sees it."""
        connection = await asyncpg.connect(database.url("purser_operator"))
        try:
            yield cls(connection, pool)
        finally:
            await connection.close()

    async def is_spread(self, size: int, over: int) -> bool:
        """Whether so many workers own `size` shards each, and nobody else owns one."""
        rows = await self.connection.fetch(
            "SELECT count(*) FROM placement.shards WHERE pool = $1 AND owner IS NOT NULL"
            " GROUP BY owner",
            self.pool,
        )
        return [row[0] for row in rows] == [size] * over

    async def epochs(self) -> dict[int, int]:
        """How often each shard was claimed."""
        rows = await self.connection.fetch(
            "SELECT shard, epoch FROM placement.shards WHERE pool = $1", self.pool
        )
        return dict(rows)


def target_manifest(name: str = TARGET) -> JsonObject:
    """A StatefulSet whose pods nobody runs."""
    labels = {"app": name}
    container = {"name": "worker", "image": "none"}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "podManagementPolicy": "Parallel",
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "nodeSelector": {"purser.dev/no": "such"}},
            },
        },
    }


async def make_shards(database: Database, pool: str, count: int) -> None:
    """As the gateway's directory does."""
    connection = await asyncpg.connect(
        database.url("purser_gateway"), server_settings={"transaction_timeout": "0"}
    )
    for shard in range(count):
        await connection.execute("SELECT placement.ensure_shard($1, $2)", pool, shard)
    await connection.close()


def rights_in(namespace: str) -> str:
    """The operator's RBAC manifest for a namespace of a test's own."""
    return RIGHTS.read_text().replace("namespace: default", f"namespace: {namespace}")


async def _true(value: bool) -> bool:
    return value
