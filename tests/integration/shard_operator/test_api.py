"""The client of the Kubernetes API, beside a server that refuses its token."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from shard_operator.api import KubernetesApi
from shard_operator.errors import ApiRefused

CALLS = 40
OLD, NEW = "the-old-token", "the-new-token"


class Server:
    """Answers who shows the token it takes at the moment, each call after a turn of the loop."""

    def __init__(self) -> None:
        self.token = OLD
        self.refused = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one call."""
        is_known = request.headers.get("Authorization") == f"Bearer {self.token}"
        await asyncio.sleep(0.001 * (self.refused % 7))
        if is_known:
            return web.json_response({"kind": "Thing"})
        self.refused += 1
        return web.json_response({"reason": "Unauthorized", "message": "who?"}, status=401)


class Login:
    """A kubeconfig whose token can be changed."""

    def __init__(self, file: Path, address: str) -> None:
        self._file = file
        self._address = address

    def write(self, token: str) -> None:
        """Put another token into it."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": self._address}}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }
        self._file.write_text(yaml.safe_dump(content))


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, str]]:
    """A server, and its address."""
    served = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield served, f"http://127.0.0.1:{port}"
    await runner.cleanup()


@pytest.fixture
def login(server: tuple[Server, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Login:
    """What the client logs in with."""
    file = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(file))
    made = Login(file, server[1])
    made.write(OLD)
    return made


async def test_calls_refused_together_log_in_once_and_all_succeed(
    server: tuple[Server, str], login: Login
) -> None:
    """A rotated token is refused to all calls under way: none may close what another one uses."""
    served, _ = server
    async with KubernetesApi() as api:
        assert "Thing" == (await api.get("/api"))["kind"]
        served.token = NEW
        login.write(NEW)
        answers = await asyncio.gather(*(api.get("/api") for _ in range(CALLS)))
    assert CALLS == len(answers)
    assert served.refused >= 8, "several calls were refused at the same moment"


async def test_as_long_as_the_new_token_is_refused_too_each_call_says_so(
    server: tuple[Server, str], login: Login
) -> None:
    """And the first one after the file holds a good one succeeds."""
    served, _ = server
    async with KubernetesApi() as api:
        served.token = NEW
        outcomes = await asyncio.gather(
            *(api.get("/api") for _ in range(CALLS)), return_exceptions=True
        )
        assert {401} == {outcome.status for outcome in outcomes if isinstance(outcome, ApiRefused)}
        assert CALLS == sum(isinstance(outcome, ApiRefused) for outcome in outcomes)
        login.write(NEW)
        assert "Thing" == (await api.get("/api"))["kind"]
