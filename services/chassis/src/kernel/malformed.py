"""The one error of the kernel: text that is not what it was handed in as.

Malformed (a ValueError)
├── MalformedIdentifier     kernel.identifiers
├── MalformedPool           kernel.sharding
├── MalformedShard          kernel.sharding
├── MalformedAmount         kernel.money
├── MalformedAssetId        kernel.money
└── MalformedName           kernel.names

The message says what is expected and never repeats the text itself, which may be long, hostile or
secret; so a door may show it to whoever sent the text (`chassis.grpc_calls` answers
INVALID_ARGUMENT with it).
"""


class Malformed(ValueError):  # noqa: N818 (named after what is wrong, like the rest of the tree)
    """Text or a number is not what it was handed in as; sending the same again cannot help."""
