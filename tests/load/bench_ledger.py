"""`python -m tests.load.bench_ledger`: transfers per second through gRPC, beside pgbench.

It starts a PostgreSQL of its own (fsync and synchronous_commit on) and one ledger process, lets
many callers apply operations for some seconds, and runs `pgbench -N` (simple update: one row
updated, one inserted per transaction) with as many connections on the same server in the same run.
What counts is the ratio: it compares like with like on whatever machine this is. Each line is JSON.

Requests are templates that only get new keys, and answers are read after the clock has stopped, so
the driver costs little; still it shares the machine's cores with the ledger and PostgreSQL. So the
processor time of each, per operation, stands beside the figure: it says what the limit is, and
hardly depends on who else is at work on the machine. Callers wait for their answer before they ask
again: a closed model, which is what group commit meets when each worker waits for its trades.

Cases:

- `spread`: charges, over all accounts of 1,000 users in 20 shards
- `hot system account`: gifts of one asset, all from the faucet
- `hot user`: charges to the one account of one user
- `trades`: a hold and its fill, which make three transfers and a trade
"""

import argparse
import asyncio
import itertools
import os
import random
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import grpc.aio
import msgspec
import psutil  # type: ignore[import-untyped]  # carries no types
from tests.integration.books import assert_balanced
from tests.integration.ledger.operations import BTC, USDT, buy, faucet, fee, hold, wire
from tests.integration.stores import make_claims
from tests.load.figures import tell
from tests.load.latency import percentile

from devbox.database import ensure_database, ensure_logins, migrate_rooms
from devbox.roles import ROLES, Database
from devbox.servers import PostgresServer, embedded_postgres
from devbox.servers.postgresql import postgres_program
from kernel.sharding import Claim
from purser.ledger.v1 import ledger_pb2

USERS, SHARDS = 1_000, 20
DATABASE = "bench"
APPLY = "/purser.ledger.v1.LedgerService/ApplyOperations"
ENSURE = "/purser.ledger.v1.LedgerService/EnsureAccounts"
CONCURRENT_SIGN_UPS = 50
TIMEOUT_SECONDS = 30.0
SMALLEST = "0.000001"
SECONDS_MAX, CALLERS_MAX, CONNECTIONS_MAX = 60.0, 512, 64

Make = Callable[[UUID], list[ledger_pb2.Operation]]


@dataclass(frozen=True, slots=True)
class Options:
    """How to measure."""

    seconds: float = 5.0
    """Per case."""
    callers: int = 128
    """Of requests of one operation; an eighth as many send a hundred."""
    connections: int = 16
    """That the ledger may open, and pgbench opens, to PostgreSQL."""
    case: str = ""
    """Only cases whose name holds this."""
    profile: str = ""
    """Where to write the ledger's cProfile; empty for no profile."""


@dataclass(frozen=True, slots=True)
class User:
    """One user and the claim of his shard."""

    user_id: UUID
    claim: Claim


@dataclass(frozen=True, slots=True)
class Case:
    """What is applied, by how many callers, in requests of how many operations."""

    name: str
    batch: int
    callers: int
    users: Sequence[User]
    make: Make


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench_ledger")
    usual = Options()
    parser.add_argument("--seconds", type=float, default=usual.seconds)
    parser.add_argument("--callers", type=int, default=usual.callers)
    parser.add_argument("--connections", type=int, default=usual.connections)
    parser.add_argument("--case", default=usual.case)
    parser.add_argument("--profile", default=usual.profile)
    asked = Options(**vars(parser.parse_args()))
    bounds = (
        (asked.seconds, SECONDS_MAX),
        (asked.callers, CALLERS_MAX),
        (asked.connections, CONNECTIONS_MAX),
    )
    if not all(0 < value <= bound for value, bound in bounds):
        parser.error(
            f"at most {SECONDS_MAX:g} s, {CALLERS_MAX} callers, {CONNECTIONS_MAX}; above 0"
        )
    asyncio.run(measure(asked))


async def bench(_: argparse.Namespace) -> bool:
    """Measure as `make bench` does; True: had anything gone wrong, it would have raised."""
    await measure(Options())
    return True


