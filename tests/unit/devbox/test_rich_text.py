"""Markup becomes plain text and entities, as Telegram stores them, or Telegram's complaint."""

import html
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devbox.telegram.errors import BadRequest, NotSimulated
from devbox.telegram.rich_text import CONTROL_CHARACTERS, marked, read_text

SENTENCES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def entity(kind: str, offset: int, length: int, **fields: Any) -> dict[str, Any]:
    """An entity in Telegram's shape."""
    return {"type": kind, "offset": offset, "length": length, **fields}


def read(text: str, mode: str | None) -> tuple[str, list[dict[str, Any]]]:
    """Text and entities of a message a bot sent."""
    rich = read_text(text, mode, None, 4096, "message")
    return rich.text, rich.entities


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("<b>a</b> <i>b</i>", "a b", [entity("bold", 0, 1), entity("italic", 2, 1)]),
        ("<b>a<i>b</i></b>", "ab", [entity("bold", 0, 2), entity("italic", 1, 1)]),
        ("&lt;b&gt; &amp;&#33; &nbsp;", "<b> &! &nbsp;", []),
        ("😀<b>x</b>", "😀x", [entity("bold", 2, 1)]),
        ("<b>😀</b>", "😀", [entity("bold", 0, 2)]),
        ('<a href="http://a.b/?x=1&amp;y=2">z</a>', "z",
         [entity("text_link", 0, 1, url="http://a.b/?x=1&y=2")]),
        ('<pre><code class="language-py">x</code></pre>', "x",
         [entity("pre", 0, 1, language="py")]),
        ('<span class="tg-spoiler">s</span>', "s", [entity("spoiler", 0, 1)]),
        ("<blockquote expandable>q</blockquote>", "q", [entity("expandable_blockquote", 0, 1)]),
        ("<b></b>x", "x", []),
        ("  <b> a </b>  ", "a", [entity("bold", 0, 1)]),
    ],
)  # fmt: skip
def test_html_is_read(source: str, text: str, entities: list[dict[str, Any]]) -> None:
    """Tags become entities whose offsets count UTF-16 code units."""
    assert read(source, "HTML") == (text, entities)


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("*a* _b_ __c__ ~d~ ||e||", "a b c d e",
         [entity("bold", 0, 1), entity("italic", 2, 1), entity("underline", 4, 1),
          entity("strikethrough", 6, 1), entity("spoiler", 8, 1)]),
        ("*a _b_*", "a b", [entity("bold", 0, 3), entity("italic", 2, 1)]),
        (r"1\.5 \\ \!", r"1.5 \ !", []),
        ("`a.b`", "a.b", [entity("code", 0, 3)]),
        ("```py\nx=1```", "x=1", [entity("pre", 0, 3, language="py")]),
        ("[x](http://a.b/c\\)d)", "x", [entity("text_link", 0, 1, url="http://a.b/c)d")]),
        (">a\n>b\nc", "a\nb\nc", [entity("blockquote", 0, 4)]),
        ("😀*x*", "😀x", [entity("bold", 2, 1)]),
    ],
)  # fmt: skip
def test_markdown_is_read(source: str, text: str, entities: list[dict[str, Any]]) -> None:
    """Markers become entities, a backslash takes a character's meaning away."""
    assert read(source, "MarkdownV2") == (text, entities)


@pytest.mark.parametrize(
    ("mode", "source", "complaint"),
    [
        ("HTML", "<b>a", 'Can\'t find end tag corresponding to start tag "b"'),
        ("HTML", "é<x>a</x>", 'Unsupported start tag "x" at byte offset 2'),
        ("HTML", "<b>a</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("HTML", "a</b>", "Unexpected end tag at byte offset 1"),
        ("HTML", "a < b", "Unclosed start tag at byte offset 2"),
        ("HTML", "<span>a</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
        ("MarkdownV2", "1.5",
         "Character '.' is reserved and must be escaped with the preceding '\\'"),
        ("MarkdownV2", "é*a", "Can't find end of Bold entity at byte offset 2"),
        ("MarkdownV2", "[a](b", "Can't find end of a URL at byte offset 3"),
    ],
)  # fmt: skip
def test_markup_that_cannot_be_read_is_telegrams_complaint(
    mode: str, source: str, complaint: str
) -> None:
    """The words and byte offsets are Telegram's, so that a bot's reaction can be tested."""
    with pytest.raises(BadRequest) as caught:
        read(source, mode)

    assert caught.value.description == f"Bad Request: can't parse entities: {complaint}"


@given(SENTENCES)
def test_escaped_html_says_exactly_what_was_meant(sentence: str) -> None:
    """Whatever text a bot escapes arrives unchanged, and unmarked."""
    expected = sentence.translate(CONTROL_CHARACTERS).strip()

    text, _ = read(html.escape(sentence, quote=False), "HTML")

    assert text == expected


@given(SENTENCES)
def test_escaped_markdown_says_exactly_what_was_meant(sentence: str) -> None:
    """The same for MarkdownV2 with every reserved character escaped."""
    expected = sentence.translate(CONTROL_CHARACTERS).strip()

    text, _ = read(re.sub(r"([_*\[\]()~`>#+\-=|{}.!\\])", r"\\\1", sentence), "MarkdownV2")

    assert text == expected


@given(st.text(max_size=40), st.sampled_from(["HTML", "MarkdownV2"]))
def test_any_markup_is_read_or_refused(source: str, mode: str) -> None:
    """Nothing a bot sends makes a parser fail in another way, and no entity leaves its text."""
    try:
        text, entities = read(source, mode)
    except BadRequest:
        return
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    assert all(0 <= e["offset"] < e["offset"] + e["length"] <= units for e in entities)


def test_commands_and_addresses_are_found() -> None:
    """Telegram marks them by itself, but not inside other words."""
    rich = marked("/start a/b https://a.b/c, 😀 /help@some_bot")

    assert rich.entities == [
        entity("bot_command", 0, 6),
        entity("url", 11, 13),
        entity("bot_command", 29, 14),
    ]


def test_an_entity_may_not_leave_its_text() -> None:
    """Entities a bot sends are checked against the text they mark."""
    with pytest.raises(BadRequest, match="ends after the end of the text"):
        read_text("ab", None, [entity("bold", 1, 2)], 4096, "message")
    with pytest.raises(BadRequest, match="in the middle of a symbol"):
        read_text("😀", None, [entity("bold", 0, 1)], 4096, "message")


def test_length_is_counted_after_the_markup_is_gone() -> None:
    """4096 characters are a message, 4097 are not, however much markup there is."""
    assert len(read("<b>" + "x" * 4096 + "</b>", "HTML")[0]) == 4096
    with pytest.raises(BadRequest, match="message is too long"):
        read("x" * 4097, None)


def test_modes_nobody_has_are_refused() -> None:
    """An unknown mode is Telegram's error; the legacy one says that only the simulator lacks it."""
    with pytest.raises(BadRequest, match="unsupported parse_mode"):
        read("x", "BBCode")
    with pytest.raises(NotSimulated, match="use HTML or MarkdownV2"):
        read("x", "Markdown")
