"""Real gateways in this process with the simulated Telegram, and a worker's hands."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import asyncpg
import grpc.aio

from chassis.settings import load
from devbox.database import Database
from devbox.telegram import Simulator
from devbox.telegram.view import message_view, newer_messages
from gateway.main import Gateway, running
from gateway.settings import Settings
from gateway.webhook import SECRET_HEADER
from purser.gateway.v1 import gateway_pb2, gateway_pb2_grpc, job_pb2, reply_pb2
from purser.shard.v1 import shard_pb2

POOL = "default.main"
PATIENCE_SECONDS = 15.0
SECRET = "not-a-real-secret"


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = PATIENCE_SECONDS) -> Any:
    """Look until there is something, and give it."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110 (what is looked at sets no event)
            await asyncio.sleep(0.02)
    return found


@dataclass
class House:
    """Everything around the gateways of one test."""

    database: Database
    redis_url: str
    simulator: Simulator
    sql: "asyncpg.Pool[asyncpg.Record]"
    stack: AsyncExitStack
    environ: dict[str, str] = field(default_factory=dict)

    async def open_gateway(self, **environ: str) -> "Running":
        """Start one more gateway; settings as variables without their prefix."""
        return await self.stack.enter_async_context(self.gateway(**environ))

    async def open_webhook(self, **environ: str) -> "Running":
        """Start one more gateway that waits for webhook calls."""
        return await self.open_gateway(MODE="webhook", WEBHOOK_SECRET=SECRET, **environ)

    @asynccontextmanager
    async def gateway(self, **environ: str) -> AsyncIterator["Running"]:
        """Run one more gateway for the time of a block."""
        values = {
            "DATABASE_URL": self.database.url("purser_gateway"),
            "REDIS_URL": self.redis_url,
            "BOT_TOKEN": self.simulator.token,
            "TELEGRAM_API_URL": self.simulator.url,
            "LOG_LEVEL": "error",
            "POLL_WAIT_SECONDS": "1",
            "PREPARED_STATEMENTS": "true",
            **self.environ,
            **environ,
        }
        settings = load(Settings, "GATEWAY", {f"GATEWAY_{k}": v for k, v in values.items()})
        async with running(settings) as gateway, grpc.aio.insecure_channel(gateway.address) as line:
            yield Running(gateway, gateway_pb2_grpc.GatewayServiceStub(line))

    async def claim(self, shard: int = 0) -> shard_pb2.ShardClaim:
        """Claim a shard as a new worker would."""
        worker, run = f"worker-{uuid4().hex[:6]}", uuid4()
        await self.sql.execute(
            "SELECT placement.register_worker($1, $2, $3, 60)", POOL, worker, run
        )
        await self.sql.execute(
            "UPDATE placement.shards SET owner = NULL, owner_incarnation = NULL,"
            " ownerless_since = clock_timestamp() - interval '1 hour'"
            " WHERE pool = $1 AND shard = $2",
            POOL,
            shard,
        )
        epoch = await self.sql.fetchval(
            "SELECT placement.claim_shard($1, $2, $3, $4, 0)", POOL, shard, worker, run
        )
        return shard_pb2.ShardClaim(pool=POOL, shard=shard, epoch=epoch)

    async def jobs(self, count: int = 1) -> list[job_pb2.Job]:
        """Wait for that many jobs; all jobs of the inbox in order of acceptance."""

        async def look() -> list[job_pb2.Job] | None:
            rows = await self.sql.fetch("SELECT payload FROM gateway.inbox ORDER BY place")
            found = [job_pb2.Job.FromString(row["payload"]) for row in rows]
            return found if len(found) >= count else None

        return await eventually(look)  # type: ignore[no-any-return]

    def say(self, user_id: int, text: str) -> None:
        """Type something as a user."""
        self.simulator.people.say(user_id, text)

    async def all_sent(self) -> None:
        """Wait until no answer waits to be sent."""

        async def look() -> bool:
            waiting = "SELECT count(*) FROM gateway.outbox WHERE state = 0"
            return bool(await self.sql.fetchval(waiting) == 0)

        await eventually(look)

    async def heard(self, user_id: int, count: int = 1) -> list[dict[str, Any]]:
        """Wait until the bot has said that much to a user; what it said, in order."""

        async def look() -> list[dict[str, Any]] | None:
            found = self.said_to(user_id)
            return found if len(found) >= count else None

        return await eventually(look)  # type: ignore[no-any-return]

    def said_to(self, user_id: int) -> list[dict[str, Any]]:
        """What the bot has said to a user, in order, as the control API shows it."""
        chat = self.simulator.world.chats.get(user_id)
        messages = [message_view(message) for message in newer_messages(chat, 0)] if chat else []
        return [message for message in messages if message["from"] == "bot"]


@dataclass
class Running:
    """A gateway and the line to it."""

    gateway: Gateway
    stub: gateway_pb2_grpc.GatewayServiceStub


def text(words: str, key: str = "") -> reply_pb2.Reply:
    """A reply that sends a text."""
    return reply_pb2.Reply(message_key=key, send_text=reply_pb2.SendText(text=words))


def ending(
    claim: shard_pb2.ShardClaim, job_id: str, *replies: reply_pb2.Reply
) -> gateway_pb2.DeliverRequest:
    """A Deliver call of a job that was worked."""
    return gateway_pb2.DeliverRequest(
        claim=claim, job_id=job_id, replies=replies, outcome=gateway_pb2.JOB_OUTCOME_DONE
    )


def typed(update_id: int, user_id: int, words: str, name: str = "Ada") -> dict[str, Any]:
    """An update as Telegram would send it."""
    return {
        "update_id": update_id,
        "message": {
            "message_id": update_id,
            "date": 1700000000,
            "chat": {"id": user_id, "type": "private"},
            "from": {"id": user_id, "is_bot": False, "first_name": name},
            "text": words,
        },
    }


async def post_updates(gateways: Sequence[Running], updates: Sequence[object]) -> list[int]:
    """Throw updates at webhooks all at once, in turn; the answers' statuses."""
    async with aiohttp.ClientSession(headers={SECRET_HEADER: SECRET}) as http:

        async def post(place: int, update: object) -> int:
            gateway = gateways[place % len(gateways)].gateway
            async with http.post(
                f"http://{gateway.webhook_address}/telegram", data=json.dumps(update).encode()
            ) as answer:
                return answer.status

        return list(await asyncio.gather(*(post(n, update) for n, update in enumerate(updates))))


async def post_until_taken(gateways: Sequence[Running], updates: Sequence[object]) -> None:
    """The same, again as Telegram does while it is not taken (a machine may stall)."""
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        while updates:
            statuses = await post_updates(gateways, updates)
            assert set(statuses) <= {200, 503}
            updates = [u for u, status in zip(updates, statuses, strict=True) if status == 503]


class Line:
    """A line to the database that can be cut: what a failover looks like from here."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """The database's address through the line."""
        login = self._parts.netloc.rpartition("@")[0]
        return self._parts._replace(netloc=f"{login}@127.0.0.1:{self.port}").geturl()

    async def join(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drop all connections and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._writers |= {writer, there[1]}
        await asyncio.gather(_pass_on(reader, there[1]), _pass_on(there[0], writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
