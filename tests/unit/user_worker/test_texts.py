"""Sentences: both languages complete, arguments escaped, numbers in the reader's way."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from importlib import resources

import pytest
from fluent.syntax import FluentParser, ast, visitor

from user_worker.conversation.book import COMMANDS
from user_worker.conversation.texts import (
    LANGUAGES,
    BrokenText,
    fitting_language,
    shown_units,
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


def test_what_is_shown_is_counted_in_utf_16_without_markup() -> None:
    """As Telegram's limits do."""
    assert 5 == shown_units("<b>a&amp;b</b> <i></i>c")
    assert 2 == shown_units("🤡")


def test_signs_belong_to_what_is_shown() -> None:
    """A loss too small to be shown is no loss; the sign is a minus."""
    texts = texts_in("en")

    assert "+1.50" == texts.change(Decimal("1.5"))
    assert "\u22121.50" == texts.change(Decimal("-1.5"))
    assert "0.00" == texts.change(Decimal("-0.001"))
    assert "+1.23\u00a0%" == texts.percent_change(Decimal("0.01234"))
    assert "0.00\u00a0%" == texts.percent_change(Decimal("-0.00001"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("97123.456", "97,123.46"),
        ("1.2", "1.20"),
        ("0.99999", "1.0000"),
        ("0.001234567", "0.001235"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("0", "0.00"),
    ],
)
def test_small_prices_show_their_significant_digits(value: str, expected: str) -> None:
    """A coin of a fraction of a cent has a price too."""
    assert expected == texts_in("en").price(Decimal(value))


def test_times_are_written_in_utc_and_say_so() -> None:
    """Whatever zone they come in."""
    at = datetime(2026, 11, 26, 1, 2, 3, tzinfo=timezone(timedelta(hours=1)))

    assert "Nov 26, 2026, 00:02 UTC" == texts_in("en").moment(at)
    assert "26.11.2026, 00:02 UTC" == texts_in("de").moment(at)
    assert "00:02:03 UTC" == texts_in("en").clock(at)
    assert ("Nov 26", "26. Nov.") == (texts_in("en").day(at), texts_in("de").day(at))


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [
        (0.2, "1 second ago", "vor 1 Sekunde"),
        (59, "59 seconds ago", "vor 59 Sekunden"),
        (600, "10 minutes ago", "vor 10 Minuten"),
        (7200, "2 hours ago", "vor 2 Stunden"),
        (200_000, "2 days ago", "vor 2 Tagen"),
    ],
)
def test_ages_are_told_in_one_unit(seconds: float, english: str, german: str) -> None:
    """Never in the future, and never "0 seconds"."""
    assert english == texts_in("en").ago(seconds)
    assert german == texts_in("de").ago(seconds)


def test_an_amount_that_is_not_final_is_rounded_down_but_never_to_nothing() -> None:
    """Nobody is told of more than there will be."""
    texts = texts_in("en")

    assert "0.07031429" == texts.about(Decimal("0.070314299999999999"))
    assert "1,000" == texts.about(Decimal("1000.000000001"))
    assert "0.000000000000000001" == texts.about(Decimal("0.000000000000000001"))
