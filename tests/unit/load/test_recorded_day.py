"""The day that scalers are compared on: reproducible, and with what days have."""

from statistics import mean

from tests.load.recorded_day import FILE, STEP_SECONDS, as_csv, make_day

from shard_operator.simulating.recorded import Row, parse_trace


def rate(rows: list[Row] | tuple[Row, ...]) -> float:
    """Jobs a second."""
    return mean(row.arrivals or 0 for row in rows) / STEP_SECONDS


def test_the_file_is_what_the_seed_makes() -> None:
    """Nobody has touched it, and everybody can make it again."""
    assert as_csv(make_day()) == FILE.read_text()
    assert make_day().rows == parse_trace(FILE.read_text().splitlines()).rows


def test_the_night_is_quiet_and_the_evening_is_not() -> None:
    """By a factor of five and more."""
    rows = make_day().rows
    hour = 3600 // STEP_SECONDS

    assert rate(rows[20 * hour : 22 * hour]) > 5 * rate(rows[2 * hour : 5 * hour])


def test_rushes_and_jumps_stand_out() -> None:
    """In some rows twice as many come as in the hour around them."""
    rows = make_day().rows[1:]
    hour = 3600 // STEP_SECONDS
    highest = max(
        rate(rows[n : n + 3]) / rate(rows[max(0, n - hour // 2) : n + hour // 2])
        for n in range(0, len(rows) - 3, 3)
    )

    assert highest > 2


def test_another_seed_is_another_day() -> None:
    """Of the same size."""
    one, other = make_day(seed=1), make_day(seed=2)

    assert one.rows != other.rows
    assert 0.9 < rate(one.rows) / rate(other.rows) < 1.1