async def measure(asked: Options) -> None:
    """Measure pgbench and every case; in the end the books must balance."""
    with tempfile.TemporaryDirectory(prefix="purser-bench-") as folder:
        async with (
            embedded_postgres(Path(folder), owner_password=secrets.token_urlsafe(32)) as server,
            _ledger(server, asked) as (address, database, used),
        ):
            simple_update = await asyncio.to_thread(
                pgbench, server, asked.connections, asked.seconds
            )
            tell("pgbench -N", simple_update, "transactions/s", connections=asked.connections)
            channel = grpc.aio.insecure_channel(address)
            users = await sign_up(channel, database)
            for case in cases(users, asked.callers):
                if asked.case in f"{case.name} {case.batch}":
                    await _measure(channel, case, asked, simple_update, used)
            await channel.close()
            await assert_balanced(database)


async def _measure(
    channel: grpc.aio.Channel,
    case: Case,
    asked: Options,
    simple_update: float,
    used: Callable[[], dict[str, float]],
) -> None:
    before = used()
    answers, seconds, latencies = await load(channel, case, asked.seconds)
    after = used()
    applied = _applied(case, answers)
    tell(
        f"ledger, {case.name}, in requests of {case.batch}",
        applied / seconds,
        "operations/s",
        times_pgbench=round(applied / seconds / simple_update, 2),
        callers=case.callers,
        connections=asked.connections,
        p50_milliseconds=round(percentile(latencies, 0.5) * 1000, 1),
        p99_milliseconds=round(percentile(latencies, 0.99) * 1000, 1),
        cpu_microseconds_per_operation={
            name: round((after[name] - before[name]) / applied * 1e6) for name in after
        },
    )


def cases(users: Sequence[User], callers: int) -> Iterator[Case]:
    """Every case in requests of one and of a hundred operations."""

    def charge(user: UUID) -> list[ledger_pb2.Operation]:
        return [fee(user, SMALLEST)]

    def give(user: UUID) -> list[ledger_pb2.Operation]:
        return [faucet(user, SMALLEST)]

    def trade(user: UUID) -> list[ledger_pb2.Operation]:
        order = uuid4()
        return [
            hold(user, order, "0.0001"),
            buy(user, order, "0.00009", "0.00000002", "0.00000001"),
        ]

    for batch, many in ((1, callers), (100, max(1, callers // 8))):
        yield Case("spread", batch, many, users, charge)
        yield Case("hot system account", batch, many, users, give)
        yield Case("hot user", batch, many, users[:1], charge)
        yield Case("trades", max(batch, 2), many, users, trade)


async def load(
    channel: grpc.aio.Channel, case: Case, seconds: float
) -> tuple[list[bytes], float, list[float]]:
    """Apply for some seconds; the answers, how long it took, and the latencies."""
    call = channel.unary_unary(APPLY)
    latencies: list[float] = []
    answers: list[bytes] = []
    requests = _requests(case)
    ends = time.perf_counter() + seconds

    async def caller() -> None:
        while (began := time.perf_counter()) < ends:
            answers.append(await call(next(requests), timeout=TIMEOUT_SECONDS))
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(case.callers)))
    return answers, time.perf_counter() - began, sorted(latencies)


def _applied(case: Case, answers: Sequence[bytes]) -> int:
    """How many operations were applied; all must have been."""
    outcomes: Counter[int] = Counter()
    for answer in answers:
        response = ledger_pb2.ApplyOperationsResponse.FromString(answer)
        outcomes.update(result.outcome for result in response.results)
    if set(outcomes) != {ledger_pb2.OPERATION_OUTCOME_APPLIED}:
        raise SystemExit(f"{case.name}: not everything was applied: {outcomes}")
    return outcomes.total()


def _requests(case: Case) -> Iterator[bytes]:
    """Requests without end: each for the users of one shard."""
    by_shard: dict[Claim, list[UUID]] = {}
    for user in case.users:
        by_shard.setdefault(user.claim, []).append(user.user_id)
    templates = []
    for claim, users in itertools.islice(itertools.cycle(by_shard.items()), 40):
        operations: list[ledger_pb2.Operation] = []
        while len(operations) < case.batch:
            operations += case.make(random.choice(users))
        templates.append(
            ledger_pb2.ApplyOperationsRequest(claim=wire(claim), operations=operations)
        )
    for template in itertools.cycle(templates):
        orders: dict[str, str] = {}
        for operation in template.operations:
            kind = operation.WhichOneof("kind")
            operation.idempotency_key = f"bench:{secrets.token_hex(8)}"
            if kind in ("hold", "fill"):
                body = getattr(operation, kind)
                body.order_id = orders.setdefault(body.order_id, str(uuid4()))
        yield template.SerializeToString()


async def sign_up(channel: grpc.aio.Channel, database: Database) -> list[User]:
    """Claim the shards, make the users and give each some play money."""
    claim_shard = make_claims(database)
    claims = [await claim_shard(shard) for shard in range(SHARDS)]
    users = [User(uuid4(), claims[number % SHARDS]) for number in range(USERS)]
    ensure, apply = channel.unary_unary(ENSURE), channel.unary_unary(APPLY)
    for first in range(0, USERS, CONCURRENT_SIGN_UPS):
        some = users[first : first + CONCURRENT_SIGN_UPS]
        await asyncio.gather(*(ensure(_ensure(user), timeout=TIMEOUT_SECONDS) for user in some))
        await asyncio.gather(*(apply(_gift(user), timeout=TIMEOUT_SECONDS) for user in some))
    return users


def _ensure(user: User) -> bytes:
    return ledger_pb2.EnsureAccountsRequest(
        claim=wire(user.claim), user_id=str(user.user_id), asset_ids=[USDT, BTC]
    ).SerializeToString()


def _gift(user: User) -> bytes:
    return ledger_pb2.ApplyOperationsRequest(
        claim=wire(user.claim), operations=[faucet(user.user_id, "5000")]
    ).SerializeToString()


def pgbench(server: PostgresServer, connections: int, seconds: float) -> float:
    """Run pgbench's simple update; transactions per second."""
    environ = {**os.environ, "PGPASSWORD": server.owner_password}
    where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "purser_owner", "postgres"]
    program = str(postgres_program("pgbench"))
    subprocess.run(
        [program, "-i", "-q", "-s", "10", *where], env=environ, check=True, capture_output=True
    )
    options = ["-N", "-n", "-c", str(connections), "-j", "2", "-T", str(max(1, round(seconds)))]
    ran = subprocess.run(
        [program, *options, *where], env=environ, check=True, capture_output=True, text=True
    )
    found = re.search(r"tps = ([0-9.]+)", ran.stdout)
    if found is None:
        raise SystemExit(f"pgbench told no figure: {ran.stdout}")
    return float(found[1])


