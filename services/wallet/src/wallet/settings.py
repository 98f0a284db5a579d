"""Every knob of wallet. Read once, in `main`, from `WALLET_…` with `PURSER_…` as fallback."""

from pathlib import Path

import msgspec

from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.telemetry import TelemetrySettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Wallet's settings."""

    key_encryption_key_file: Path
    """The file with the key that wraps every data key: 32 bytes in base64, mode 0600 or stricter,
    or readable by this process's own group where it is root's, as kubelet mounts a Secret.

    No default: a guessed place could hide that the right file is missing. A file rather than a
    variable, because the environment of a process is shown in too many places.
    """

    postgres: PostgresSettings
    """The database, as the role `purser_wallet`."""

    server: ServerSettings
    """Where to listen."""

    telemetry: TelemetrySettings
    """What to say about itself, and where."""
