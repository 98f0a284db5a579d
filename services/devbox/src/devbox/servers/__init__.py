"""The embedded servers: one door for the run and for the tests."""

from devbox.servers.postgresql import PostgresServer, embedded_postgres
from devbox.servers.valkey import ValkeyServer, embedded_valkey

__all__ = ["PostgresServer", "ValkeyServer", "embedded_postgres", "embedded_valkey"]
