"""Every knob of the ledger. Read once, in `main`, from `LEDGER_…` with `PURSER_…` as fallback."""

from typing import Annotated

import msgspec

from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings


class ApplySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds group commit."""

    apply_lanes: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    """Batches under way at once: while one waits for the disk the other decides. Each takes a
    connection."""

    apply_batch_requests_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500
    """Requests a lane takes at once."""

    apply_transaction_operations_max: Annotated[int, msgspec.Meta(ge=100, le=5_000)] = 1_000
    """Operations per transaction: some 100 ms, well below the second the role allows."""

    apply_queue_requests_max: Annotated[int, msgspec.Meta(ge=1)] = 2_000
    """Requests that may wait per lane; the next one is told RESOURCE_EXHAUSTED."""


class HousekeepingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What happens by itself."""

    expire_holds_every_seconds: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """How late an expired hold is given back at most, when nobody touches it before."""

    roll_up_every_seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """How often the entries of system accounts are added up."""

    registry_age_seconds_max: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """How old the remembered asset registry may be; it changes with a deployment only."""


class ReplicaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to read what may be old."""

    replica_database_url: Secret | None = None
    """A streaming replica of the database, as the same role. Unset: the primary serves all."""

    replica_connections_max: Annotated[int, msgspec.Meta(ge=1, le=200)] = 5
    """Per process, to the replica."""

    replica_age_seconds_max: Annotated[float, msgspec.Meta(ge=2, le=60)] = 5.0
    """How old what it tells may be: people look at their profit more seldom. A read looks up to a
    second older than it is."""

    replica_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """For each of connecting, a free connection and a statement; then the primary is asked, and the
    caller still waits."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's settings; what is not here is the chassis's."""

    postgres: PostgresSettings
    """The database, as the role `purser_ledger`."""

    server: ServerSettings
    """Where to listen."""

    telemetry: TelemetrySettings
    """What to say about itself, and where."""

    applying: ApplySettings = ApplySettings()
    """Group commit."""

    replica: ReplicaSettings = ReplicaSettings()
    """Where to read what may be old."""

    housekeeping: HousekeepingSettings = HousekeepingSettings()
    """What happens by itself."""
