"""Colours and sizes, in units of a canvas of 1000 by 600.

A phone shows a photo some 1000 pixels wide, so a unit is painted as a pixel: more would cost two
thirds more processor time, and pictures are the dearest thing a worker does. No text is smaller
than 21 units. Direction is never told by colour alone: a candle that rose is hollow, one that fell
is filled.
"""

WIDTH, HEIGHT = 1000.0, 600.0
PIXELS_WIDE, PIXELS_HIGH = 1000, 600

REGULAR, BOLD = "Inter", "Inter SemiBold"
TITLE_SIZE, SUBTITLE_SIZE, LABEL_SIZE = 38.0, 25.0, 22.0

BACKGROUND = "#10161f"
PANEL = "#161e29"
GRID = "#243040"
TEXT = "#f2f5f9"
SOFT_TEXT = "#93a1b3"
RISEN, FALLEN = "#2fd3a5", "#ff6b70"
NOTE = "#f5c45e"
LINE = "#58a6ff"
DEPOSITS = "#a9b4c2"
# Neighbours differ in lightness too, so that a bar reads in grey.
HOLDINGS = ("#58a6ff", "#f5c45e", "#2fd3a5", "#c792ea", "#ff8f6b", "#7fdbff")
OTHER = "#64748b"

# Advance widths of Inter SemiBold in hundredths of its size, rounded up; Regular is narrower.
_WIDTHS = {
    **dict.fromkeys("iljI|.,:;'! \u00a0\u2019·", 30),
    **dict.fromkeys("\u2009\u202f", 25),
    **dict.fromkeys("ftr()[]-/", 42),
    **dict.fromkeys("mwMW%@—…", 104),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&", 78),
}
_USUAL_WIDTH, _WIDEST = 66, 110
_LATIN_ENDS = 0x180


def width_of(words: str, size: float) -> float:
    """Estimate how wide a text is at most, in units."""
    return sum(_width(character) for character in words) * size / 100


def fitted(words: str, size: float, width: float) -> str:
    """Shorten a text that would be wider, and say so with an ellipsis."""
    if width_of(words, size) <= width:
        return words
    kept = words
    while kept and width_of(kept + "…", size) > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def _width(character: str) -> int:
    known = _WIDTHS.get(character)
    if known is not None:
        return known
    return _USUAL_WIDTH if ord(character) < _LATIN_ENDS else _WIDEST
