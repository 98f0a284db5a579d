"""The HTTP server: Bot API, file downloads, control API and chat page on one port.

    /bot<token>/<method>         the Bot API
    /file/bot<token>/<path>      downloads
    /sim/...                     the control API (control.py)
    /                            the chat page (static files of page/)

In a test:

    async with Simulator() as simulator:
        simulator.people.say(7, "/start")
        ...  # a bot at simulator.url with simulator.token
"""

import hmac
from importlib import resources
from types import TracebackType
from typing import Self
from urllib.parse import quote

import msgspec
from aiohttp import web

from devbox.telegram import methods
from devbox.telegram.calls import BODY_BYTES_MAX, read_parameters
from devbox.telegram.control import Control
from devbox.telegram.errors import BotApiError, NotFound, Unauthorized
from devbox.telegram.faults import Drop
from devbox.telegram.limits import Limits
from devbox.telegram.people import People
from devbox.telegram.shapes import load_shapes
from devbox.telegram.world import SIMULATOR_TOKEN, World

PAGE_FILES = {
    "": ("index.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "column.js": ("column.js", "text/javascript"),
    "text.js": ("text.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}

PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
}

SHUTDOWN_SECONDS = 0.25
"""How long calls under way may take when the simulator stops."""


class Simulator:
    """A simulated Telegram with one bot, as an async context manager.

    `port` 0 takes a free one. Ids begin at random numbers unless given; `seed` makes the faults
    the same in every run. Whatever it holds is gone when it stops.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str = SIMULATOR_TOKEN,
        username: str = "purser_bot",
        seed: int = 0,
        limits: Limits | None = None,
        first_update_id: int | None = None,
        first_message_id: int | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self.world = World(
            load_shapes(),
            limits or Limits(),
            token,
            username,
            seed,
            first_update_id,
            first_message_id,
        )
        self.people = People(self.world)
        self._runner: web.AppRunner | None = None

    @property
    def token(self) -> str:
        """The bot's token."""
        return self.world.token

    @property
    def port(self) -> int:
        """The port it listens on; 0 before it started if a free one was asked for."""
        return self._port

    @property
    def url(self) -> str:
        """The address of the page, and the base of the Bot API."""
        return f"http://{self._host}:{self._port}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/bot{token}/{method}", self._call)
        app.router.add_get("/file/bot{token}/{path:.+}", self._download)
        Control(self.world, self.people).add_routes(app)
        app.router.add_get("/{file:[a-z.]*}", self._page)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except BaseException:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.world.polling.wake()
        await self.world.webhook.stop()
        self.world.updates.release_held()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _call(self, request: web.Request) -> web.Response:
        """A Bot API call, faults included."""
        world = self.world
        method = None
        try:
            self._check_token(request)
            method = methods.find_method(world, request.match_info["method"])
            drop = await world.faults.strike(method.name.lower())
            if drop is Drop.BEFORE:
                return dropped(request)
            raw, uploads = await read_parameters(request)
            result = await methods.carry_out(world, method, raw, uploads)
        except BotApiError as error:
            if method is not None:
                methods.count(world, method, error)
            return refusal(error)
        methods.count(world, method, None)
        if drop is Drop.AFTER:
            return dropped(request)
        return web.Response(
            body=b'{"ok":true,"result":' + result + b"}", content_type="application/json"
        )

    def _check_token(self, request: web.Request) -> None:
        given = request.match_info["token"].encode()
        if not hmac.compare_digest(given, self.world.token.encode()):
            raise Unauthorized

    async def _download(self, request: web.Request) -> web.Response:
        """A file by the path getFile told."""
        try:
            self._check_token(request)
            stored = self.world.files.at_path(request.match_info["path"])
            if stored is None:
                raise NotFound
        except BotApiError as error:
            return refusal(error)
        name = quote(stored.upload.name)
        return web.Response(
            body=stored.upload.content,
            content_type="application/octet-stream",
            headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
        )

    async def _page(self, request: web.Request) -> web.Response:
        """A file of the chat page."""
        found = PAGE_FILES.get(request.match_info["file"])
        if found is None:
            raise web.HTTPNotFound
        name, media_type = found
        content = resources.files(__package__).joinpath("page", name).read_bytes()
        return web.Response(
            body=content, content_type=media_type, charset="utf-8", headers=PAGE_HEADERS
        )


def refusal(error: BotApiError) -> web.Response:
    """Telegram's JSON for a refused call."""
    content = {"ok": False, "error_code": error.code, "description": error.description}
    if error.parameters:
        content["parameters"] = error.parameters
    return web.Response(
        body=msgspec.json.encode(content), status=error.code, content_type="application/json"
    )


def dropped(request: web.Request) -> web.Response:
    """Close the connection; the response is never sent, aiohttp just wants one."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
