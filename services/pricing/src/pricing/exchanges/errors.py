"""How a call to an exchange can end without prices, named after what to do about it.

chassis.errors.TryAgain
└── NoAnswer             another try may succeed, not within this step
    ├── Throttled        leave the exchange alone for `delay_seconds`
    ├── Garbled          what came is not what its documentation says
    └── PairUnlisted     one of the pairs is not traded there: find out which
"""

from chassis.errors import TryAgain

PAUSE_SECONDS_DEFAULT = 60.0
"""How long an exchange that says "too many" without a time is left alone."""
PAUSE_SECONDS_MAX = 3 * 24 * 3600.0
"""The longest ban Binance documents; whatever asks for more is not believed."""


class NoAnswer(TryAgain):
    """The exchange cannot be reached or cannot answer now."""

    outcome = "away"


class Throttled(NoAnswer):
    """The exchange wants to be left alone for a while."""

    outcome = "throttled"


class Garbled(NoAnswer):
    """The exchange answered something that cannot be read."""

    outcome = "garbled"


class PairUnlisted(NoAnswer):
    """The exchange refused the whole call because it does not trade one of the pairs."""

    outcome = "unlisted"


def pause_seconds(text: str | None) -> float:
    """Read a Retry-After header; nonsense, none, or a date gives the default."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        return PAUSE_SECONDS_DEFAULT
    return min(max(float(text), 1.0), PAUSE_SECONDS_MAX)
