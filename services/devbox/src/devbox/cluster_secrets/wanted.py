"""Which Secrets the chart mounts, and what is in them. Pure: values go in, values come out.

Everything else is derived from the Secret `purser-trial`: the addresses hold the passwords that are
in it, so it is made first and an existing one is used.
"""

import base64
import secrets
from collections.abc import Mapping
from urllib.parse import quote

from devbox.roles import ROLES
from devbox.servers.postgresql import OWNER

NAME = "purser"
TRIAL, AUTHORITY = f"{NAME}-trial", f"{NAME}-trial-ca"
PARTS = ("gateway", "user-worker", "pricing", "wallet", "ledger", "operator")
DATABASE = "purser"
POSTGRES, VALKEY = f"{NAME}-postgres:5432", f"{NAME}-valkey:6379"
SECRET_BYTES = 32

# Part -> key -> the role whose address it is.
ADDRESSES: Mapping[str, Mapping[str, str]] = {
    "gateway": {"database-url": "purser_gateway"},
    "user-worker": {"database-url": "purser_worker"},
    "pricing": {"database-url": "purser_pricing", "venue-database-url": "purser_venue"},
    "wallet": {"database-url": "purser_wallet"},
    "ledger": {"database-url": "purser_ledger"},
    "operator": {"database-url": "purser_operator"},
    "migrations": {"database-url": OWNER},
    # No part of the release: who invites or moves users has a pod for it (k8s/users-pod.yaml).
    "users": {"database-url": "purser_user_mover"},
}
WITH_REDIS = ("gateway", "user-worker", "pricing", "operator")


def certificate_secret(part: str) -> str:
    """Name the Secret of a part's certificate."""
    return f"{NAME}-{part}-tls"


def all_names() -> list[str]:
    """Every Secret, those first that others are derived from."""
    parts = [f"{NAME}-{part}" for part in ADDRESSES]
    return [TRIAL, AUTHORITY, *parts, *map(certificate_secret, PARTS)]


def make_trial() -> dict[str, str]:
    """Make the passwords of the servers and of each database role: 256 random bits each."""
    names = ("database-password", "redis-password", *ROLES)
    return {name: secrets.token_urlsafe(SECRET_BYTES) for name in names}


def make_part(part: str, trial: Mapping[str, str], bot_token: str) -> dict[str, str]:
    """Make what one part's Secret holds. Raises KeyError about a password `trial` lacks."""
    made = {key: _database_url(role, trial) for key, role in ADDRESSES[part].items()}
    if part in WITH_REDIS:
        made["redis-url"] = f"redis://:{quote(trial['redis-password'], safe='')}@{VALKEY}/0"
    if part == "gateway":
        made["bot-token"] = bot_token
        made["webhook-secret"] = secrets.token_urlsafe(SECRET_BYTES)
    if part == "wallet":
        made["key-encryption-key"] = base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    return made


def _database_url(role: str, trial: Mapping[str, str]) -> str:
    password = quote(trial["database-password" if role == OWNER else role], safe="")
    # The trial's PostgreSQL has no TLS; asking for it would cost a round trip per connection.
    return f"postgresql://{role}:{password}@{POSTGRES}/{DATABASE}?sslmode=disable"
