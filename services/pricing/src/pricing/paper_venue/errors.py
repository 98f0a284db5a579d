"""What the paper venue refuses, named after what the caller should do about it.

chassis.errors
├── CallerMistake
│   └── MalformedRequest   mend the named field; the same request again cannot help
├── AlreadyExists
│   └── AnotherOrder       the id stands for another order: never reuse an id
├── Refused
│   ├── StaleClaim         drop the shard: another worker owns it now (raised by the fence)
│   └── ShardMismatch      the user, or the order, belongs to another shard: ask the directory anew
├── TryAgain
│   └── NoPrice            nothing was decided: submit again, or inquire
└── CannotStart
    └── MalformedVenue     mend the setting PRICING_VENUE_INSTRUMENTS

An order that is not executed is no error: its outcome says so, and stays. `chassis.grpc_calls`
translates these at the door.
"""

from chassis.errors import AlreadyExists, CannotStart, TryAgain


class AnotherOrder(AlreadyExists):
    """The order id was sent before with other fields."""

    reason = "ANOTHER_ORDER"


class NoPrice(TryAgain):
    """There is no price in the venue's currency now."""


class MalformedVenue(CannotStart):
    """What the venue trades is described in a way nobody can read."""
