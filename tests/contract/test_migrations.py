"""A migration leaves the version before working: it runs on while the next one comes.

Everything of a release before is still at work when the migrations of the next one have been
applied: its pods are replaced one by one, and go on if the next one is taken back. So a new file
may add and may widen; what takes away or narrows what the version before reads or writes is done a
release later, or carries a reason why nobody notices, on the line before the statement:

    -- Compatible: the version before never reads this index.
    DROP INDEX gateway.inbox_done;

Files numbered up to `BEFORE_THE_FIRST_RELEASE` were never under an older release and are left as
they are. `tests/e2e/test_upgrade.py` runs the version before on today's schema.
"""

import re
from collections.abc import Iterator

import pytest

from chassis.migrations import folder_of, read_folder
from devbox.database import ROOMS

BEFORE_THE_FIRST_RELEASE = {
    "placement": 3,
    "gateway": 5,
    "worker": 9,
    "pricing": 3,
    "wallet": 2,
    "ledger": 3,
}
REASON = re.compile(r"^-- Compatible: \S+ \S+ .*\.$")
"""At least a few words, and a whole sentence."""

_NAME = r"[\w.\"]+"
# In one go: a string may hold what looks like a comment, and a comment an apostrophe.
_NO_STATEMENT = re.compile(
    r"(?P<body>(\$\w*\$).*?\2)|(?P<string>'(?:[^']|'')*')|(?P<comment>--[^\n]*)", re.DOTALL
)
_REASONED = "\0"
"""Stands for a reason where the comments are taken out."""


