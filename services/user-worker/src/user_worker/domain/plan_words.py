"""What users type for a plan, told apart. No I/O.

    $50 BTC daily   BTC $50 every 6 hours   0.001 btc weekly 10 times   $50 BTC jeden Tag 5x

How often and how many times is read and taken out; what is left is read as any order is.
"""

import re
from dataclasses import dataclass

PERIOD_SECONDS_MAX = 28 * 86_400
"""Four weeks."""
RUNS_MAX = 10_000
HOUR, DAY, WEEK = 3600, 86_400, 604_800

_WORDS = {
    "hourly": HOUR,
    "stündlich": HOUR,
    "daily": DAY,
    "täglich": DAY,
    "weekly": WEEK,
    "wöchentlich": WEEK,
}
_UNITS = {"s": 1, "m": 60, "h": HOUR, "d": DAY, "t": DAY, "w": WEEK}
"""By the first letter, in both languages; a `st` is an hour (Stunde)."""
_UNIT = (
    r"(?P<unit>sec(?:ond)?s?|sekunden?|min(?:ute)?[sn]?|hours?|stunden?|std|days?|tage?|weeks?"
    r"|wochen?|[smhdw])"
)
_EVERY = re.compile(
    rf"(?<!\S)(?:every|each|jede[nrs]?|alle)\s+(?:(?P<count>\d{{1,5}})\s*)?{_UNIT}(?!\S)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"(?<!\S)(?P<count>\d{1,5})(?P<unit>[smhdw])(?!\S)", re.IGNORECASE)
_WORD = re.compile(rf"(?<!\S)(?P<word>{'|'.join(_WORDS)})(?!\S)", re.IGNORECASE)
_TIMES = re.compile(r"(?<!\S)(?P<runs>\d{1,6})\s*-?(?:times|x|mal)(?!\S)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AskedPlan:
    """What was typed after /dca, told apart."""

    order: str
    """What is left: what to buy and for how much."""
    period_seconds: int | None
    """None when it was not said."""
    runs: int | None
    """None when it was not said: without an end."""


def read_plan(typed: str) -> AskedPlan:
    """Tell apart what was typed. Never raises."""
    text, runs, period = typed, None, None
    if found := _TIMES.search(text):
        runs, text = int(found["runs"]), _without(text, found)
    for pattern in (_EVERY, _WORD, _SHORT):
        found = pattern.search(text)
        period = None if found is None else _period_of(found)
        if found is not None and period is not None:
            text = _without(text, found)
            break
    return AskedPlan(" ".join(text.split()), period, runs)


def _period_of(found: "re.Match[str]") -> int | None:
    # A pattern that ignores case takes letters for ours that only look like them: U+017F for an s.
    parts = found.groupdict()
    if "word" in parts:
        return _WORDS.get(found["word"].lower())
    unit = found["unit"].lower()
    seconds = HOUR if unit.startswith("st") else _UNITS.get(unit[0])
    return None if seconds is None else int(found["count"] or 1) * seconds


def _without(text: str, found: "re.Match[str]") -> str:
    return f"{text[: found.start()]} {text[found.end() :]}"
