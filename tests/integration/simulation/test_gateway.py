"""The simulation's inbox, outbox and directory answer, and end up, as the real gateway's do."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from random import Random
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import grpc.aio
import pytest
from tests.integration.simulation.two_sides import (
    POOL,
    Asked,
    AtOnce,
    TwoSides,
    drawn,
    take_shard,
    told,
    two_sides,
)
from tests.simulation.gateway import GatewayTables, SimulatedGateway

from chassis import telemetry
from chassis.grpc_client import open_channel
from chassis.grpc_server import ServerSettings, serving
from chassis.postgres import Pool
from chassis.telemetry import TelemetrySettings
from devbox.database import Database
from gateway.application import Delivery, Notices
from gateway.application.ports import BatchLimits
from gateway.domain import Incoming
from gateway.postgres import (
    AdmissionLimits,
    BacklogLimits,
    Directory,
    Forgetting,
    Inbox,
    Outbox,
    Places,
    SetAsideJobs,
    UndoneJobs,
)
from gateway.servicer import GatewayServicer
from kernel.sharding import Claim
from purser.gateway.v1 import job_pb2
from purser.gateway.v1.gateway_pb2_grpc import add_GatewayServiceServicer_to_server
from user_worker import ports
from user_worker.clients import GatewayInbox
from user_worker.domain.jobs import Command, Input, Job, Press, Text
from user_worker.domain.replies import AnswerPress, EditText, Reply, SendText
from user_worker.ports import Outcome
from user_worker.trading_ports import Notice
from user_worker.wire import job_of_payload, reply_to

OPERATIONS = 350
TIMEOUT_SECONDS = 20
BOT_ID = 7
USERS = [UUID(int=n + 1) for n in range(6)]
STRANGER = UUID(int=99)
USERS_PER_SHARD = 2
SHARDS = 3
NO_BOUND = 10_000
"""How much may wait is no part of the simulation."""
INPUTS: tuple[Input, ...] = (
    Command("buy", "BTC $100"),
    Command("panic"),
    Text("btc"),
    Press("confirm:x", "", "press"),
)
REPLIES: tuple[Reply, ...] = (
    SendText("Done."),
    SendText("Done.", message_key="draft:x"),
    EditText("draft:x", "Changed."),
    AnswerPress("press", "Yes"),
)
REFUSED: tuple[Reply, ...] = (SendText("x" * 5000), SendText("Done.", message_key="NOT A KEY"))
STATE = {
    "users": "SELECT user_id, pool, shard, last_user_seq FROM gateway.users",
    "shards": "SELECT shard, users FROM gateway.shards",
    "placement": "SELECT shard, users FROM placement.shards",
    "jobs": """
        SELECT job_id, user_id, user_seq, pool, shard, outcome, error FROM gateway.inbox
    """,
    "seen": "SELECT update_id FROM gateway.updates_seen",
    "said": """
        SELECT cause, number, user_id, payload FROM gateway.outbox WHERE lane = 1 AND number > 0
    """,
    "notices": "SELECT cause, number, user_id, payload FROM gateway.outbox WHERE lane = 2",
}
OUTCOMES = {None: None, Outcome.DONE: 1, Outcome.SET_ASIDE: 2}


def _rows_of(replies: Sequence[Reply]) -> list[tuple[int, bytes]]:
    return [
        (number, reply_to(reply).SerializeToString()) for number, reply in enumerate(replies, 1)
    ]


def _state(tables: GatewayTables) -> dict[str, set[tuple[object, ...]]]:
    """The simulated tables as `STATE` reads the real ones."""
    jobs = list(tables.jobs.values())
    return {
        "users": {
            (u.user_id, u.key.pool, u.key.shard, u.last_user_seq) for u in tables.users.values()
        },
        "shards": set(tables.shards.items()),
        "placement": {(n, row.users) for n, row in tables.placement.shards.items()},
        "jobs": {
            (
                row.job.job_id,
                row.job.user_id,
                row.job.user_seq,
                row.job.key.pool,
                row.job.key.shard,
                OUTCOMES[row.outcome],
                row.error or None,
            )
            for row in jobs
        },
        "seen": {(update_id,) for update_id in tables.seen},
        "said": {
            (row.job.job_id, number, row.job.user_id, payload)
            for row in jobs
            for number, payload in _rows_of(row.replies)
        },
        "notices": {
            (event_id, number, notice.user_id, payload)
            for event_id, notice in tables.notices.items()
            for number, payload in _rows_of(notice.replies)
        },
    }


def _plain(answer: Any) -> Any:
    """An answer without what the wire adds to a job, and without times, which differ by a
    millisecond.
    """
    match answer:
        case Job():
            is_dated = float(answer.accepted_at > 0)
            return replace(answer, accepted_at=is_dated, size=0, traceparent="")
        case ports.UndoneJobs():
            return replace(answer, jobs=tuple(map(_plain, answer.jobs)))
        case list():
            return [_plain(one) for one in answer]
        case _:
            return answer


class _Unsent:
    """Stands for what sends to Telegram: nothing is sent."""

    def has_room(self, _: int) -> bool:
        """There is none, so rows stay where they are."""
        return False

    def arriving(self, _: object) -> AbstractContextManager[None]:
        """Nobody looks meanwhile."""
        return nullcontext()

    def wake(self, _: object) -> None:
        """Nobody sleeps."""


@asynccontextmanager
async def _gateway(pool: Pool) -> AsyncIterator[grpc.aio.Channel]:
    """The real service without what sends and what pushes; give a channel to it."""
    outbox, set_aside = Outbox(pool, uuid4(), 60.0), SetAsideJobs(pool, NO_BOUND)
    unsent: Any = _Unsent()
    nobody: Any = None
    delivery = Delivery(outbox, unsent, BatchLimits(100, 0.0, 1000))
    servicer = GatewayServicer(
        delivery,
        UndoneJobs(pool, 1 << 20, bytes(32)),
        Notices(outbox, unsent),
        Forgetting(pool),
        set_aside,
        nobody,
    )
    async with (
        telemetry.start("gateway", TelemetrySettings()) as telling,
        delivery.batcher,
        serving(
            ServerSettings(drain_timeout_seconds=1),
            lambda server: add_GatewayServiceServicer_to_server(servicer, server),
            telling,
        ) as server,
        open_channel(server.address) as channel,
    ):
        yield channel


def _draft(what: Input) -> job_pb2.Job:
    """What the gateway makes of an update before it knows whose it is."""
    draft = job_pb2.Job(language_code="en", display_name="Ann")
    match what:
        case Command(name, arguments):
            draft.command.CopyFrom(job_pb2.CommandInput(name=name, arguments=arguments))
        case Text(text):
            draft.text.CopyFrom(job_pb2.TextInput(text=text))
        case Press(data, _, press_id):
            draft.press.CopyFrom(job_pb2.PressInput(data=data, press_id=press_id))
        case _:
            raise ValueError(what)
    return draft


class _Sequence:
    """A random sequence of what users send and workers ask."""

    def __init__(self, sides: TwoSides, random: Random, claims: list[Claim], inbox: Inbox) -> None:
        self.tables = GatewayTables(sides.placement, USERS_PER_SHARD)
        self._sides = sides
        self._random = random
        self._claims = claims
        """The newest of each shard, then those that are not."""
        self._inbox = inbox
        self._sent: list[tuple[int, UUID, Input]] = []

    async def step(self, asked: Asked, database: Database) -> None:
        """Do one."""
        random = self._random
        claim = random.choice(self._claims)
        rows = list(self.tables.jobs.values())
        job_id = STRANGER
        if rows and random.random() < 0.9:
            row = random.choice(rows[-12:])
            job_id = row.job.job_id
            if random.random() < 0.8:
                claim = self._claims[row.job.key.shard]
        match random.randrange(14):
            case 0 | 1 | 2 | 3:
                await self._accept(asked)
            case 4:
                await asked.ask("inbox", "read_job", claim, job_id)
            case 5 | 6 | 7:
                replies, error = self._replies(), random.choice(("", "", "Failed", "x" * 3000))
                outcome = Outcome.SET_ASIDE if error else Outcome.DONE
                await asked.ask("inbox", "deliver", claim, job_id, replies, outcome, error)
            case 8 | 9:
                some = random.sample(self._claims, random.randint(1, 4))
                jobs_max, with_cursors = random.choice((1, 2, 3, 100)), random.random() < 0.7
                await asked.ask("inbox", "fetch_jobs", some, jobs_max, include_cursors=with_cursors)
            case 10 | 11:
                await self._notify(asked)
            case 12:
                await self._forget(asked, claim)
            case _:
                shard = random.randrange(SHARDS)
                if random.random() < 0.5:
                    self._claims.append(self._claims[shard])
                    self._claims[shard] = await take_shard(self._sides, database, shard)

    async def _accept(self, asked: Asked) -> None:
        """Send something new, or something sent before, or something else under its id."""
        random = self._random
        # Ids come in any order: Telegram may restart them.
        update_id = random.randrange(1_000_000)
        user_id, what = random.choice(USERS), random.choice(INPUTS)
        if self._sent and random.random() < 0.3:
            same = random.choice(self._sent[-6:])
            update_id, user_id, what = same if random.random() < 0.7 else (same[0], user_id, what)
        self._sent.append((update_id, user_id, what))

        async def simulated() -> Job | None:
            before = set(self.tables.jobs)
            self.tables.accept(update_id, user_id, what)
            made = [row.job for job_id, row in self.tables.jobs.items() if job_id not in before]
            return made[0] if made else None

        async def real() -> Job | None:
            press_id = what.press_id if isinstance(what, Press) else ""
            update = Incoming(update_id, user_id.int, _draft(what), press_id)
            with mock.patch("gateway.postgres.directory.new_uuid7", return_value=user_id):
                ((_, accepted),) = await self._inbox.accept([update])
            return None if accepted is None else job_of_payload(accepted.payload)

        await asked.compare(f"accept({update_id}, {told(user_id)}, {what})", simulated, real)

    def _replies(self) -> list[Reply]:
        random = self._random
        replies = random.choices(REPLIES, k=random.randrange(4))
        if random.random() < 0.1:
            replies.append(random.choice(REFUSED))
        return replies * random.choice((*[1] * 15, 10))

    async def _notify(self, asked: Asked) -> None:
        random = self._random
        notices = [
            Notice(
                UUID(int=2000 + random.randrange(40)),
                random.choice((*USERS, STRANGER)),
                self._replies() or REPLIES[:1],
            )
            for _ in range(random.randint(1, 3))
        ]
        if random.random() < 0.3:
            nothing = replace(notices[0], replies=())
            many = [replace(notices[0], replies=REPLIES[:1])] * 101
            notices = random.choice(([], [nothing], [*notices, nothing], many))
        await asked.ask("notices", "notify", notices)

    async def _forget(self, asked: Asked, claim: Claim) -> None:
        user_id = self._random.choice((*USERS, STRANGER))
        user = self.tables.users.get(user_id)
        if user is not None and self._random.random() < 0.7:
            claim = self._claims[user.key.shard]
        await asked.ask("inbox", "forget_user", claim, user_id)


@pytest.mark.parametrize("seed", range(2))
async def test_both_sides_give_the_same_answers(database: Database, seed: int) -> None:
    """Also to updates that come again, to jobs that ended, under stale claims, to replies and
    notices that are too large, about users nobody knows; and both have the same rows in the end.
    """
    async with two_sides(database) as sides:
        pool = await sides.pools("purser_gateway")
        directory = Directory(pool, POOL, AdmissionLimits(NO_BOUND, NO_BOUND, USERS_PER_SHARD))
        limits = BacklogLimits(NO_BOUND, NO_BOUND, NO_BOUND, rush_seconds=60.0)
        inbox = Inbox(pool, BOT_ID, Places(BOT_ID, directory, limits))
        async with _gateway(pool) as channel:
            claims = [await take_shard(sides, database, shard) for shard in range(SHARDS)]
            claims.append(Claim(POOL, 0, claims[0].epoch + 5))
            sequence = _Sequence(sides, drawn(seed), claims, inbox)
            simulated = SimulatedGateway(AtOnce(), sequence.tables)
            both = (simulated, GatewayInbox(channel, TIMEOUT_SECONDS))
            asked = Asked(sides, {"inbox": both, "notices": both}, _plain)

            for _ in range(OPERATIONS):
                await sequence.step(asked, database)

        ours = _state(sequence.tables)
        for table, statement in STATE.items():
            assert ours[table] == {tuple(row) for row in await sides.owner.fetch(statement)}, table
    met = {
        "accept Job",
        "accept False",
        "read_job Job",
        "read_job JobUnknown",
        "read_job ClaimLost",
    }
    met |= {f"deliver {said}" for said in ("False", "ClaimLost", "JobUnknown", "RepliesRefused")}
    met |= {"fetch_jobs True", "notify False", "notify RequestRefused", "forget_user False"}
    assert set() == met - asked.answered.keys()
