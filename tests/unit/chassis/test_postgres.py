"""Failures of PostgreSQL are named after what the caller should do."""

# ruff: noqa: D103 (a test's name is its claim)

from pathlib import Path

import asyncpg
import pytest

from chassis.errors import CannotStart, StaleClaim, TryAgain
from chassis.migrations import folder_of, read_folder
from chassis.postgres import translate


def _error(sqlstate: str) -> BaseException:
    return asyncpg.PostgresError.new({"C": sqlstate, "M": "with postgresql://u:hidden@db in it"})


@pytest.mark.parametrize(
    "sqlstate",
    [
        *("40001", "40P01", "55P03", "57014", "57P01", "57P03", "25P04", "25006", "08006"),
        *("53100", "53200", "53300", "28000", "28P01"),
    ],
)
def test_what_is_nobodys_mistake_says_try_again_and_quotes_nothing(sqlstate: str) -> None:
    translated = translate(_error(sqlstate))
    assert isinstance(translated, TryAgain)
    assert "hidden" not in str(translated)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "refused"),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("pool is closing"),
    ],
)
def test_a_lost_connection_says_try_again(error: BaseException) -> None:
    assert isinstance(translate(error), TryAgain)


def test_the_fences_refusal_is_a_stale_claim() -> None:
    translated = translate(_error("PF001"))
    assert isinstance(translated, StaleClaim)
    assert translated.reason == "STALE_EPOCH"


@pytest.mark.parametrize("sqlstate", ["23505", "22001", "42P01", "PF002"])
def test_what_concerns_the_data_or_the_code_stays_what_it_is(sqlstate: str) -> None:
    error = _error(sqlstate)
    assert translate(error) is error


def test_misuse_of_a_connection_stays_what_it_is() -> None:
    error = asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
    assert translate(error) is error


def _write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text("SELECT 1;")
    return folder


def test_migrations_are_read_in_order(tmp_path: Path) -> None:
    _write(tmp_path, "0002_second.sql", "0001_first.sql")
    (tmp_path / "README.md").write_text("not a migration")
    assert [(m.number, m.name) for m in read_folder(tmp_path)] == [(1, "first"), (2, "second")]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["0002_second.sql"], "should be number 0001"),
        (["0001_first.sql", "0003_third.sql"], "should be number 0002"),
        (["0001_first.sql", "0001_other.sql"], "should be number 0002"),
        (["1_first.sql"], "is not named like"),
        (["0001_First.sql"], "is not named like"),
        ([], "holds no migrations"),
    ],
)
def test_a_folder_out_of_order_is_refused_in_a_sentence(
    tmp_path: Path, names: list[str], sentence: str
) -> None:
    with pytest.raises(CannotStart, match=sentence):
        read_folder(_write(tmp_path, *names))


def test_the_migrations_of_a_package_are_found_without_importing_it() -> None:
    import sys

    before = set(sys.modules)
    assert (folder_of("shard_operator") / "0001_placement.sql").is_file()
    assert "shard_operator" not in set(sys.modules) - before


def test_a_package_without_migrations_is_named() -> None:
    with pytest.raises(CannotStart, match="chassis"):
        folder_of("chassis")
    with pytest.raises(CannotStart, match="nowhere"):
        folder_of("nowhere")
