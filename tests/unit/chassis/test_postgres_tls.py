"""What is taken out of an address of PostgreSQL, and what is left to the library."""

# ruff: noqa: D103 (a test's name is its claim)

from pathlib import Path
from urllib.parse import quote

import pytest
from tests.fakes.authority import Authority, put_into

from chassis.errors import NotYet
from chassis.postgres_tls import without_trust

PLACE = "postgresql://role:pass%3Fword@one:1,two:2/name"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of an authority; its name needs quoting."""
    return put_into(tmp_path / "of us & them.crt", Authority().certificate)


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ("", "", ""),
        ("application_name=a%26b&", "", "?application_name=a%26b"),
        ("", "&target_session_attrs=any", "?target_session_attrs=any"),
    ],
)
def test_a_full_check_is_taken_out_and_nothing_else(
    before: str, after: str, left: str, file: Path
) -> None:
    asked = f"{before}sslrootcert={quote(str(file))}&sslmode=verify-full{after}"
    url, trust = without_trust(f"{PLACE}?{asked}")
    assert url == f"{PLACE}{left}"
    assert trust is not None
    assert trust.context().check_hostname


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "?sslmode=disable",
        "?sslmode=verify-full",
        "?sslmode=verify-ca&sslrootcert={file}",
        "?sslrootcert={file}",
        "?sslmode=verify-full&sslrootcert={file}&sslcert=/c&sslkey=/k",
        "?sslmode=verify-full&sslrootcert={file}&sslcrl=/revoked",
        "?sslmode=verify-full&sslrootcert={file}&sslnegotiation=direct",
    ],
)
def test_what_asks_for_anything_else_is_left_as_it_is(query: str, file: Path) -> None:
    url = PLACE + query.format(file=quote(str(file)))
    assert without_trust(url) == (url, None)


def test_a_file_that_is_not_there_may_come() -> None:
    with pytest.raises(NotYet, match="TLS cannot be used: /nowhere cannot be read"):
        without_trust(f"{PLACE}?sslmode=verify-full&sslrootcert=/nowhere")
