"""Whom PostgreSQL is believed by, taken out of its address once for all connections of a pool.

The library reads the file that `sslrootcert` names anew for each connection, and keeps what it made
of it as long: with a bundle of all the world's authorities a megabyte, and a fortieth of a second
in which nobody else is served. What asks for anything but plain `verify-full` is left to it.
"""

from pathlib import Path
from urllib.parse import parse_qs

from chassis.server_certificates import NO_TLS, Trust, what_is_wrong

_TAKEN = frozenset({"sslmode", "sslrootcert"})
_SAYS_NO = "rejected SSL upgrade"
"""How the library words the server's answer to the question whether it speaks TLS."""


def without_trust(url: str) -> tuple[str, Trust | None]:
    """Give an address without what it says of certificates, and whom it says to believe.

    Raises NotYet when the file does not fit.
    """
    place, _, query = url.partition("?")
    asked = parse_qs(query)
    file = asked.get("sslrootcert", [""])[-1]
    others = {word for word in asked if word.startswith("ssl")} - _TAKEN
    if asked.get("sslmode", [""])[-1] != "verify-full" or not file or others:
        return url, None
    rest = "&".join(pair for pair in query.split("&") if pair.partition("=")[0] not in _TAKEN)
    return f"{place}?{rest}" if rest else place, Trust(Path(file))


def why_no_tls(error: BaseException) -> str | None:
    """Say in words without secrets why there is no TLS with a server; None: that is not why."""
    if isinstance(error, ConnectionError) and _SAYS_NO in str(error):
        return NO_TLS
    return what_is_wrong(error)
