"""Reads the parameters of a Bot API call out of an HTTP request, in each form Telegram takes:
query string, urlencoded form, multipart form (the only one with files), JSON.
"""

from urllib.parse import parse_qsl

import msgspec
from aiohttp import BodyPartReader, web

from devbox.telegram.errors import BadRequest, TooLarge
from devbox.telegram.files import Upload
from devbox.telegram.limits import FILE_BYTES_MAX
from devbox.telegram.shapes import Json

BODY_BYTES_MAX = FILE_BYTES_MAX + 1024 * 1024
"""A whole request: the largest file and room for the text beside it."""

FIELD_BYTES_MAX = 1024 * 1024
"""One parameter of a multipart form that is no file."""


async def read_parameters(request: web.Request) -> tuple[Json, dict[str, Upload]]:
    """The parameters as they came (text, or JSON values), and the files by name.

    Raises BadRequest for a body that cannot be read, TooLarge beyond the limits.
    """
    raw: Json = dict(request.query) if request.query_string else {}
    if not request.body_exists:
        return raw, {}
    kind = request.content_type
    if kind == "multipart/form-data":
        fields, uploads = await read_multipart(request)
        return raw | fields, uploads
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge from None
    try:
        if kind == "application/json":
            content = msgspec.json.decode(body) if body else {}
            if not isinstance(content, dict):
                raise BadRequest("object expected as JSON body")
            return raw | content, {}
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("strings must be encoded in UTF-8") from None
    except (msgspec.DecodeError, ValueError):
        raise BadRequest("can't parse the body of the request") from None
    return raw | dict(pairs), {}


async def read_multipart(request: web.Request) -> tuple[Json, dict[str, Upload]]:
    """The fields and files of a multipart form.

    A file that is itself a parameter (`photo`) is found under `attach://` its own name.
    """
    fields: Json = {}
    uploads: dict[str, Upload] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise BadRequest("can't parse the body of the request")
            if part.filename is None:
                fields[part.name] = (await read_part(part, FIELD_BYTES_MAX)).decode()
            else:
                content = await read_part(part, FILE_BYTES_MAX)
                media_type = part.headers.get("Content-Type", "application/octet-stream")
                uploads[part.name] = Upload(part.filename, media_type, content)
                fields[part.name] = f"attach://{part.name}"
    except UnicodeDecodeError:
        raise BadRequest("strings must be encoded in UTF-8") from None
    except ValueError:
        raise BadRequest("can't parse the body of the request") from None
    return fields, uploads


async def read_part(part: BodyPartReader, bytes_max: int) -> bytes:
    """A part's content. Raises TooLarge beyond `bytes_max`."""
    content = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        content += chunk
        if len(content) > bytes_max:
            raise TooLarge
    return bytes(content)
