"""Every knob of the ledger. Read once, in `main`, from `LEDGER_…` with `PURSER_…` as fallback."""

import msgspec

from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.telemetry import TelemetrySettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's settings: all of them the chassis's."""

    postgres: PostgresSettings
    """The database, as the role `purser_ledger`."""

    server: ServerSettings
    """Where to listen."""

    telemetry: TelemetrySettings
    """What to say about itself, and where."""
