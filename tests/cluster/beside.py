"""What stands beside the cluster: the simulated Telegram, one gateway and the three stores, as
processes of this machine, configured as `make run` configures them.
"""

import asyncio
import os
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from tests.cluster.children import LOG_TAIL_BYTES
from tests.cluster.waiting import eventually

from devbox.database import Database
from devbox.keyring import ensure_key_file
from devbox.ports import free_port
from devbox.processes import (
    Ports,
    ProcessPlan,
    World,
    plan_gateway,
    plan_simulator,
    plan_stores,
)
from devbox.programs import start_program, stop_program, wait_for_end
from devbox.readiness import grpc_serves, http_answers
from devbox.settings import RunSettings
from devbox.world import SIMULATED_BOT_ID

STOP_SECONDS = 15.0


@dataclass
class Beside:
    """The running processes, and what the workers must know to find them."""

    addresses: dict[str, str]
    """The environment variables with the services' gRPC targets."""
    logs: Path
    _processes: dict[str, "subprocess.Popen[bytes]"]
    _simulator_url: str
    _http: aiohttp.ClientSession

    @property
    def chat_url(self) -> str:
        """Where people write, in a browser."""
        return self._simulator_url

    async def until_one_ends(self) -> str:
        """The name of the first service that ended; none should while this stands."""
        waiting = {
            asyncio.create_task(wait_for_end(process, None), name=name)
            for name, process in self._processes.items()
        }
        try:
            ended, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return ended.pop().get_name()
        finally:
            for task in waiting:
                task.cancel()

    def log_tail(self, service: str) -> str:
        """The end of what a service logged."""
        log = self.logs / f"{service}.log"
        return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def pid_of(self, service: str) -> int:
        """The process of a service."""
        return self._processes[service].pid

    @contextmanager
    def hanging(self, service: str) -> Iterator[None]:
        """The service neither answers nor ends for as long as the context lasts (SIGSTOP)."""
        process = self._processes[service]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    async def say(self, user_id: int, text: str) -> None:
        """A Telegram user sends a message."""
        await self._control("POST", json={"user_id": user_id, "text": text})

    async def answers(self, user_id: int) -> list[str]:
        """All that the bot said to a user, oldest first."""
        chat = await self._control("GET", params={"user_id": user_id})
        return [message["text"] for message in chat if message["from"] == "bot"]

    async def _control(self, verb: str, **options: Any) -> Any:
        url = f"{self._simulator_url}/sim/messages"
        async with self._http.request(verb, url, **options) as response:
            response.raise_for_status()
            return await response.json()


@asynccontextmanager
async def standing_beside(
    folder: Path,
    database: Database,
    redis_url: str,
    pool: str,
    chat_port: int = 0,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Beside]:
    """Start them, wait until each serves; end them with the context. `chat_port` 0: any free.
    `environ` are further settings of theirs.
    """
    settings = {**(environ or {}), "GATEWAY_POOL": pool}
    world = _make_world(folder, database, redis_url, chat_port, settings)
    plans = [plan_simulator(world), *plan_stores(world), plan_gateway(world, 0)]
    logs = folder / "beside"
    logs.mkdir()
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for plan in plans:
            processes[plan.name] = start_program(
                plan.command, folder=folder, log=logs / f"{plan.name}.log", environ=plan.environ
            )
        for plan in plans:
            await eventually(partial(_serves, plan))
        async with aiohttp.ClientSession() as http:
            targets = world.ports.targets()
            yield Beside(targets, logs, processes, world.simulator_url, http)
    finally:
        for process in reversed(processes.values()):
            await stop_program(process, (signal.SIGTERM, STOP_SECONDS))


def _make_world(
    folder: Path,
    database: Database,
    redis_url: str,
    chat_port: int,
    environ: Mapping[str, str],
) -> World:
    return World(
        settings=RunSettings(),
        ports=Ports(
            simulator=chat_port or free_port(),
            database=0,
            redis=0,
            gateways=(free_port(),),
            pricing=free_port(),
            wallet=free_port(),
            ledger=free_port(),
        ),
        database=database,
        redis_url=redis_url,
        bot_token=f"{SIMULATED_BOT_ID}:{secrets.token_urlsafe(32)[:35]}",
        wallet_key_file=ensure_key_file(folder / "secrets", "wallet-key-encryption.key"),
        environ={"PATH": os.environ["PATH"], "PURSER_LOG_FORMAT": "json", **environ},
        cwd=folder,
    )


async def _serves(plan: ProcessPlan) -> bool:
    if plan.grpc_port is not None:
        return await grpc_serves(plan.grpc_port)
    assert plan.http_port is not None
    return await http_answers(plan.http_port)
