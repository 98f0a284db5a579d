"""The trace: what was recorded of one pool, as CSV. Pure.

The first line names the columns, in any order; every other line is a moment. An empty cell is
unknown, which is not 0. What cannot be meant is refused with its line, not guessed at.
"""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shard_operator.errors import MalformedTrace

ROWS_MAX = 1_000_000
"""A month at three seconds: more is a wrong file."""

LENGTH_SECONDS_MAX = 31 * 86_400
"""A month: the scaler is asked every few seconds of it."""

COUNT_MAX = 10**9
SECONDS_MAX = 10**10
"""Unix time ends here in the year 2286."""

COLUMNS = {
    "time_seconds": "when; rising, from anywhere (Unix time will do)",
    "backlog": "jobs waiting or running in the whole pool",
    "oldest_seconds": "age of the oldest of them",
    "shards_with_work": "shards with at least one job",
    "shards": "shards of the pool",
    "finished": "jobs that ended since the last line",
    "arrivals": "jobs accepted since the last line, to close the loop",
    "workers": "workers with a living lease",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One moment; times count from the first row. None is unknown."""

    seconds: float
    backlog: int | None = None
    oldest_seconds: float | None = None
    shards_with_work: int | None = None
    shards: int | None = None
    finished: int | None = None
    arrivals: int | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """Rows whose times rise; at least two."""

    rows: tuple[Row, ...]
    columns: frozenset[str]

    @property
    def seconds(self) -> float:
        """From the first row to the last."""
        return self.rows[-1].seconds

    @property
    def step_seconds(self) -> float:
        """The time between two rows, in the median."""
        steps = sorted(
            later.seconds - row.seconds
            for row, later in zip(self.rows, self.rows[1:], strict=False)
        )
        return steps[len(steps) // 2]

    def highest(self, column: str) -> int | None:
        """The highest value of a column; None when nothing of it is known."""
        values = [value for row in self.rows if (value := getattr(row, column)) is not None]
        return max(values, default=None)


def parse_trace(lines: Iterable[str]) -> Trace:
    """Read a file's lines. Raises `MalformedTrace`."""
    reader = csv.reader(lines)
    try:
        columns = _columns(next(reader, []))
        rows: list[Row] = []
        begin = 0.0
        for cells in reader:
            if not cells:
                continue
            if len(rows) >= ROWS_MAX:
                raise MalformedTrace(f"line {reader.line_num}: more than {ROWS_MAX:,} rows")
            values = _values(columns, cells, reader.line_num)
            moment = values.pop("time_seconds")
            if not rows:
                begin = moment
            elif moment - begin <= rows[-1].seconds:
                raise MalformedTrace(
                    f"line {reader.line_num}: time_seconds must rise, and {moment:.15g} does not"
                )
            if moment - begin > LENGTH_SECONDS_MAX:
                days = LENGTH_SECONDS_MAX // 86_400
                raise MalformedTrace(f"line {reader.line_num}: longer than {days} days")
            rows.append(_row(moment - begin, values))
    except csv.Error as error:
        raise MalformedTrace(f"line {reader.line_num}: {error}") from error
    if len(rows) < 2:
        raise MalformedTrace(f"a trace has at least two rows, this one has {len(rows)}")
    return Trace(tuple(rows), frozenset(columns))


def _columns(cells: Sequence[str]) -> list[str]:
    # A spreadsheet may begin the file with a byte order mark.
    names = [cell.strip().removeprefix("\ufeff") for cell in cells]
    known = ", ".join(COLUMNS)
    if unknown := [name for name in names if name not in COLUMNS]:
        raise MalformedTrace(f"line 1: {unknown[0][:40]!r} is no column; there are {known}")
    if len(set(names)) < len(names):
        raise MalformedTrace("line 1: a column is named twice")
    if "time_seconds" not in names or not {"backlog", "arrivals"} & set(names):
        raise MalformedTrace(
            "line 1: the columns must be named, time_seconds and one of backlog and arrivals"
            f" among them; there are {known}"
        )
    return names


def _values(columns: Sequence[str], cells: Sequence[str], line: int) -> dict[str, float]:
    if len(cells) != len(columns):
        raise MalformedTrace(f"line {line}: {len(cells)} cells for {len(columns)} columns")
    values = {}
    for name, cell in zip(columns, cells, strict=True):
        text = cell.strip()
        if not text and name != "time_seconds":
            continue
        is_time = name.endswith("_seconds")
        value = _number(text)
        bound = SECONDS_MAX if is_time else COUNT_MAX
        if value is None or not 0 <= value <= bound or not (is_time or value.is_integer()):
            kind = "a number" if is_time else "a whole number"
            raise MalformedTrace(
                f"line {line}: {name} must be {kind} from 0 to {bound:,}, not {text[:40]!r}"
            )
        values[name] = value
    return values


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _row(seconds: float, values: dict[str, float]) -> Row:
    oldest = values.pop("oldest_seconds", None)
    counts = {name: int(value) for name, value in values.items()}
    return Row(seconds=seconds, oldest_seconds=oldest, **counts)
