# ruff: noqa: INP001 -- a tool run by hand, outside the package
"""Make the fonts of the pictures from Inter.

Run by hand, once: the fonts are committed, and fontTools is no dependency. FOLDER is what the npm
package `inter-ui` 4.1.1 unpacks to:

    uv run --no-project --with fonttools --with brotli services/user-worker/subset_fonts.py FOLDER

Of Inter's 2900 glyphs the characters of `CHARACTERS` remain. Figures become tabular, each as wide
as the next, so that a column of prices stands still: they get the glyphs that Inter's own feature
`tnum` would choose, as a renderer of SVG need not know features. Contextual substitutions go, so
that "->" stays what was written.
"""

import sys
from pathlib import Path

from fontTools import subset  # type: ignore[import-not-found]
from fontTools.ttLib import TTFont  # type: ignore[import-not-found]

STYLES = ("Regular", "SemiBold")
FONTS = Path(__file__).parent / "src" / "user_worker" / "pictures" / "fonts"
# Latin with every European accent, general punctuation and thin spaces, currencies, arrows, signs.
CHARACTERS = [
    *range(0x20, 0x7F),
    *range(0xA0, 0x180),
    *range(0x2000, 0x2050),
    *range(0x20A0, 0x20C1),
    *range(0x2190, 0x219A),
    *(ord(sign) for sign in "−±×÷≈≠≤≥∞Δ▲▼●✓✗Ξ"),  # noqa: RUF001  # these are meant
]


def make(source: Path, target: Path) -> None:
    """Write the subset of one style."""
    font = TTFont(source)
    tabular = _substitutions(font, "tnum")
    for table in font["cmap"].tables:
        table.cmap = {code: tabular.get(glyph, glyph) for code, glyph in table.cmap.items()}
    options = subset.Options(
        layout_features=["kern", "mark", "ccmp"], hinting=False, notdef_outline=True
    )
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=CHARACTERS)
    subsetter.subset(font)
    font.flavor = None
    font.recalcTimestamp = False
    font.save(target)


def _substitutions(font: TTFont, feature: str) -> dict[str, str]:
    table = font["GSUB"].table
    lookups = {
        index
        for record in table.FeatureList.FeatureRecord
        if record.FeatureTag == feature
        for index in record.Feature.LookupListIndex
    }
    found: dict[str, str] = {}
    for index in lookups:
        for part in table.LookupList.Lookup[index].SubTable:
            found.update(getattr(part, "ExtSubTable", part).mapping)
    return found


if __name__ == "__main__":
    for style in STYLES:
        make(Path(sys.argv[1]) / "web" / f"Inter-{style}.woff2", FONTS / f"Inter-{style}.ttf")
