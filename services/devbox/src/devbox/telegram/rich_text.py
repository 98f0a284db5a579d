"""A message's text with its entities, the way Telegram stores it.

Bots send markup (HTML or MarkdownV2) or plain text with an entity list; Telegram stores plain
text plus entities whose offsets count UTF-16 code units. `read_text` does all of it: replace
control characters, parse the markup, trim, find commands and addresses, check the length.

The parsers work with offsets in Python characters; the conversion is done once at the end, and
costs nothing for text inside the Basic Multilingual Plane. Telegram's legacy "Markdown" mode is
refused: nothing should use it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from devbox.telegram import html_text, markdown_text
from devbox.telegram.errors import BadRequest, NotSimulated
from devbox.telegram.shapes import Json

Parser = Callable[[str], tuple[str, list[Json]]]

PARSERS: dict[str, Parser] = {"html": html_text.parse, "markdownv2": markdown_text.parse}

CONTROL_CHARACTERS = {**dict.fromkeys([*range(9), 11, 12, *range(14, 32)], " "), 13: None}
CONTROL_CHARACTERS |= dict.fromkeys(range(0x2028, 0x202F))
"""Telegram shows a bot's control characters as spaces, and drops carriage returns and the
characters that switch the direction of writing."""

FOUND_BY_ITSELF = re.compile(
    r"(?<![\w/])(?P<bot_command>/[a-zA-Z0-9_]{1,32}(?:@\w{3,32})?)(?![\w/])"
    r"|(?P<url>https?://[^\s<>\"]+[^\s<>\".,;:!?)\]])"
)
"""What Telegram marks without being asked; mentions and hash tags are left out."""


@dataclass(frozen=True, slots=True)
class RichText:
    """Plain text and its entities, in Telegram's shape and order."""

    text: str
    entities: list[Json] = field(default_factory=list)


def read_text(
    text: str, parse_mode: str | None, entities: list[Json] | None, characters_max: int, what: str
) -> RichText:
    """What a bot sent as text, as Telegram would store it.

    `what` names the text in the errors ("message", "message caption").
    Raises BadRequest for markup that cannot be parsed, bad entities, or too long a text.
    """
    text = text.translate(CONTROL_CHARACTERS)
    if parse_mode:
        parser = PARSERS.get(parse_mode.lower())
        if parser is None and parse_mode.lower() == "markdown":
            raise NotSimulated("legacy Markdown; use HTML or MarkdownV2")
        if parser is None:
            raise BadRequest("unsupported parse_mode")
        text, found = parser(text)
    else:
        found = [from_utf16(text, entity) for entity in entities or ()]
    text, found = trimmed(text, found)
    if len(text) > characters_max:
        raise BadRequest(f"{what} is too long")
    return marked(text, found)


def marked(text: str, entities: list[Json] | None = None) -> RichText:
    """The text with commands and addresses marked as well, offsets in UTF-16 code units."""
    found = list(entities or ())
    if "/" in text:
        taken = [(e["offset"], e["offset"] + e["length"]) for e in found]
        for match in FOUND_BY_ITSELF.finditer(text):
            start, end = match.span()
            if match.lastgroup and not any(a < end and start < b for a, b in taken):
                found.append({"type": match.lastgroup, "offset": start, "length": end - start})
    found.sort(key=lambda entity: (entity["offset"], -entity["length"]))
    return RichText(text, to_utf16(text, found))


def trimmed(text: str, entities: list[Json]) -> tuple[str, list[Json]]:
    """Without the space at both ends; entities are moved and cut along, empty ones dropped."""
    kept = text.strip()
    if kept == text:
        return text, entities
    lead = len(text) - len(text.lstrip())
    moved = []
    for entity in entities:
        start = max(entity["offset"] - lead, 0)
        end = min(entity["offset"] + entity["length"] - lead, len(kept))
        if end > start:
            moved.append({**entity, "offset": start, "length": end - start})
    return kept, moved


def utf16_length(text: str) -> int:
    """UTF-16 code units of the text: characters beyond U+FFFF count twice."""
    return len(text) + sum(character > "\uffff" for character in text)


def to_utf16(text: str, entities: list[Json]) -> list[Json]:
    """Entities with offsets in Python characters, counted in UTF-16 code units instead."""
    if not entities or utf16_length(text) == len(text):
        return entities
    converted = []
    for entity in entities:
        start, end = entity["offset"], entity["offset"] + entity["length"]
        converted.append(
            {
                **entity,
                "offset": utf16_length(text[:start]),
                "length": utf16_length(text[start:end]),
            }
        )
    return converted


def from_utf16(text: str, entity: Json) -> Json:
    """The inverse for one entity a bot sent.

    Raises BadRequest when the entity ends beyond the text or cuts a character in two.
    """
    units = text.encode("utf-16-le")
    start, end = entity["offset"] * 2, (entity["offset"] + entity["length"]) * 2
    if not 0 <= start <= end <= len(units):
        raise BadRequest(
            f"entity beginning at UTF-16 offset {entity['offset']} ends after the end of the text"
            f" at UTF-16 offset {len(units) // 2}"
        )
    try:
        before, inside = units[:start].decode("utf-16-le"), units[start:end].decode("utf-16-le")
    except UnicodeDecodeError:
        raise BadRequest("entity begins or ends in the middle of a symbol") from None
    return {**entity, "offset": len(before), "length": len(inside)}
