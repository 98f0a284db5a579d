"""Candles: a price over time. One that rose is hollow, one that fell is filled.

Candles stand at their time, so a gap in the data is a gap in the picture.
"""

from collections.abc import Iterable
from datetime import timedelta

from user_worker.domain.market import Candle
from user_worker.domain.pictures import CANDLES_SHOWN_MAX, CandlesPicture
from user_worker.pictures import frame, theme
from user_worker.pictures.frame import EDGE, Plot
from user_worker.pictures.scale import TimeScale, ValueScale
from user_worker.pictures.svg import element, number

_TOP, _BOTTOM = 122.0, 552.0
_BODY_SHARE = 0.64
"""Of the room one candle has."""
_BODY_WIDEST = 26.0
_BODY_LEAST = 1.4
"""Thin enough for many, thick enough to be seen: an unmoved price is a dash."""


def draw_candles(picture: CandlesPicture) -> str:
    """Draw as SVG."""
    shown = picture.candles.candles[-CANDLES_SHOWN_MAX:]
    top = frame.header(picture.title, picture.subtitle, picture.note)
    if not shown:
        whole = Plot(EDGE, _TOP, theme.WIDTH - EDGE, theme.HEIGHT - EDGE)
        return frame.picture(top, frame.nothing(whole, picture.nothing))

    highest, lowest = max(shown, key=lambda c: c.high), min(shown, key=lambda c: c.low)
    last = shown[-1]
    values = ValueScale.around([lowest.low, highest.high], _TOP + 24, _BOTTOM - 24)
    amounts = frame.axis_width([*values.ticks(), last.close], picture.labels.amount)
    plot = Plot(EDGE, _TOP, theme.WIDTH - amounts, _BOTTOM)
    interval = timedelta(minutes=picture.candles.interval_minutes)
    times = TimeScale(shown[0].begins_at, last.begins_at + interval, plot.left, plot.right)

    colour, y = _colour(last), values.y(last.close)
    return frame.picture(
        top,
        frame.watermark(plot, picture.note),
        frame.value_axis(plot, values, picture.labels, keep_free=[y]),
        frame.time_axis(plot, times, picture.labels),
        _bodies(shown, values, times, interval),
        frame.tag(plot, y, picture.labels.amount(last.close), colour),
        *(
            frame.mark(
                plot,
                times.x(candle.begins_at + interval / 2),
                values.y(price),
                picture.labels.amount(price),
                above=above,
            )
            for candle, price, above in (
                (highest, highest.high, True),
                (lowest, lowest.low, False),
            )
            if highest.high != lowest.low
        ),
    )


def _bodies(
    candles: Iterable[Candle], values: ValueScale, times: TimeScale, interval: timedelta
) -> str:
    # One path per direction: painting takes as long as there are paths, not as they are long.
    room = times.x(times.begin + interval) - times.left
    half = min(max(room * _BODY_SHARE, _BODY_LEAST), _BODY_WIDEST) / 2
    risen: list[str] = []
    fallen: list[str] = []
    for candle in candles:
        x = times.x(candle.begins_at + interval / 2)
        (risen if _has_risen(candle) else fallen).append(_body(candle, values, x, half))
    looks = ((risen, theme.BACKGROUND, theme.RISEN), (fallen, theme.FALLEN, theme.FALLEN))
    return "".join(
        element(
            "path",
            d="".join(bodies),
            fill=fill,
            stroke=stroke,
            stroke_width=min(2.0, half),
            stroke_linejoin="round",
        )
        for bodies, fill, stroke in looks
        if bodies
    )


def _body(candle: Candle, values: ValueScale, x: float, half: float) -> str:
    top = values.y(max(candle.open, candle.close))
    bottom = values.y(min(candle.open, candle.close))
    if bottom - top < _BODY_LEAST:
        middle = (top + bottom) / 2
        top, bottom = middle - _BODY_LEAST / 2, middle + _BODY_LEAST / 2
    wick_x, left = number(x), number(x - half)
    return (
        f"M{wick_x} {number(values.y(candle.high))}V{number(top)}"
        f"M{wick_x} {number(bottom)}V{number(values.y(candle.low))}"
        f"M{left} {number(top)}h{number(2 * half)}V{number(bottom)}H{left}z"
    )


def _has_risen(candle: Candle) -> bool:
    return candle.close >= candle.open


def _colour(candle: Candle) -> str:
    return theme.RISEN if _has_risen(candle) else theme.FALLEN
