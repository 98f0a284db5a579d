"""What a verb shows to the person who typed it: safe on a terminal, aligned, and cut off in peace.

What is shown may hold any character (an error, a message of somebody else's program); what could
steer a terminal, or turn a line around, is written as an escape.
"""

import os
import sys
import textwrap
from collections.abc import Sequence

LAST_COLUMN_CHARACTERS_MIN = 32
"""What does not fit into a narrower last column goes below its row: a column of syllables is no
help."""


def tell(text: str) -> None:
    """Print to stdout; whoever stopped reading (`… | head`) has enough."""
    try:
        print(text, flush=True)  # noqa: T201 (for the person who typed it)
    except BrokenPipeError:
        stop_telling()


def stop_telling() -> None:
    """Whoever read has enough: Python must not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(sentence: str) -> None:
    """Print one sentence to stderr; it may name what somebody else wrote, so it is escaped."""
    print(printable(sentence, keep_lines=True), file=sys.stderr)  # noqa: T201 (for the person who typed it)


def table(rows: Sequence[Sequence[str]], *, indent: int = 0, width: int | None = None) -> list[str]:
    """Align columns, two spaces between them; with a `width` what is too long in the last one is
    wrapped."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    before = indent + sum(widths[:-1]) + 2 * (len(widths) - 1)
    lines = []
    for row in rows:
        first, below = (row[-1], []) if width is None else _wrap(row[-1], indent, before, width)
        cells = [*map(str.ljust, row[:-1], widths), first]
        lines += [(" " * indent + "  ".join(cells)).rstrip(), *below]
    return lines


def _wrap(text: str, indent: int, before: int, width: int) -> tuple[str, list[str]]:
    """What stands in the row itself, and the lines below it."""
    room = width - before
    if len(text) <= room:
        return text, []
    if room >= LAST_COLUMN_CHARACTERS_MIN:
        first, *more = textwrap.wrap(text, room, break_on_hyphens=False)
        return first, [" " * before + line for line in more]
    below = indent + 2
    room = max(width - below, LAST_COLUMN_CHARACTERS_MIN)
    return "", [" " * below + line for line in textwrap.wrap(text, room, break_on_hyphens=False)]


def age(seconds: float) -> str:
    """Write a time span in its largest unit, as kubectl does: `12s`, `7m`, `3h`, `2d`."""
    whole = max(0, int(seconds))
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if whole >= length:
            return f"{whole // length}{unit}"
    return f"{whole}s"


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Escape what is not to be printed; new lines too, unless they are kept."""
    return "".join(
        character
        if character.isprintable() or (keep_lines and character == "\n")
        else character.encode("unicode_escape").decode()
        for character in text
    )
