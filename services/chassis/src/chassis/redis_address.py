"""Where Redis is, whether it is a cluster, and whether it is asked by TLS: read from one address.

`redis://` and `rediss://` are one server (the second speaks TLS), `redis+cluster://` and
`rediss+cluster://` name a node of a cluster. Nothing may stand after `?` but `db`: the library
would let an address overrule every setting there, down to whether a certificate is checked.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chassis.errors import CannotStart
from chassis.optional_imports import without

with without("opentelemetry"):
    from redis.asyncio.connection import SSLConnection, parse_url

_CLUSTER = "+cluster"
_LOOKS = (
    "REDIS_URL must look like redis://host:port/0 (or rediss://, unix://), of a cluster "
    "like redis+cluster://host:port (or rediss+cluster://)."
)
_TLS_IS_NO_CHOICE = (
    "REDIS_URL must not say ssl…: with rediss:// the server's certificate and name are checked "
    "always, and REDIS_CA_FILE names the authority where it is not one that the machine knows."
)
_SETTINGS_ARE_ELSEWHERE = (
    "REDIS_URL may have nothing but db after its question mark: a password with one in it is "
    "written with %3F, and everything else is a setting (REDIS_…)."
)
_FOR_NOTHING = (
    "REDIS_CA_FILE is set, and REDIS_URL does not ask for TLS: it must begin with rediss:// "
    "(of a cluster rediss+cluster://), or the file be taken away."
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address, read."""

    options: dict[str, Any] = field(repr=False)
    """As the library takes it apart. They hold the password."""
    is_cluster: bool
    is_tls: bool

    @property
    def host(self) -> str:
        """The name that was asked for."""
        return str(self.options.get("host", "localhost"))


def read_address(text: str, *, is_cluster: bool, authority: Path | None) -> RedisAddress:
    """Read an address; raises CannotStart with one sentence that does not show it."""
    scheme, _, rest = text.partition("://")
    is_cluster = is_cluster or scheme.endswith(_CLUSTER)
    url = f"{scheme.removesuffix(_CLUSTER)}://{rest}"
    try:
        asked = set(parse_qs(urlsplit(url).query, keep_blank_values=True))
        if any(word.startswith("ssl") for word in asked):
            raise CannotStart(_TLS_IS_NO_CHOICE)
        if asked - {"db"}:
            raise CannotStart(_SETTINGS_ARE_ELSEWHERE)
        options = dict(parse_url(url))
    except ValueError:
        raise CannotStart(_LOOKS) from None
    if is_tls := options.get("connection_class") is SSLConnection:
        del options["connection_class"]  # ours take its place
    if authority is not None and not is_tls:
        raise CannotStart(_FOR_NOTHING)
    if is_cluster and ("host" not in options or options.get("db")):
        raise CannotStart(_LOOKS)
    return RedisAddress(options, is_cluster, is_tls)
