"""SVG as strings. Text is escaped here and nowhere else; numbers are written with two digits."""

import re
from html import escape

# What XML 1.0 cannot hold, even escaped: controls, halves of surrogate pairs, two non-characters.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What would turn the text around it: a label must read as it was written.
_DIRECTIONS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")

Attribute = str | float


def element(name: str, *inside: str, **attributes: Attribute) -> str:
    """Write an element: `stroke_width` becomes "stroke-width", numbers get two digits."""
    written = "".join(
        f' {key.replace("_", "-")}="{_value(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(inside)}</{name}>" if inside else f"<{name}{written}/>"


def text_of(words: str) -> str:
    """Escape text, dropping what XML cannot hold and what would change its direction."""
    return escape(_DIRECTIONS.sub("", _NOT_IN_XML.sub("", words)))


def number(value: float) -> str:
    """Write a coordinate: two digits at most, no trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def point(x: float, y: float) -> str:
    """Write a point of a path."""
    return f"{number(x)} {number(y)}"


def polyline(points: list[tuple[float, float]]) -> str:
    """Write the path that goes through the points."""
    return "M" + "L".join(point(x, y) for x, y in points)


def _value(value: Attribute) -> str:
    return text_of(value) if isinstance(value, str) else number(value)
