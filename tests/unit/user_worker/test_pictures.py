"""Where the charts put things, and that nothing a picture is given can break them."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.user_worker.drawn import (
    BEGIN,
    LABELS,
    candles_picture,
    equity,
    portfolio_picture,
    walk,
)

from user_worker.domain.market import Candle, Candles
from user_worker.domain.pictures import CANDLES_SHOWN_MAX, CandlesPicture, Labels
from user_worker.pictures import painter, theme
from user_worker.pictures.candles import draw_candles
from user_worker.pictures.portfolio import draw_portfolio
from user_worker.pictures.scale import TICKS_MAX, TimeScale, ValueScale

PRICES = st.decimals(min_value=0, max_value=10**38, places=18)
USUAL_HOLDINGS = [("USDT", "6000"), ("BTC", "4000")]


def elements(svg: str, kind: str) -> Iterator[ET.Element]:
    """Find the elements of a kind; raises when the picture is no XML."""
    return ET.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{kind}")  # noqa: S314


def texts(svg: str) -> list[str]:
    """Give every text of a picture."""
    return [text.text or "" for text in elements(svg, "text")]


def candle(opened: str, close: str, *, minutes: int = 0) -> Candle:
    """Make a candle with a wick of one at both ends."""
    first, last = Decimal(opened), Decimal(close)
    at = BEGIN + timedelta(minutes=minutes)
    return Candle(at, first, max(first, last) + 1, min(first, last) - 1, last)


def of_candles(*candles: Candle, interval_minutes: int = 15) -> CandlesPicture:
    """Make a picture of these candles."""
    return candles_picture(Candles("BTC", "USDT", interval_minutes, True, candles))


def bodies(svg: str) -> dict[str, list[float]]:
    """Give the places of the candles by the colour of their filling."""
    return {
        path.attrib["fill"]: [float(x) for x in re.findall(r"M([\d.]+) [\d.]+V", path.attrib["d"])][
            ::2
        ]
        for path in elements(svg, "path")
        if path.attrib.get("stroke-linejoin") and "fill" in path.attrib
    }


@given(PRICES, PRICES)
def test_ticks_of_any_prices_are_few_round_and_inside(one: Decimal, other: Decimal) -> None:
    """From 1e-18 to 1e38: three to six steps of 1, 2, 2.5 or 5 times a power of ten."""
    scale = ValueScale.around([one, other], top=100, bottom=500)

    ticks = scale.ticks()

    assert 2 <= len(ticks) <= TICKS_MAX
    assert all(scale.low <= tick <= scale.high for tick in ticks)
    step = ticks[1] - ticks[0]
    assert str(step.normalize()).replace(".", "").strip("0").split("E")[0] in {"1", "2", "25", "5"}
    assert all(100 <= scale.y(tick) <= 500 for tick in ticks)


def test_a_price_that_does_not_move_lies_in_the_middle() -> None:
    """Neither zero nor any other single price divides by an empty range."""
    for price in (Decimal(0), Decimal("0.00000012"), Decimal(123456789)):
        scale = ValueScale.around([price], top=100, bottom=500)

        assert pytest.approx(300) == scale.y(price)


@given(
    st.timedeltas(min_value=timedelta(minutes=1), max_value=timedelta(days=3000)),
    st.integers(min_value=2, max_value=8),
)
def test_ticks_of_any_time_are_few_and_inside(span: timedelta, count_max: int) -> None:
    """No more than asked for, in order, at full minutes."""
    ticks = TimeScale(BEGIN, BEGIN + span, 0, 100).ticks(count_max)

    assert len(ticks) <= count_max
    assert all(BEGIN <= tick <= BEGIN + span and not tick.second for tick in ticks)
    assert sorted(set(ticks)) == ticks


def test_a_day_is_written_where_one_begins_and_else_the_time() -> None:
    """The axis reads 22:00, 26 Nov, 02:00."""
    written = texts(draw_candles(candles_picture(walk(40))))

    assert ["22:00", "26 Nov", "02:00"] == [text for text in written if ":" in text or "N" in text][
        -5:-2
    ]


def test_a_candle_that_rose_is_hollow_and_one_that_fell_is_filled() -> None:
    """Direction can be read without seeing colours."""
    svg = draw_candles(of_candles(candle("10", "12"), candle("12", "9", minutes=15)))

    found = bodies(svg)
    assert {theme.BACKGROUND, theme.FALLEN} == set(found)
    assert found[theme.BACKGROUND][0] < found[theme.FALLEN][0]


def test_a_gap_in_the_candles_is_a_gap_in_the_picture() -> None:
    """Candles stand at their time: an hour without prices is as wide as an hour with prices."""
    svg = draw_candles(
        of_candles(*(candle("10", "12", minutes=minutes) for minutes in (0, 15, 30, 90)))
    )

    first, second, third, fourth = bodies(svg)[theme.BACKGROUND]
    assert pytest.approx(second - first, abs=0.1) == third - second
    assert pytest.approx(4 * (second - first), abs=0.1) == fourth - third


def test_the_last_price_and_the_extremes_are_written() -> None:
    """The plate says the close; the highest and lowest stand at their wicks."""
    svg = draw_candles(of_candles(candle("100", "140"), candle("140", "133.37", minutes=15)))

    written = texts(svg)
    assert {"133.37", "141.00", "99.00"} <= set(written)


def test_only_the_newest_candles_are_shown() -> None:
    """Beyond the limit a candle would be thinner than a phone can show."""
    found = bodies(draw_candles(candles_picture(walk(CANDLES_SHOWN_MAX + 50))))

    assert CANDLES_SHOWN_MAX == sum(len(places) for places in found.values())


def test_without_candles_the_picture_says_so() -> None:
    """It is a picture all the same."""
    written = texts(draw_candles(of_candles()))

    assert ["BTC · 15 min", "No prices yet"] == [written[1], written[-1]]


def test_equal_labels_are_written_once() -> None:
    """Prices closer than their digits do not repeat the same amount along the axis."""
    rough = replace(LABELS, amount=lambda amount: f"{amount:.0f}")
    picture = replace(candles_picture(walk(20, start="3")), labels=rough)

    assert texts(draw_candles(picture)).count("3") <= 4  # tag, two extremes, one tick


@given(st.text(max_size=300), st.text(max_size=30))
def test_no_text_can_break_a_picture(words: str, short: str) -> None:
    """Markup, controls, lone surrogates: the picture stays well-formed XML."""
    labels = Labels(*(4 * [lambda _: short]))
    price = replace(
        candles_picture(walk(5)),
        title=words,
        subtitle=words,
        note=words,
        labels=labels,
    )
    worth = replace(
        portfolio_picture(equity([1, 2]), [(words, "1")]),
        equity=words,
        deposits=words,
        labels=labels,
    )

    for svg in (draw_candles(price), draw_portfolio(worth)):
        kinds = {element.tag.rpartition("}")[2] for element in ET.fromstring(svg).iter()}  # noqa: S314
        assert kinds <= {"svg", "rect", "text", "line", "path", "circle"}


@given(st.lists(PRICES, min_size=1, max_size=5), st.text(max_size=100))
def test_every_text_lies_on_the_canvas(prices: list[Decimal], title: str) -> None:
    """Long titles and prices of 38 digits are cut, and nothing is written outside."""
    candles = [candle(str(price), str(price), minutes=i * 15) for i, price in enumerate(prices)]
    svg = draw_candles(replace(of_candles(*candles), title=title, subtitle=title))

    for text in elements(svg, "text"):
        size, x = float(text.attrib["font-size"]), float(text.attrib["x"])
        wide = theme.width_of(text.text or "", size)
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]]
        assert x - wide * share >= -0.1
        assert x + wide * (1 - share) <= theme.WIDTH + 0.1


def test_marks_of_direction_are_dropped() -> None:
    """A title cannot turn the text around it."""
    svg = draw_candles(replace(candles_picture(walk(5)), title="B\u202eT\u2066C\u200f"))

    assert "BTC" in texts(svg)


def test_amounts_of_any_length_leave_room_for_the_plot() -> None:
    """The axis is bounded: longer amounts are cut, and show it."""
    endless = replace(LABELS, amount=lambda _: "9" * 60)
    svg = draw_candles(replace(candles_picture(walk(5)), labels=endless))

    assert all(text.endswith("…") for text in texts(svg) if "99" in text and " " not in text)
    wide = [float(line.attrib["x2"]) - float(line.attrib["x1"]) for line in elements(svg, "line")]
    assert max(wide) > theme.WIDTH / 2


def test_a_long_title_ends_in_an_ellipsis() -> None:
    """Nobody takes a cut title for a whole one."""
    svg = draw_candles(replace(candles_picture(walk(5)), title="An endless name " * 10))

    (title,) = (text for text in texts(svg) if text.startswith("An endless"))
    assert title.endswith("…")


def lines_of_equity(svg: str) -> list[ET.Element]:
    """Find the unbroken parts of the line."""
    return [path for path in elements(svg, "path") if path.attrib.get("stroke-linecap") == "round"]


def test_an_unknown_worth_breaks_the_line() -> None:
    """None is not 0 and not what lies between its neighbours."""
    whole = draw_portfolio(portfolio_picture(equity([1, 2, 3, 4, 5]), USUAL_HOLDINGS))
    broken = draw_portfolio(portfolio_picture(equity([1, 2, None, 4, 5]), USUAL_HOLDINGS))

    assert 1 == len(lines_of_equity(whole))
    assert 2 == len(lines_of_equity(broken))


def test_one_known_worth_between_unknown_ones_is_a_dot() -> None:
    """A line needs two points."""
    svg = draw_portfolio(portfolio_picture(equity([None, 7, None, 4, 5]), USUAL_HOLDINGS))

    assert 1 == len(list(elements(svg, "circle")))
    assert 1 == len(lines_of_equity(svg))


def test_the_last_worth_is_written_once() -> None:
    """Its tag tells it; when it is the lowest of all, no mark says it again beside the tag."""
    written = texts(draw_portfolio(portfolio_picture(equity([15, 17, 11]), USUAL_HOLDINGS)))

    assert [1, 1] == [written.count(LABELS.amount(Decimal(worth))) for worth in (17, 11)]


def test_what_was_paid_in_goes_up_in_steps() -> None:
    """A deposit is no slope."""
    points = (*equity([10, 10, 10]), *equity([20], deposits=20_000))
    points = tuple(replace(p, at=BEGIN + timedelta(hours=i)) for i, p in enumerate(points))
    svg = draw_portfolio(portfolio_picture(points, USUAL_HOLDINGS))

    (steps,) = (
        path.attrib["d"] for path in elements(svg, "path") if path.attrib.get("stroke-width") == "2"
    )
    places = [tuple(map(float, place.split())) for place in steps[1:].split("L")]
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in itertools.pairwise(places))
    assert places[0][1] > places[-1][1]


def test_six_assets_are_told_apart_and_the_rest_is_one() -> None:
    """The most valuable first; equal ones by name, so that the picture is the same each time."""
    holdings = [(f"C{number}", str(number)) for number in range(1, 10)]
    written = texts(draw_portfolio(portfolio_picture(equity([1, 2]), holdings)))

    start = written.index("C9")
    assert ["C9", "C8", "C7", "C6", "C5", "C4", "Other"] == written[start::2]
    assert "20.0%" == written[start + 1]
    assert "13.3%" == written[-1]


def test_what_has_no_value_is_not_shown() -> None:
    """Not even in the key; without anything of value the picture says so."""
    some = texts(draw_portfolio(portfolio_picture((), [("DUST", "0"), ("BTC", "2")])))
    assert "BTC" in some
    assert "DUST" not in some

    written = texts(draw_portfolio(portfolio_picture((), [("DUST", "0")])))

    assert ["No history yet", "Nothing held yet"] == written[-2:]


def test_a_single_point_in_time_is_enough() -> None:
    """The first minute of a new user: a dot, his play money as the dashed line, one asset."""
    svg = draw_portfolio(portfolio_picture(equity([10_000]), [("USDT", "10000")]))

    assert 1 == len(list(elements(svg, "circle")))
    assert "100.0%" in texts(svg)


def test_times_of_another_zone_are_round_in_that_zone() -> None:
    """A user's midnight is where his day is written."""
    there = datetime(2026, 11, 25, 22, tzinfo=UTC).astimezone(
        datetime.fromisoformat("2026-11-25T00:00:00+05:30").tzinfo
    )
    ticks = TimeScale(there, there + timedelta(days=2), 0, 100).ticks(6)

    assert {0} == {tick.minute for tick in ticks}


@pytest.mark.parametrize("character", "AZaz09ÄÖÜäöüßéłč$€₿%+−,.:·–…→↑↓▲▼✓")  # noqa: RUF001
def test_the_font_can_write(character: str) -> None:
    """Each differs from what a character without a glyph looks like."""
    assert _painted(character) != _painted("\ue000")
    assert _painted(character) != _painted(" ")


def test_figures_are_equally_wide() -> None:
    """A column of prices stands still: a one before a bar moves it as far as an eight does."""
    bars = {_painted(f'<tspan fill="none">{figure * 8}</tspan>|') for figure in "0123456789"}

    assert 1 == len(bars)
    assert bars != {_painted("")}


def _painted(text: str) -> bytes:
    return painter.paint(
        '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="24"><text x="2" y="18" '
        f'font-size="16" font-family="Inter">{text}</text></svg>'
    )
