"""Uploaded files, kept in memory under Telegram-like ids up to a number of bytes.

A picture's size is read from its header (PNG, JPEG, GIF, WebP), because Telegram refuses what is
no picture and tells the size of what is.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass

from devbox.telegram.errors import BadRequest, TooLarge
from devbox.telegram.limits import (
    DOWNLOAD_BYTES_MAX,
    FILE_BYTES_MAX,
    PHOTO_BYTES_MAX,
)
from devbox.telegram.shapes import Json

PHOTO_SIDES_MAX = 10_000
"""Width and height of a photo together, pixels."""

MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came with a call."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file Telegram knows: `kind` is "photo" or "document"."""

    file_id: str
    unique_id: str
    kind: str
    path: str
    upload: Upload
    width: int = 0
    height: int = 0

    def photo_sizes(self) -> list[Json]:
        """The photo in Telegram's shape: one size, the original."""
        return [{**self._identity(), "width": self.width, "height": self.height}]

    def document(self) -> Json:
        """The document in Telegram's shape."""
        named = {"file_name": self.upload.name, "mime_type": self.upload.media_type}
        return {**self._identity(), **named}

    def description(self) -> Json:
        """What getFile answers. Raises BadRequest for a file too big to download."""
        if len(self.upload.content) > DOWNLOAD_BYTES_MAX:
            raise BadRequest("file is too big")
        return {**self._identity(), "file_path": self.path}

    def _identity(self) -> Json:
        return {
            "file_id": self.file_id,
            "file_unique_id": self.unique_id,
            "file_size": len(self.upload.content),
        }


class Files:
    """The files by id and by download path; the oldest go when there are too many bytes."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._by_id: OrderedDict[str, StoredFile] = OrderedDict()
        self._by_path: dict[str, StoredFile] = {}

    def add(self, kind: str, upload: Upload) -> StoredFile:
        """Keep an uploaded file.

        Raises BadRequest for an empty file or a photo that is none, TooLarge beyond the limits.
        """
        size = len(upload.content)
        if size == 0:
            raise BadRequest("file must be non-empty")
        if size > FILE_BYTES_MAX:
            raise TooLarge
        extension, width, height = picture_size(upload.content)
        if kind == "photo":
            if size > PHOTO_BYTES_MAX:
                raise BadRequest(
                    f"file of size {size} bytes is too big for a photo;"
                    f" the maximum size is {PHOTO_BYTES_MAX} bytes"
                )
            if not extension:
                raise BadRequest("IMAGE_PROCESS_FAILED")
            if width + height > PHOTO_SIDES_MAX or max(width, height) > 20 * min(width, height):
                raise BadRequest("PHOTO_INVALID_DIMENSIONS")
            upload = Upload(upload.name, MEDIA_TYPES[extension], upload.content)
            path = f"photos/file_{len(self._by_id) + 1}_{secrets.token_hex(3)}.{extension}"
        else:
            suffix = upload.name.rpartition(".")[2] if "." in upload.name else "bin"
            suffix = suffix if suffix.isalnum() else "bin"
            path = f"documents/file_{len(self._by_id) + 1}_{secrets.token_hex(3)}.{suffix}"
        prefix = "AgACAgIAAxkD" if kind == "photo" else "BQACAgIAAxkD"
        file_id = prefix + secrets.token_urlsafe(24)
        stored = StoredFile(file_id, secrets.token_urlsafe(9), kind, path, upload, width, height)
        self._by_id[file_id] = stored
        self._by_path[path] = stored
        self._bytes += size
        while self._bytes > self._bytes_max:
            _, oldest = self._by_id.popitem(last=False)
            del self._by_path[oldest.path]
            self._bytes -= len(oldest.upload.content)
        return stored

    def get(self, file_id: str) -> StoredFile | None:
        """The file with this id, or None."""
        return self._by_id.get(file_id)

    def at_path(self, path: str) -> StoredFile | None:
        """The file with this download path, or None."""
        return self._by_path.get(path)


def picture_size(content: bytes) -> tuple[str, int, int]:
    """(extension, width, height) read from a picture's header; ("", 0, 0) if it is none."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 24:
        return "png", int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    if content[:6] in (b"GIF87a", b"GIF89a") and len(content) >= 10:
        width, height = content[6:8], content[8:10]
        return "gif", int.from_bytes(width, "little"), int.from_bytes(height, "little")
    if content.startswith(b"RIFF") and content[8:16] == b"WEBPVP8X" and len(content) >= 30:
        width, height = content[24:27], content[27:30]
        return "webp", int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if content.startswith(b"\xff\xd8"):
        return jpeg_size(content)
    return "", 0, 0


def jpeg_size(content: bytes) -> tuple[str, int, int]:
    """The same for a JPEG: its segments are followed up to the one that tells the frame."""
    position = 2
    while position + 9 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = (
                content[position + 5 : position + 7],
                content[position + 7 : position + 9],
            )
            return "jpg", int.from_bytes(width), int.from_bytes(height)
        position += 2 + int.from_bytes(content[position + 2 : position + 4])
    return "", 0, 0
