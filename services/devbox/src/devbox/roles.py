"""The services' database roles, and the address each of them uses.

Apart from `devbox.database`, which needs a driver: the run plans its processes before it imports
one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

ROLES = (
    "purser_operator",
    "purser_gateway",
    "purser_worker",
    "purser_pricing",
    "purser_venue",
    "purser_wallet",
    "purser_ledger",
    "purser_user_mover",
)


@dataclass(frozen=True, slots=True)
class Database:
    """The addresses of one database, each with its password in it: never log them."""

    owner_url: str = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)

    def url(self, role: str) -> str:
        """Give the address for one of `ROLES`."""
        parts = urlsplit(self.owner_url)
        place = parts.netloc.rpartition("@")[2]
        login = f"{quote(role)}:{quote(self.passwords[role], safe='')}"
        return parts._replace(netloc=f"{login}@{place}").geturl()
