"""The control API: what tests, load drivers and the chat page do and see, under `/sim/`.

    POST /sim/messages  {"user_id", "text"}             → {"update_id", "message_id"}
                        also first_name, username, language_code: what is known of the user
    POST /sim/clicks    {"user_id", "message_id", "data"}
                        → {"update_id", "callback_query_id", "answer"}
                        with "wait": the answer is waited for that many seconds
    GET  /sim/clicks?id=&wait=                          → {"answer": {text, show_alert, url} | null}
    GET  /sim/messages?user_id=&after=&wait=            → the chat, oldest first
    POST /sim/updates   an update without update_id     → {"update_id"}
    POST /sim/block     {"user_id", "blocked"}          → {"update_id" | null}
    POST /sim/faults    see faults.FaultSettings        → all settings
    GET  /sim/stats                                     → counters
    GET  /sim/changes?users=1,2&after=&wait=            → what the page shows, changed since `after`
    GET  /sim/files/<file id>                           → a picture or document

`after` of messages is a message id: `wait` waits for a newer message, not for an edit. `after` of
changes is a version: edits, deletions, answers to clicks and the typing sign count too.
What cannot be done is answered with a 4xx and `{"error": one sentence}`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from aiohttp import web

from devbox.telegram import view
from devbox.telegram.errors import ControlError, InvalidControl, NoSuchThing
from devbox.telegram.faults import FaultSettings
from devbox.telegram.people import People
from devbox.telegram.world import World

Body = TypeVar("Body")
Handler = Callable[[web.Request], Awaitable[Any]]

USERS_SHOWN_MAX = 50
"""Users one /sim/changes follows."""

INLINE_MEDIA_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Shown in the page; everything else is a download, so that no upload runs as a page."""


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /sim/messages`."""

    user_id: int
    text: str
    first_name: str | None = None
    username: str | None = None
    language_code: str | None = None


class NewClick(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /sim/clicks`."""

    user_id: int
    message_id: int
    data: str
    wait: float = 0.0


class NewBlock(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /sim/block`."""

    user_id: int
    blocked: bool


class Control:
    """The control API over one world."""

    def __init__(self, world: World, people: People) -> None:
        self._world = world
        self._people = people

    def add_routes(self, app: web.Application) -> None:
        """Put the control API into the application."""
        routes: list[tuple[str, str, Handler]] = [
            ("POST", "/sim/messages", self._say),
            ("GET", "/sim/messages", self._messages),
            ("POST", "/sim/clicks", self._click),
            ("GET", "/sim/clicks", self._answer),
            ("POST", "/sim/updates", self._deliver),
            ("POST", "/sim/block", self._block),
            ("POST", "/sim/faults", self._faults),
            ("GET", "/sim/stats", self._stats),
            ("GET", "/sim/changes", self._changes),
        ]
        for verb, path, handler in routes:
            app.router.add_route(verb, path, answering(handler))
        app.router.add_get("/sim/files/{file_id}", self._file)

    async def _say(self, request: web.Request) -> Any:
        new = await read_body(request, NewMessage)
        said = self._people.say(
            new.user_id,
            new.text,
            first_name=new.first_name,
            username=new.username,
            language_code=new.language_code,
        )
        return said._asdict()

    async def _click(self, request: web.Request) -> Any:
        new = await read_body(request, NewClick)
        clicked = self._people.click(new.user_id, new.message_id, new.data)
        answer = await self._answer_of(clicked.callback_query_id, new.wait)
        return {**clicked._asdict(), "answer": answer}

    async def _answer(self, request: web.Request) -> Any:
        query_id = request.query.get("id", "")
        return {"answer": await self._answer_of(query_id, number(request, "wait"))}

    async def _answer_of(self, query_id: str, wait: float) -> Any:
        click = self._world.clicks.get(query_id)
        if click is None:
            raise NoSuchThing(f"there is no click with the id {query_id!r}")
        await self._world.clicks.wait(click, self._bounded(wait))
        return click.answer

    async def _messages(self, request: web.Request) -> Any:
        user_id = int(number(request, "user_id", required=True))
        after = int(number(request, "after"))
        wait = self._bounded(number(request, "wait"))
        return await view.messages_after(self._world, user_id, after, wait)

    async def _changes(self, request: web.Request) -> Any:
        try:
            user_ids = [int(part) for part in request.query.get("users", "").split(",") if part]
        except ValueError:
            raise InvalidControl("users must be user ids with commas between them") from None
        if len(user_ids) > USERS_SHOWN_MAX:
            raise InvalidControl(f"at most {USERS_SHOWN_MAX} users can be followed")
        after = int(number(request, "after"))
        wait = self._bounded(number(request, "wait"))
        return await view.changes_after(self._world, user_ids, after, wait)

    async def _deliver(self, request: web.Request) -> Any:
        update = await read_body(request, dict)
        return {"update_id": self._people.deliver(update)}

    async def _block(self, request: web.Request) -> Any:
        new = await read_body(request, NewBlock)
        return {"update_id": self._people.block(new.user_id, new.blocked)}

    async def _faults(self, request: web.Request) -> Any:
        self._world.faults.set(await read_body(request, FaultSettings))
        return self._world.faults.settings

    async def _stats(self, request: web.Request) -> Any:
        return self._world.stats()

    async def _file(self, request: web.Request) -> web.Response:
        stored = self._world.files.get(request.match_info["file_id"])
        if stored is None:
            raise web.HTTPNotFound
        media_type = stored.upload.media_type
        headers = {"X-Content-Type-Options": "nosniff"}
        if media_type not in INLINE_MEDIA_TYPES:
            media_type = "application/octet-stream"
            name = quote(stored.upload.name)
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
        return web.Response(body=stored.upload.content, content_type=media_type, headers=headers)

    def _bounded(self, wait: float) -> float:
        return min(wait, self._world.limits.control_wait_seconds_max)


def answering(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler with its result as JSON, and its refusals as a status and a sentence."""

    async def answer(request: web.Request) -> web.Response:
        status = 200
        try:
            result = await handler(request)
        except ControlError as error:
            status, result = error.status, {"error": str(error)}
        return web.Response(
            body=msgspec.json.encode(result), status=status, content_type="application/json"
        )

    return answer


async def read_body(request: web.Request, kind: type[Body]) -> Body:
    """The JSON body as this kind. Raises InvalidControl when it is none."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidControl(f"the body must be JSON of the right shape: {error}") from None


def number(request: web.Request, name: str, *, required: bool = False) -> float:
    """A number, not below 0, from the query string; 0 if absent and not required."""
    text = request.query.get(name)
    if text is None:
        if required:
            raise InvalidControl(f"{name} is missing")
        return 0.0
    try:
        value = int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise InvalidControl(f"{name} must be a number") from None
    if not 0 <= value < float("inf"):
        raise InvalidControl(f"{name} must be a number that is not negative")
    return value
