"""What the ledger refuses, named after what the caller should do about it.

chassis.errors
├── CallerMistake
│   └── MalformedRequest   mend the named field; the same request again cannot help
├── NotFound
│   └── UnknownAssets      leave these assets out, or register them by a migration
├── Refused
│   ├── StaleClaim         drop the shard: another worker owns it now (raised by the fence)
│   ├── ShardMismatch      the user belongs to another shard: ask the directory anew
│   └── BooksRefused       the database itself refused the data: a person must look
├── LimitReached           ask for less, or later
└── TryAgain               the same may succeed later (raised by the chassis)

`chassis.grpc_calls` translates them at the door. What becomes of a single operation is no error
but an outcome (`ledger.domain.operations.Outcome`).
"""

from collections.abc import Sequence

from chassis.errors import NotFound, Refused


class UnknownAssets(NotFound):
    """Some assets are not in the registry."""

    def __init__(self, asset_ids: Sequence[str]) -> None:
        super().__init__(f"not in the asset registry: {', '.join(asset_ids)}")
        self.asset_ids = tuple(asset_ids)


class BooksRefused(Refused):
    """The database refused to write this request, and nothing of it was written."""

    reason = "BOOKS_REFUSED"