def _sql(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


BREAKING = {
    "drops what the version before may use or name": _sql(
        r"\bDROP\s+(?!NOT\s+NULL\b|DEFAULT\b|TRIGGER\b)"
    ),
    "drops a default that the version before may leave to it": _sql(r"\bDROP\s+DEFAULT\b"),
    "drops a trigger that the version before may rest on": _sql(r"\bDROP\s+TRIGGER\b"),
    "renames what the version before uses": _sql(r"\bRENAME\b"),
    "moves what the version before uses": _sql(r"\bSET\s+SCHEMA\b"),
    "changes the type of a column": _sql(r"\bALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET\s+DATA\s+)?TYPE\b"),
    "changes a type": _sql(r"\bALTER\s+TYPE\b"),
    "requires a value that the version before may not write": _sql(r"\bSET\s+NOT\s+NULL\b"),
    "adds a rule to a table that the version before writes": _sql(
        rf"\bADD\s+(?:CONSTRAINT\s+{_NAME}\s+)?(?:CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE|NOT\s+NULL)\b"
    ),
    "makes something unique that the version before may double": _sql(
        r"\bCREATE\s+UNIQUE\s+INDEX\b"
    ),
    "takes a right away from a role": _sql(r"\bREVOKE\b(?!.*\bFUNCTIONS?\b.*\bFROM\s+PUBLIC\b)"),
    "holds everybody up": _sql(r"\b(?:LOCK\s+TABLE|VACUUM\s+FULL|CLUSTER|TRUNCATE)\b"),
}
_ADDED_COLUMN = _sql(
    r"\bADD\s+(?:COLUMN\s+)?(?:IF\s+NOT\s+EXISTS\s+)?"
    r"(?!CONSTRAINT\b|CHECK\b|UNIQUE\b|PRIMARY\b|FOREIGN\b|EXCLUDE\b|NOT\s)[^,]*"
)
_REQUIRED = _sql(r"\bNOT\s+NULL\b")
_FILLED = _sql(r"\b(?:DEFAULT|GENERATED)\b")
# The comma of numeric(56, 18) ends no column.
_PARENTHESES = re.compile(r"\([^()]*\)")
_CREATED_TABLE = _sql(rf"\bCREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?({_NAME})")
_ALTERED_TABLE = _sql(rf"\b(?:ALTER\s+TABLE\s+(?:ONLY\s+)?|ON\s+)({_NAME})")


def breaches(sql: str) -> Iterator[str]:
    """What a migration does to the version before without a reason, statement by statement."""
    plain = _NO_STATEMENT.sub(_neutral, sql)
    made_here = {name.lower() for name in _CREATED_TABLE.findall(plain)}
    for statement in plain.split(";"):
        table = _ALTERED_TABLE.search(statement)
        if _REASONED in statement or (table is not None and table[1].lower() in made_here):
            continue
        shown = " ".join(statement.split())[:80]
        for what, pattern in BREAKING.items():
            if pattern.search(statement):
                yield f"{what}: {shown}"
        for column in _ADDED_COLUMN.findall(_PARENTHESES.sub("()", statement)):
            if _REQUIRED.search(column) and not _FILLED.search(column):
                yield f"requires a value that the version before does not write: {shown}"


def _neutral(found: re.Match[str]) -> str:
    """What a function's body, a string or a comment says is no statement of the migration."""
    if found["comment"] is None:
        return "''"
    return _REASONED if REASON.match(found["comment"]) else ""


def test_rooms_are_all_there() -> None:
    """A new room's first file is its own affair; its later ones are checked."""
    assert BEFORE_THE_FIRST_RELEASE.keys() == ROOMS.keys()


@pytest.mark.parametrize(("room", "package"), ROOMS.items())
def test_new_migrations_leave_the_version_before_working(room: str, package: str) -> None:
    """Or say why nobody notices."""
    wrong = [
        f"{migration.number:04d}_{migration.name}.sql {what}"
        for migration in read_folder(folder_of(package))
        if migration.number > BEFORE_THE_FIRST_RELEASE[room]
        for what in breaches(migration.sql)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE worker.orders;",
        "ALTER TABLE worker.orders DROP COLUMN state;",
        "ALTER TABLE worker.orders DROP state;",
        "DROP FUNCTION placement.fence;",
        "DROP INDEX gateway.inbox_done;",
        "ALTER TABLE worker.orders RENAME COLUMN state TO status;",
        "ALTER TABLE worker.orders RENAME TO trades;",
        "ALTER TABLE worker.orders ALTER COLUMN state TYPE smallint USING 1;",
        "ALTER TABLE worker.orders ALTER state SET DATA TYPE smallint;",
        "ALTER TYPE worker.state RENAME VALUE 'a' TO 'b';",
        "ALTER TABLE worker.orders ALTER COLUMN note SET NOT NULL;",
        "ALTER TABLE worker.orders ADD COLUMN note text NOT NULL;",
        "ALTER TABLE worker.orders ADD note text NOT NULL;",
        "ALTER TABLE worker.orders ADD COLUMN n numeric(56, 18) NOT NULL;",
        "ALTER TABLE worker.orders ADD COLUMN a text, ADD COLUMN b text NOT NULL;",
        "ALTER TABLE worker.orders ADD CONSTRAINT c CHECK (spent > 0);",
        "ALTER TABLE worker.orders ADD UNIQUE (user_id);",
        "ALTER TABLE worker.orders ALTER COLUMN at DROP DEFAULT;",
        "CREATE UNIQUE INDEX one ON worker.orders (user_id);",
        "DROP TRIGGER t ON worker.orders;",
        "REVOKE UPDATE ON worker.orders FROM purser_worker;",
        "REVOKE EXECUTE ON FUNCTION placement.fence FROM purser_store;",
        "LOCK TABLE worker.orders;",
        "-- Compatible: no.\nDROP TABLE worker.orders;",
        "-- The version before is gone.\nDROP TABLE worker.orders;",
        "-- Compatible: a reason for another statement.\nSELECT 2; DROP TABLE worker.orders;",
        "ALTER TABLE venue.orders DROP CONSTRAINT orders_key;",
        "CREATE TABLE worker.a (b text); DROP TABLE worker.orders;",
    ],
)
def test_what_would_break_the_version_before_is_found(sql: str) -> None:
    """Each in the form in which it is usually written."""
    assert list(breaches(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE worker.orders ADD COLUMN note text;",
        "ALTER TABLE worker.orders ADD COLUMN n integer NOT NULL DEFAULT 0;",
        "ALTER TABLE worker.events ALTER COLUMN order_id DROP NOT NULL;",
        "CREATE TABLE worker.a (b text NOT NULL UNIQUE); CREATE UNIQUE INDEX i ON worker.a (b);",
        "CREATE TABLE worker.a (b text); ALTER TABLE worker.a ADD CHECK (b <> '');",
        "CREATE FUNCTION worker.f() RETURNS void LANGUAGE sql AS $$ DROP TABLE t; SELECT 1 $$;",
        "CREATE OR REPLACE FUNCTION worker.f() RETURNS void LANGUAGE sql RETURN 1;",
        "REVOKE ALL ON FUNCTION worker.f FROM PUBLIC;",
        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA worker FROM PUBLIC;",
        "COMMENT ON TABLE worker.orders IS 'DROP TABLE; RENAME';",
        "-- Nothing to DROP here; nor to RENAME.\nSELECT 1;",
        "-- Compatible: the version before never reads it.\nDROP INDEX gateway.inbox_done;",
        "CREATE INDEX i ON worker.orders (user_id); GRANT SELECT ON worker.orders TO purser_store;",
    ],
)
def test_what_adds_or_widens_is_let_be(sql: str) -> None:
    """Else people would get used to giving reasons."""
    assert list(breaches(sql)) == []
