"""The cluster as one scenario sees it: what an SRE applies, asks, and looks at when it went wrong.

Questions go to whoever has the truth: the count to the StatefulSet, ownership to `placement`,
answers to the simulated Telegram. `explained` adds to a failure what one would otherwise have to
collect by hand.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from tests.cluster.api import JsonObject, KubernetesApi, resource_path
from tests.cluster.beside import Beside
from tests.cluster.operators import SAMPLES, TARGET, TREE, OperatorFactory, OperatorProcess
from tests.cluster.subject import Subject
from tests.cluster.waiting import until

from devbox.database import Database

WORKERS = TREE / "k8s/dev/user-worker-statefulset.yaml"
WORKERS_MIN = 2
"""The sample's."""
LOG_TAIL_BYTES = 3000

# How many shards a worker still owned when it was told to go. In the statement that says so, since
# a moment later it may have given them up.
NOTE_DEPARTURES = """
CREATE TABLE departures (
    worker text NOT NULL, shards bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION note_departure() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.departures (worker, shards)
    SELECT NEW.worker, count(*) FROM placement.shards s
    WHERE s.pool = NEW.pool AND s.owner = NEW.worker AND s.owner_incarnation = NEW.incarnation;
    RETURN NULL;
END $$;
CREATE TRIGGER note_departure AFTER UPDATE OF draining ON placement.workers
    FOR EACH ROW WHEN (NEW.draining) EXECUTE FUNCTION note_departure();
"""


@dataclass
class Scenario:
    """One namespace with an operator, a UserShard, its workers, and the services beside."""

    namespace: str
    api: KubernetesApi
    kubectl: Callable[..., str]
    subject: Subject
    operators: OperatorFactory
    beside: Beside
    owner: "asyncpg.Pool[asyncpg.Record]"
    pod_logs: Path

    @property
    def pool(self) -> str:
        """The pool of the UserShard."""
        return f"{self.namespace}.main"

    @property
    def operator(self) -> OperatorProcess:
        """The operator that was started last."""
        return self.operators.started[-1]

    async def come_up(
        self, database: Database, redis_url: str, spec: JsonObject, **environ: str
    ) -> None:
        """The sample as it is, until its workers serve; then the scenario's own numbers, on the
        living pool. Keyword arguments are settings of the workers.
        """
        await self.apply_workers(database, redis_url, **environ)
        await self.until_workers(WORKERS_MIN)
        await self.subject.until_condition("Ready", "True", "ShardsServed")
        changed = await self.subject.patch(**spec)
        generation = changed["metadata"]["generation"]

        async def noticed() -> int:
            status: dict[str, int] = (await self.subject.read())["status"]
            return status["observedGeneration"]

        await until(noticed, lambda seen: seen == generation, "the change noticed")

    async def apply_workers(self, database: Database, redis_url: str, **environ: str) -> None:
        """What the workers need, and their StatefulSet."""
        secret = {
            "metadata": {"name": TARGET},
            "stringData": {"database-url": database.url("purser_worker"), "redis-url": redis_url},
        }
        addresses = {
            "metadata": {"name": "purser-addresses"},
            "data": self.beside.addresses | environ,
        }
        await self.api.create(resource_path("v1", "secrets", self.namespace), secret)
        await self.api.create(resource_path("v1", "configmaps", self.namespace), addresses)
        self.kubectl("apply", "-f", str(WORKERS))
        self.kubectl("apply", "-f", str(SAMPLES / "usershard-minimal.yaml"))

    async def workers(self) -> dict[str, int]:
        """How many workers the StatefulSet asks for, has, and has ready."""
        path = resource_path("apps/v1", "statefulsets", self.namespace, TARGET)
        found = await self.api.get(path)
        status = found["status"]
        return {
            "asked": found["spec"]["replicas"],
            "there": status["replicas"],
            "ready": status.get("readyReplicas", 0),
        }

    async def until_workers(self, count: int) -> None:
        """Wait until exactly so many workers are asked for, are there, and are ready."""
        await until(self.workers, lambda seen: set(seen.values()) == {count}, f"{count} workers")

    async def shards_of(self) -> dict[str, int]:
        """How many shards each worker owns; those without an owner under the empty name."""
        rows = await self.owner.fetch(
            "SELECT coalesce(owner, '') AS owner, count(*) AS shards FROM placement.shards"
            " WHERE pool = $1 GROUP BY 1",
            self.pool,
        )
        return {row["owner"]: row["shards"] for row in rows}

    async def until_spread_over(self, workers: int) -> None:
        """Wait until the first so many workers own every shard, balanced within one."""
        names = {f"{TARGET}-{ordinal}" for ordinal in range(workers)}

        def are_spread(owned: dict[str, int]) -> bool:
            return owned.keys() == names and max(owned.values()) - min(owned.values()) <= 1

        await until(self.shards_of, are_spread, f"shards spread over {workers} workers")

    async def departures(self, since: float = 0.0) -> dict[str, int]:
        """The workers that were told to go after this time (seconds since the epoch), and how many
        shards each still owned then.
        """
        rows = await self.owner.fetch(
            "SELECT worker, shards FROM departures WHERE at >= to_timestamp($1)", since
        )
        return {row["worker"]: row["shards"] for row in rows}

    def logs(self) -> list[Path]:
        """The logs of all operators, of what stands beside, and of every pod."""
        return [
            *(operator.log for operator in self.operators.started),
            *sorted(self.beside.logs.glob("*.log")),
            *self.worker_logs(),
        ]

    def worker_logs(self) -> list[Path]:
        """The logs of the pods."""
        return sorted(self.pod_logs.glob(f"{self.namespace}_*.log"))

    @asynccontextmanager
    async def explained(self, request: pytest.FixtureRequest) -> AsyncIterator[None]:
        """Adds what an SRE would want to see to the report of a failure."""
        try:
            yield
        except BaseException:
            for title, text in (await self._look()).items():
                request.node.add_report_section("call", title, text)
            raise

    async def _look(self) -> dict[str, str]:
        asked = {
            "kubectl get ush": ("get", "ush", "-o", "wide"),
            "UserShard": ("describe", "ush", "main"),
            "StatefulSet and pods": ("get", "statefulset,pods", "-o", "wide"),
        }
        seen = {}
        for title, arguments in asked.items():
            try:
                seen[title] = self.kubectl(*arguments)
            except pytest.fail.Exception as failure:
                seen[title] = str(failure)
        for table in ("placement.shards", "placement.workers", "public.departures"):
            rows = await self.owner.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608
            seen[table] = "\n".join(str(tuple(row.values())) for row in rows)
        return seen | {f"end of {log.name}": _tail(log) for log in self.logs()}


def _tail(log: Path) -> str:
    return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
