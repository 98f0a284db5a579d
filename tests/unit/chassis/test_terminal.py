"""Tables and words for a terminal: aligned, wrapped, harmless."""

import pytest

from chassis.terminal import age, complain, printable, table


def test_columns_are_aligned_and_the_last_one_is_ragged() -> None:
    """No line ends in blanks."""
    assert ["A    B", "100  x"] == table([("A", "B"), ("100", "x")])
    assert [] == table([])


def test_the_last_column_goes_on_below_itself() -> None:
    """Nothing is cut off."""
    lines = table([("A", "a sentence of a few words more than there is room for")], width=40)

    assert ["A  a sentence of a few words more than", "   there is room for"] == lines


def test_what_does_not_fit_a_narrow_last_column_goes_below_its_row() -> None:
    """What fits stays where it is."""
    rows = [("A" * 20, "short"), ("B", "more words than the column has room for")]

    assert [
        "AAAAAAAAAAAAAAAAAAAA  short",
        "B",
        "  more words than the column has room",
        "  for",
    ] == table(rows, width=40)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-3, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (86_400, "1d")],
)
def test_a_time_span_is_told_in_its_largest_unit(seconds: float, expected: str) -> None:
    """As kubectl does."""
    assert expected == age(seconds)


def test_what_could_steer_a_terminal_is_escaped() -> None:
    """And a new line, unless lines are kept."""
    assert r"a\x1b[1m\nb\u202e" == printable("a\x1b[1m\nb\u202e")
    assert "a\nb" == printable("a\nb", keep_lines=True)


def test_a_complaint_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the name is that it quotes; its lines stay lines."""
    complain("a\x1b]0;b\udcff\nc")
    assert "a\\x1b]0;b\\udcff\nc\n" == capsys.readouterr().err
