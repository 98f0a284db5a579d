"""Connections to Redis by TLS.

The library would make a context for each connection, from what was in the file then; here all ask
one `Trust`, which follows the file.

A server must show a certificate for the name it was asked by. The nodes of a cluster are asked by
what they announce. Where that is a name it is the one; where it is an IP address, which hardly any
certificate holds, it is the name in the settings that each node must answer to: who may answer to
that name is believed anyhow.
"""

import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

from chassis.optional_imports import without
from chassis.server_certificates import Trust

with without("opentelemetry"):
    from redis.asyncio.connection import SSLConnection


FAREWELL_SECONDS: Final = 0.25
"""How long the end of a connection waits for the server's own: one that hangs would hold up
whoever closes it, and a process that ends, for seconds."""


class NoTls(Exception):  # noqa: N818 (it carries the reason past the library)
    """There is no TLS with a server; what it was made from says why."""


class CheckedConnection(SSLConnection):
    """A connection that believes whom we believe."""

    def __init__(self, *, trust: Trust, asked_host: str, **options: Any) -> None:
        super().__init__(**options)
        self._trust = trust
        self._asked_host = asked_host

    async def _connect(self) -> None:
        try:
            await super()._connect()  # type: ignore[no-untyped-call]  # the library
        except ssl.SSLError as error:
            # It is an OSError, of which the library keeps nothing but the text.
            raise NoTls from error

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {
            "host": self.host,
            "port": self.port,
            "ssl": self._trust.context(),
            "server_hostname": name_to_check(self.host, self._asked_host),
            "ssl_shutdown_timeout": FAREWELL_SECONDS,
        }


def checked(trust: Trust, asked_host: str) -> dict[str, Any]:
    """Give the options by which the library makes such connections."""
    return {"connection_class": CheckedConnection, "trust": trust, "asked_host": asked_host}


def name_to_check(host: str, asked_host: str) -> str:
    """Say whose certificate a server must show that is reached at `host`."""
    return asked_host if _is_address(host) and not _is_address(asked_host) else host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
