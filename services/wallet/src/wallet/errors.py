"""What wallet refuses, named after what the caller should do about it. None holds key material.

chassis.errors
├── CallerMistake
│   └── MalformedRequest   mend the named field; the same request again cannot help
├── Refused
│   ├── StaleClaim         drop the shard: another worker owns it now (raised by the fence)
│   └── ShardMismatch      the user belongs to another shard: ask the directory anew
└── CannotStart            read the sentence, do what it says, start again
    ├── KeyFileRefused     the key-encryption key's file is missing, open to others or malformed
    ├── WrongKey           it is not the key this database's wallets are sealed under
    └── CannotHarden       the operating system would let the process be dumped
Exception
└── CannotUnwrap           what was sealed does not open: another key, or changed rows

`chassis.grpc_calls` translates them at the door.
"""

from chassis.errors import CannotStart


class KeyFileRefused(CannotStart):
    """The key-encryption key's file cannot be used as it is."""


class WrongKey(CannotStart):
    """The key-encryption key is not the one this database's wallets are sealed under."""


class CannotHarden(CannotStart):
    """The operating system would let the process be dumped."""


class CannotUnwrap(Exception):  # noqa: N818 (named like its neighbours)
    """What was wrapped does not open with the key `key_id`."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"cannot be opened with the key-encryption key {key_id}")
        self.key_id = key_id
