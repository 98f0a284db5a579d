"""What `describe` needs of the operator's settings, under the same names."""

from pathlib import Path

import msgspec

from chassis.postgres import PostgresSettings
from chassis.settings import Secret
from shard_operator.leadership import LeaseSettings

PREFIX = "OPERATOR"


class DescribeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the operator's settings: with those in the environment there is nothing to add."""

    postgres: PostgresSettings
    """The database; any role that may read `placement` will do."""

    redis_url: Secret | None = None
    """Where the streams are. Unset: the backlog is unknown."""

    redis_cluster: bool = False
    """Whether that is a cluster, also when its address does not say so."""

    redis_ca_file: Path | None = None
    """The authorities of its certificate, where the machine does not know them."""

    lease: LeaseSettings = LeaseSettings()
    """Which Lease the operators take turns at."""

    namespace: str = "default"
    """Of the Lease, and of a UserShard that is named without its namespace."""