@asynccontextmanager
async def _ledger(
    server: PostgresServer, asked: Options
) -> AsyncIterator[tuple[str, Database, Callable[[], dict[str, float]]]]:
    """Run one ledger process on a migrated database; its address, the database, and a look at the
    processor seconds everybody has used."""
    passwords = {role: secrets.token_urlsafe(32) for role in ROLES}
    await ensure_database(server.owner_url(), DATABASE)
    await migrate_rooms(server.owner_url(DATABASE))
    await ensure_logins(server.owner_url(DATABASE), passwords)
    database = Database(server.owner_url(DATABASE), passwords)
    profiled = ["-m", "cProfile", "-o", asked.profile] if asked.profile else []
    process = await asyncio.create_subprocess_exec(
        sys.executable, *profiled, "-m", "ledger",
        env={
            **os.environ,
            "LEDGER_DATABASE_URL": database.url("purser_ledger"),
            "LEDGER_CONNECTIONS_MAX": str(asked.connections),
            "LEDGER_PREPARED_STATEMENTS": "yes",
        },
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        ready = msgspec.json.decode(await process.stderr.readline())
        roots = {"driver": os.getpid(), "ledger": process.pid, "postgresql": server.process.pid}
        yield ready["address"], database, lambda: {n: _seconds(pid) for n, pid in roots.items()}
    finally:
        process.terminate()
        await process.communicate()


def _seconds(pid: int) -> float:
    """Processor seconds of a process; of PostgreSQL's with those of its sessions."""
    process = psutil.Process(pid)
    family = [process]
    if pid != os.getpid():
        family += process.children(recursive=True)
    return float(sum(sum(member.cpu_times()[:2]) for member in family))


if __name__ == "__main__":
    main()
