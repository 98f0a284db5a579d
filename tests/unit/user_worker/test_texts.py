"""Sentences: both languages complete, arguments escaped, numbers in the reader's way."""

from decimal import Decimal
from importlib import resources

import pytest
from fluent.syntax import FluentParser, ast, visitor

from user_worker.conversation.book import COMMANDS
from user_worker.conversation.texts import (
    LANGUAGES,
    BrokenText,
    fitting_language,
    texts_in,
    visible,
)


class _Variables(visitor.Visitor):
    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_VariableReference(self, node: ast.VariableReference) -> None:  # noqa: N802
        self.found.add(node.id.name)


def messages(language: str) -> dict[str, set[str]]:
    """Read a language's files: message id to the variables it uses."""
    found: dict[str, set[str]] = {}
    folder = resources.files("user_worker") / "locales" / language
    for file in folder.iterdir():
        for entry in FluentParser().parse(file.read_text("utf-8")).body:
            assert not isinstance(entry, ast.Junk), f"{file.name}: {entry.content}"
            if isinstance(entry, ast.Message):
                assert entry.id.name not in found, f"{entry.id.name} stands twice in {language}"
                variables = _Variables()
                variables.visit(entry)
                found[entry.id.name] = variables.found
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_messages_and_variables(language: str) -> None:
    """A sentence missing in one language would be an error shown to its users."""
    assert messages("en") == messages(language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_can_be_said_and_is_well_formed(language: str) -> None:
    """Tags are balanced and the text fits a message."""
    for message_id, variables in messages(language).items():
        text = texts_in(language).html(message_id, **dict.fromkeys(variables, "x"))
        assert 0 < len(text) <= 4096
        for tag in ("b", "i", "code"):
            assert text.count(f"<{tag}>") == text.count(f"</{tag}>"), message_id


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_command_has_its_line_in_help(language: str) -> None:
    """A new command without one would break /help."""
    assert {f"help-{name}" for name in COMMANDS} <= set(messages(language))


def test_arguments_are_escaped_in_html_and_left_alone_in_plain_text() -> None:
    """Markup stands in the Fluent files only."""
    texts = texts_in("en")

    assert "/&lt;b&gt;&amp;" in texts.html("unknown-command", name="<b>&")
    assert "/<b>&" in texts.plain("unknown-command", name="<b>&")


def test_a_missing_message_or_argument_raises() -> None:
    """It must be found by a test, not by a user."""
    with pytest.raises(BrokenText):
        texts_in("en").html("no-such-message")
    with pytest.raises(BrokenText):
        texts_in("en").html("unknown-command")


def test_amounts_keep_every_digit_and_follow_the_language() -> None:
    """Python's default context would lose the last unit."""
    amount = Decimal("12345678901.000000000000000001")

    assert "12,345,678,901.000000000000000001" == texts_in("en").amount(amount)
    assert "12.345.678.901,000000000000000001" == texts_in("de").amount(amount)
    assert "0" == texts_in("en").amount(Decimal(0))


def test_prices_are_rounded_to_be_looked_at() -> None:
    """Half to even, two digits."""
    assert "97,123.46" == texts_in("en").price(Decimal("97123.456"))
    assert "97.123,00" == texts_in("de").price(Decimal(97123))


@pytest.mark.parametrize(
    ("chosen", "reported", "expected"),
    [
        ("de", "en", "de"),
        (None, "de-AT", "de"),
        (None, "DE_ch", "de"),
        (None, "fr", "en"),
        (None, "", "en"),
        ("xx", "de", "de"),
        (None, "\x00-" * 17, "en"),
    ],
)
def test_the_fitting_language(chosen: str | None, reported: str, expected: str) -> None:
    """The user's choice, else the front's report, else English."""
    assert expected == fitting_language(chosen, reported)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("Ann", "\u2068Ann\u2069"),
        ("A\x00n\nn  B", "\u2068An n B\u2069"),
        ("\u202eevil\u2066", "\u2068evil\u2069"),
        ("\u200b\x00", ""),
        ("x" * 100, "\u2068" + "x" * 63 + "…\u2069"),
        ("\ud800", ""),
    ],
)
def test_what_a_user_typed_becomes_one_harmless_line(typed: str, expected: str) -> None:
    """Controls and direction marks go, direction stays inside, length is bounded."""
    assert expected == visible(typed)
