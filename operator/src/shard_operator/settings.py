"""Every knob of the operator. Read once, in `main`, from `OPERATOR_…` with `PURSER_…` as
fallback."""

from typing import Annotated

import msgspec

from chassis.postgres import PostgresSettings
from chassis.redis import RedisSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings
from shard_operator.leadership import LeaseSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's settings."""

    postgres: PostgresSettings
    """The database, as the role `purser_operator`."""

    redis: RedisSettings
    """Where the shards' streams are."""

    telemetry: TelemetrySettings
    """What to say about itself, and where."""

    lease: LeaseSettings = LeaseSettings()
    """The election among operators."""

    namespace: str = "default"
    """The namespace of the Lease: the operator's own. The chart sets it from the pod."""

    watch_namespaces: tuple[str, ...] = ()
    """Whose UserShards are served. Empty: those of `namespace` alone, which a Role suffices for.
    `*`: all of the cluster, which needs a ClusterRole."""

    health_address: str = "127.0.0.1:0"
    """`host:port` of `/livez` and `/readyz`; port 0 takes a free one. The chart opens it to
    kubelet."""

    watch_timeout_seconds: Annotated[int, msgspec.Meta(ge=5, le=3600)] = 60
    """After this the API server ends a watch and the next one begins; the client gives one up 10 s
    later. Without both a watch whose connection died in silence would freeze for ever."""

    relist_period_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0
    """How often UserShards are listed anew: a deletion during a gap between two watches brings no
    event."""

    stuck_after_seconds: Annotated[float, msgspec.Meta(ge=10, le=3600)] = 120.0
    """Without a finished pass for this long a leader is no longer alive to kubelet. Above every
    timeout a pass can meet with a dozen pools."""

    listen_database_url: Secret | None = None
    """The database past any transaction pooler, for LISTEN. Unset: `database_url`; where no
    notification comes through, the poll sees every change a little later."""
