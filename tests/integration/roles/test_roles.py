"""Each room's database role tries what it must not do, in every schema there is.

What is tried comes from the catalog: a table, a column, a sequence or a function that a later
migration makes is tried too, and is refused or named here.
"""

# ruff: noqa: S608 (the names in the statements are the catalog's)

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import asyncpg
import pytest

from devbox.database import ROLES, Database

HOMES = {
    "purser_gateway": "gateway",
    "purser_worker": "worker",
    "purser_pricing": "pricing",
    "purser_venue": "venue",
    "purser_wallet": "wallet",
    "purser_ledger": "ledger",
}
"""Whose schema is whose. `placement` is shared, and the operator and the mover have none."""

SHARED = {"public.purser_migrations": {"SELECT"}}
ABROAD = {
    "purser_operator": {
        "placement.pools": {"SELECT", "INSERT", "UPDATE"},
        "placement.workers": {"SELECT"},
        "placement.shards": {"SELECT"},
    },
    "purser_gateway": {"placement.pools": {"SELECT"}},
    "purser_worker": {
        "placement.pools": {"SELECT"},
        "placement.workers": {"SELECT"},
        "placement.shards": {"SELECT"},
    },
    "purser_user_mover": {
        "placement.pools": {"SELECT"},
        "placement.shards": {"SELECT"},
        "gateway.users": {"SELECT"},
        "gateway.shards": {"SELECT", "INSERT"},
        "gateway.invitations": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    },
}
"""What a role may do outside its own schema; a right to some columns counts."""

FENCE = {"placement.fence", "placement.fence_batch"}
MAKE_SHARDS = {"placement.ensure_shard", "placement.tell_users"}
OWN_SHARDS = {
    "placement.claim_shard",
    "placement.deregister_worker",
    "placement.drain_worker",
    "placement.heartbeat",
    "placement.register_worker",
    "placement.register_worker_again",
    "placement.release_shard",
}
MOVE_USERS = {f"{schema}.move_users" for schema in HOMES.values()} - {"pricing.move_users"}
WITH_THE_OWNERS_RIGHTS = {
    "purser_operator": {"placement.assign_shard", "placement.forget_workers"},
    "purser_gateway": FENCE | MAKE_SHARDS,
    "purser_worker": FENCE | OWN_SHARDS,
    "purser_pricing": {"pricing.forget_candles"},
    "purser_venue": FENCE,
    "purser_wallet": FENCE,
    "purser_ledger": FENCE,
    "purser_user_mover": MOVE_USERS
    | MAKE_SHARDS
    | {"placement.lock_shards", "gateway.lock_to_move"},
}
"""Which SECURITY DEFINER functions a role may call: each is a right it does not have itself."""

GROUPS = {"purser_store", "purser_shard_owner", "purser_shard_maker"}
"""What a role may belong to: none of PostgreSQL's own, which reach files and other sessions."""

ON_THE_SERVER = (
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_reload_conf()",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY public.purser_migrations FROM PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/purser-role-was-here'",
    "ALTER SYSTEM SET fsync = off",
    "SET session_replication_role = replica",
    "SET SESSION AUTHORIZATION purser_owner",
    "SET ROLE purser_owner",
    "CREATE ROLE purser_mine",
    "CREATE DATABASE mine",
    "CREATE SCHEMA mine",
    "CREATE TABLE public.mine ()",
    "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION pg_catalog.now()",
    "CREATE PUBLICATION mine FOR ALL TABLES",
    "DELETE FROM public.purser_migrations",
    "DROP TABLE public.purser_migrations",
)

