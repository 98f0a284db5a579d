r"""Reads Telegram's MarkdownV2: every reserved character is markup or must follow a backslash.

One pass over the text with a stack of open entities. A marker closes the entity on top of the
stack if it is that entity's, and opens a new one otherwise; inside code only the backquote
counts. Block quotes are understood line by line; expandable ones (`**>`) are not.
"""

from dataclasses import dataclass

from devbox.telegram.errors import BadRequest
from devbox.telegram.shapes import Json

RESERVED = frozenset("_*[]()~`>#+-=|{}.!")

MARKERS = {
    "```": "pre",
    "`": "code",
    "__": "underline",
    "_": "italic",
    "||": "spoiler",
    "*": "bold",
    "~": "strikethrough",
    "[": "text_link",
    "![": "custom_emoji",
}
"""Opening markers, longer ones first. They close their entity too, except the brackets."""

CLOSING = {kind: marker for marker, kind in MARKERS.items()} | {
    "text_link": "]",
    "custom_emoji": "]",
}

NAMES = {
    "pre": "Pre",
    "code": "Code",
    "underline": "Underline",
    "italic": "Italic",
    "spoiler": "Spoiler",
    "bold": "Bold",
    "strikethrough": "Strikethrough",
    "text_link": "TextUrl",
    "custom_emoji": "CustomEmoji",
    "blockquote": "BlockQuote",
}
"""How Telegram's errors call them."""


@dataclass(slots=True)
class OpenEntity:
    """An entity that waits for its end: its kind, its place in the text and in the source."""

    kind: str
    start: int
    source_start: int


class Reader:
    """The state of one parse; `read` runs it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0
        self.text: list[str] = []
        self.entities: list[Json] = []
        self.open: list[OpenEntity] = []

    def read(self) -> tuple[str, list[Json]]:
        """The plain text and its entities, offsets in Python characters."""
        source = self.source
        while self.position < len(source):
            character = source[self.position]
            if character == "\\" and "\0" < source[self.position + 1 : self.position + 2] < "\x7f":
                self.text.append(source[self.position + 1])
                self.position += 2
            elif self._quote() or self._close() or self._open():
                continue
            elif character in RESERVED and not self._in_code():
                raise refused(
                    f"Character '{character}' is reserved and must be escaped"
                    " with the preceding '\\'"
                )
            else:
                self.text.append(character)
                self.position += 1
        if self.open and self.open[-1].kind == "blockquote":
            self._finish(self.open.pop(), {})
        if self.open:
            raise self._unfinished(self.open[-1])
        return "".join(self.text), self.entities

    def _in_code(self) -> bool:
        return bool(self.open) and self.open[-1].kind in ("code", "pre")

    def _quote(self) -> bool:
        """A `>` at a line's start goes on with a block quote or begins one; no `>` ends it."""
        if self._in_code() or (self.text and self.text[-1] != "\n"):
            return False
        quoting = bool(self.open) and self.open[-1].kind == "blockquote"
        if self.source.startswith(">", self.position):
            at_line_start = self.position == 0 or self.source[self.position - 1] == "\n"
            if not at_line_start:
                return False
            if not quoting:
                self.open.append(OpenEntity("blockquote", len(self.text), self.position))
            self.position += 1
            return True
        if quoting and self.source[self.position - 1] == "\n":
            self._finish(self.open.pop(), {})
        return False

    def _close(self) -> bool:
        """Closes the top entity if its marker stands here."""
        if not self.open or self.open[-1].kind == "blockquote":
            return False
        top = self.open[-1]
        marker = CLOSING[top.kind]
        if not self.source.startswith(marker, self.position):
            return False
        if top.kind == "italic" and self.source.startswith("__", self.position):
            return False
        self.position += len(marker)
        self.open.pop()
        self._finish(top, self._address(top) if marker == "]" else {})
        return True

    def _open(self) -> bool:
        """Opens the entity whose marker stands here."""
        if self._in_code():
            return False
        for marker, kind in MARKERS.items():
            if self.source.startswith(marker, self.position):
                self.open.append(OpenEntity(kind, len(self.text), self.position))
                self.position += len(marker)
                return True
        return False

    def _address(self, entity: OpenEntity) -> Json:
        """The `(address)` after a `]`; without one the text is its own address."""
        if not self.source.startswith("(", self.position):
            return {"url": "".join(self.text[entity.start :])}
        address: list[str] = []
        position = self.position + 1
        while position < len(self.source) and self.source[position] != ")":
            if self.source[position] == "\\" and position + 1 < len(self.source):
                position += 1
            address.append(self.source[position])
            position += 1
        if position >= len(self.source):
            where = len(self.source[: self.position].encode())
            raise refused(f"Can't find end of a URL at byte offset {where}")
        self.position = position + 1
        if entity.kind == "custom_emoji":
            return {"custom_emoji_id": "".join(address).partition("?id=")[2]}
        return {"url": "".join(address)}

    def _finish(self, entity: OpenEntity, fields: Json) -> None:
        """Records a closed entity unless it is empty or a link to nowhere."""
        if entity.kind == "pre":
            self._take_language(entity, fields)
        length = len(self.text) - entity.start
        if length and ":" in fields.get("url", ":"):
            self.entities.append(
                {"type": entity.kind, "offset": entity.start, "length": length, **fields}
            )

    def _take_language(self, entity: OpenEntity, fields: Json) -> None:
        """A first line of one word is the language of a code block."""
        first_line, newline, _ = "".join(self.text[entity.start :]).partition("\n")
        if newline and not any(character.isspace() for character in first_line):
            del self.text[entity.start : entity.start + len(first_line) + 1]
            if first_line:
                fields["language"] = first_line

    def _unfinished(self, entity: OpenEntity) -> BadRequest:
        where = len(self.source[: entity.source_start].encode())
        return refused(f"Can't find end of {NAMES[entity.kind]} entity at byte offset {where}")


def parse(source: str) -> tuple[str, list[Json]]:
    """The plain text and its entities, offsets in Python characters.

    Raises BadRequest with Telegram's "can't parse entities".
    """
    return Reader(source).read()


def refused(why: str) -> BadRequest:
    """The error for markup that cannot be read."""
    return BadRequest(f"can't parse entities: {why}")
