"""What the ledger refuses, named after what the caller should do about it.

chassis.errors
├── CallerMistake
│   └── MalformedRequest   mend the named field; the same request again cannot help
├── NotFound
│   └── UnknownAssets      leave these assets out, or register them by a migration
└── Refused
    ├── StaleClaim         drop the shard: another worker owns it now (raised by the fence)
    └── ShardMismatch      the user belongs to another shard: ask the directory anew

`chassis.grpc_calls` translates them at the door.
"""

from collections.abc import Sequence

from chassis.errors import CallerMistake, NotFound, Refused


class MalformedRequest(CallerMistake):
    """A field of the request is not what the contract says."""

    reason = "MALFORMED"

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field


class UnknownAssets(NotFound):
    """Some assets are not in the registry."""

    def __init__(self, asset_ids: Sequence[str]) -> None:
        super().__init__(f"not in the asset registry: {', '.join(asset_ids)}")
        self.asset_ids = tuple(asset_ids)


class ShardMismatch(Refused):
    """The claim is valid, and the user belongs to another shard."""

    reason = "SHARD_MISMATCH"
