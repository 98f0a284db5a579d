"""Reads Telegram's HTML: a handful of tags, four named entities, everything else an error.

A tag opens an entry on a stack and its end tag closes the top one; the errors are Telegram's
words, offsets in bytes of the UTF-8 text as Telegram counts them.
"""

import re
from typing import NamedTuple

from devbox.telegram.errors import BadRequest
from devbox.telegram.shapes import Json

KINDS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "code": "code",
    "pre": "pre",
    "a": "text_link",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
}

TOKEN = re.compile(
    r"<(?P<end>/?)(?P<tag>[^\s/>]*)(?P<attributes>[^>]*)>"
    r"|&(?:#(?P<decimal>\d{1,7})|#x(?P<hexadecimal>[0-9a-fA-F]{1,6})|(?P<name>lt|gt|amp|quot));?"
    r"|(?P<unclosed><)"
)
ATTRIBUTE = re.compile(r"([^\s=/]+)\s*(?:=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}


class OpenTag(NamedTuple):
    """A start tag that waits for its end: where its text begins, and what it carries."""

    tag: str
    start: int
    fields: Json


def parse(source: str) -> tuple[str, list[Json]]:
    """The plain text and its entities, offsets in Python characters.

    Raises BadRequest with Telegram's "can't parse entities".
    """
    pieces: list[str] = []
    length, position = 0, 0
    entities: list[Json] = []
    open_tags: list[OpenTag] = []
    for token in TOKEN.finditer(source):
        pieces.append(source[position : token.start()])
        length += token.start() - position
        position = token.end()
        if token["unclosed"]:
            raise refused(f"Unclosed start tag at byte offset {offset(source, token)}")
        if token["tag"] is None:
            pieces.append(character_of(token))
            length += len(pieces[-1])
        elif token["end"]:
            entities += closed(source, token, open_tags, "".join(pieces), length)
        else:
            open_tags.append(opened(source, token, length, open_tags))
    if open_tags:
        raise refused(f'Can\'t find end tag corresponding to start tag "{open_tags[-1].tag}"')
    return "".join([*pieces, source[position:]]), entities


def opened(source: str, token: re.Match[str], start: int, open_tags: list[OpenTag]) -> OpenTag:
    """The start tag as an entry for the stack, with the fields its entity will have."""
    tag = token["tag"].lower()
    attributes = {
        name.lower(): unescaped(first or second or third)
        for name, first, second, third in ATTRIBUTE.findall(token["attributes"])
    }
    if tag not in KINDS or (tag == "span" and attributes.get("class") != "tg-spoiler"):
        where = offset(source, token)
        if tag == "span":
            raise refused(f'Tag "span" must have class "tg-spoiler" at byte offset {where}')
        raise refused(f'Unsupported start tag "{tag}" at byte offset {where}')
    fields: Json = {"type": KINDS[tag]}
    if tag == "a":
        fields["url"] = attributes.get("href", "")
    elif tag == "tg-emoji":
        fields["custom_emoji_id"] = attributes.get("emoji-id", "")
    elif tag == "blockquote" and "expandable" in attributes:
        fields["type"] = "expandable_blockquote"
    elif tag == "code" and open_tags and open_tags[-1].tag == "pre":
        language = attributes.get("class", "").removeprefix("language-")
        if language and open_tags[-1].start == start:
            open_tags[-1].fields["language"] = language
    return OpenTag(tag, start, fields)


def closed(
    source: str, token: re.Match[str], open_tags: list[OpenTag], text: str, length: int
) -> list[Json]:
    """The entity the end tag completes; none for an empty one or for `code` inside `pre`."""
    where, found = offset(source, token), token["tag"].lower()
    if not open_tags:
        raise refused(f"Unexpected end tag at byte offset {where}")
    tag, start, fields = open_tags.pop()
    if found and found != tag:
        raise refused(
            f'Unmatched end tag at byte offset {where}, expected "</{tag}>", found "</{found}>"'
        )
    if length == start or (tag == "code" and open_tags and open_tags[-1].tag == "pre"):
        return []
    if tag == "a" and not fields["url"]:
        fields["url"] = text[start:]
        if "://" not in fields["url"]:
            return []
    return [{**fields, "offset": start, "length": length - start}]


def character_of(token: re.Match[str]) -> str:
    """The character a `&...;` stands for; one that stands for none is kept as written."""
    if token["name"]:
        return NAMED[token["name"]]
    code = int(token["decimal"]) if token["decimal"] else int(token["hexadecimal"], 16)
    if code in range(1, 0xD800) or code in range(0xE000, 0x110000):
        return chr(code)
    return token[0]


def unescaped(text: str) -> str:
    """An attribute's value with its `&...;` replaced."""
    return TOKEN.sub(lambda token: token[0] if token["tag"] else character_of(token), text)


def offset(source: str, token: re.Match[str]) -> int:
    """Where the token begins, in bytes of UTF-8."""
    return len(source[: token.start()].encode())


def refused(why: str) -> BadRequest:
    """The error for markup that cannot be read."""
    return BadRequest(f"can't parse entities: {why}")