RELATIONS = """
    SELECT n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS name, c.relkind AS kind,
           array(SELECT quote_ident(attname) FROM pg_attribute
                 WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY name
"""
DEFINERS = """
    SELECT format('%I.%I', n.nspname, p.proname) AS name, p.proconfig AS settings,
           array(SELECT format_type(type, NULL) FROM unnest(p.proargtypes) AS type) AS types
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prosecdef AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY name
"""
MEMBERSHIPS = """
    SELECT rolname, pg_has_role($1, oid, 'MEMBER') AS is_member FROM pg_roles
    WHERE rolname <> $1
"""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What there is to try."""

    relations: list[asyncpg.Record]
    definers: list[asyncpg.Record]


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection that may do everything."""
    connection = await asyncpg.connect(database.owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def catalog(owner: asyncpg.Connection) -> Catalog:
    """What the migrations made."""
    return Catalog(await owner.fetch(RELATIONS), await owner.fetch(DEFINERS))


def _uses(relation: asyncpg.Record) -> Iterator[tuple[str, str]]:
    """Give privileges and statements that need them; none would change a row if it were let."""
    name = relation["name"]
    if relation["kind"] == b"S":
        yield "SELECT", f"SELECT * FROM {name}"
        yield "USAGE", f"SELECT nextval('{name}')"
        yield "UPDATE", f"SELECT setval('{name}', 1000000)"
        return
    yield "SELECT", f"SELECT count(*) FROM {name}"
    if relation["kind"] == b"v":
        return
    yield "INSERT", f"INSERT INTO {name} DEFAULT VALUES"
    yield "DELETE", f"DELETE FROM {name} WHERE false"
    for column in relation["columns"]:
        yield "UPDATE", f"UPDATE {name} SET {column} = DEFAULT WHERE false"


def _changes(relation: asyncpg.Record) -> Iterator[str]:
    """Give statements for an owner alone, also in the role's own schema."""
    name, kind = relation["name"], relation["kind"]
    yield f"DROP {'SEQUENCE' if kind == b'S' else 'VIEW' if kind == b'v' else 'TABLE'} {name}"
    if kind == b"r":
        yield f"TRUNCATE {name} CASCADE"
        yield f"ALTER TABLE {name} ADD COLUMN mine integer"
        yield f"ALTER TABLE {name} DISABLE TRIGGER ALL"
        yield f"CREATE INDEX mine ON {name} ((1))"


def _forbidden(role: str, catalog: Catalog) -> Iterator[str]:
    yield from ON_THE_SERVER
    allowed = SHARED | ABROAD.get(role, {})
    for relation in catalog.relations:
        yield from _changes(relation)
        if relation["schema"] == HOMES.get(role):
            continue
        for privilege, statement in _uses(relation):
            if privilege not in allowed.get(relation["name"], set()):
                yield statement
    for schema in sorted({relation["schema"] for relation in catalog.relations}):
        yield f"CREATE TABLE {schema}.mine ()"
        yield f"CREATE FUNCTION {schema}.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'"
    for function in catalog.definers:
        if function["name"] not in WITH_THE_OWNERS_RIGHTS[role]:
            # Constants would be looked at before the right to call.
            names = [f"a{number}" for number in range(len(function["types"]))]
            nulls = [
                f"NULL::{kind} AS {name}"
                for name, kind in zip(names, function["types"], strict=True)
            ]
            yield (
                f"WITH given AS MATERIALIZED (SELECT {', '.join(nulls)})"
                f" SELECT {function['name']}({', '.join(names)}) FROM given"
            )


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_can_do_no_more_than_its_room_must(
    role: str, database: Database, owner: asyncpg.Connection, catalog: Catalog
) -> None:
    """Not read or write another room's tables, make or change objects, be another, leave SQL."""
    memberships = await owner.fetch(MEMBERSHIPS, role)
    assert {row["rolname"] for row in memberships if row["is_member"]} <= GROUPS
    others = [row["rolname"] for row in memberships if not row["is_member"]]
    own_process = await owner.fetchval("SELECT pg_backend_pid()")
    statements = [
        *_forbidden(role, catalog),
        *(f'SET ROLE "{other}"' for other in others),
        *(f"GRANT {other} TO {role}" for other in ROLES if other != role),
        *(f"ALTER ROLE {other} CONNECTION LIMIT 0" for other in ROLES if other != role),
        f"SELECT pg_terminate_backend({own_process})",
    ]
    assert len(statements) > 400
    let = []
    connection = await asyncpg.connect(database.url(role))
    try:
        for statement in statements:
            try:
                await connection.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                continue
            except asyncpg.PostgresError as error:
                let.append(f"{statement}: {error}")
            else:
                let.append(statement)
    finally:
        await connection.close()
    assert [] == let


async def test_every_role_that_can_log_in_and_every_schema_is_tried(
    owner: asyncpg.Connection, catalog: Catalog
) -> None:
    """A new room's role belongs in `ROLES`, its schema in `HOMES`."""
    roles = await owner.fetch(
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname <> current_user"
    )
    assert set(ROLES) == {row["rolname"] for row in roles}
    schemas = {relation["schema"] for relation in catalog.relations}
    assert {*HOMES.values(), "placement", "public"} == schemas


async def test_what_is_allowed_abroad_is_still_granted(
    owner: asyncpg.Connection, catalog: Catalog
) -> None:
    """A right that was taken back must not stay named here, or it could come again unseen."""
    names = {relation["name"] for relation in catalog.relations}
    for role, relations in ABROAD.items():
        for relation, privileges in relations.items():
            assert relation in names
            for privilege in privileges:
                of = "table" if privilege == "DELETE" else "any_column"
                question = f"SELECT has_{of}_privilege($1, $2, $3)"
                assert await owner.fetchval(question, role, relation, privilege), (role, relation)
    functions = {function["name"] for function in catalog.definers}
    assert set().union(*WITH_THE_OWNERS_RIGHTS.values()) <= functions


async def test_functions_with_their_owners_rights_look_names_up_where_nobody_else_writes(
    catalog: Catalog,
) -> None:
    """Else a caller's temporary table or own operator would run as the owner."""
    assert catalog.definers
    for function in catalog.definers:
        assert "search_path=pg_catalog, pg_temp" in (function["settings"] or []), function["name"]
