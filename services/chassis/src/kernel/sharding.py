"""How users are cut up: pools, the shards of a pool, and the claim under which a shard is written.

A pool is one UserShard, "<namespace>.<name>"; its name is part of every shard key, stream name,
table and message. Namespaces hold no dot, so the first dot separates the two parts. A shard is a
numbered bucket of a pool's users. A claim is a shard with the epoch its owner was given: the newest
one wins, every older one is refused by placement's fence. The values check themselves when made, so
that no key can be built from a pool nobody can have.
"""

import re
from dataclasses import dataclass
from typing import Protocol, Self

from kernel.malformed import Malformed

POOL_CHARACTERS_MIN = 3
POOL_CHARACTERS_MAX = 317
"""63 of a namespace, the dot, 253 of a UserShard's name: Kubernetes' own limits."""
SHARD_MAX = 2**31 - 1
"""PostgreSQL's integer."""
EPOCH_MAX = 2**63 - 1
"""PostgreSQL's bigint."""

_POOL = re.compile(r"[a-z0-9][a-z0-9.-]*[a-z0-9]")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class MalformedPool(Malformed):
    """Not the name of a pool."""


class MalformedShard(Malformed):
    """A shard's number or an epoch outside its range."""


def check_pool(text: str) -> str:
    """Return the name if a pool can have it; else raise MalformedPool."""
    if not POOL_CHARACTERS_MIN <= len(text) <= POOL_CHARACTERS_MAX or not _POOL.fullmatch(text):
        raise MalformedPool(
            f"expected a pool as {POOL_CHARACTERS_MIN} to {POOL_CHARACTERS_MAX} characters of "
            "a-z, 0-9, '.' and '-', beginning and ending with a letter or digit"
        )
    return text


def pool_name(namespace: str, name: str) -> str:
    """Name the pool of the UserShard `name` in `namespace`: "<namespace>.<name>"."""
    if not _NAMESPACE.fullmatch(namespace):
        raise MalformedPool("expected a namespace as a DNS label of at most 63 characters")
    return check_pool(f"{namespace}.{name}")


@dataclass(frozen=True, slots=True, order=True)
class ShardKey:
    """One shard. Raises MalformedPool or MalformedShard when it cannot exist."""

    pool: str
    shard: int

    def __post_init__(self) -> None:
        check_pool(self.pool)
        if not 0 <= self.shard <= SHARD_MAX:
            raise MalformedShard(f"expected a shard's number from 0 to {SHARD_MAX}")

    def __str__(self) -> str:
        return f"{self.pool}/{self.shard}"


class ClaimFields(Protocol):
    """Whatever holds a claim's three fields unchecked, such as a message."""

    @property
    def pool(self) -> str:
        """The pool's name, as sent."""
        ...

    @property
    def shard(self) -> int:
        """The shard's number, as sent."""
        ...

    @property
    def epoch(self) -> int:
        """The epoch, as sent."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """The right to write for one shard, as given with `epoch`.

    Epoch 0 is what a message without an epoch carries: it can be made, and every fence refuses it.
    """

    pool: str
    shard: int
    epoch: int

    def __post_init__(self) -> None:
        check_pool(self.pool)
        if not 0 <= self.shard <= SHARD_MAX:
            raise MalformedShard(f"expected a shard's number from 0 to {SHARD_MAX}")
        if not 0 <= self.epoch <= EPOCH_MAX:
            raise MalformedShard(f"expected an epoch from 0 to {EPOCH_MAX}")

    @classmethod
    def of(cls, fields: ClaimFields) -> Self:
        """Make the claim that `fields` describes. Raises MalformedPool or MalformedShard."""
        return cls(fields.pool, fields.shard, fields.epoch)

    @property
    def key(self) -> ShardKey:
        """The shard, whatever the epoch."""
        return ShardKey(self.pool, self.shard)

    def __str__(self) -> str:
        return f"{self.pool}/{self.shard}@{self.epoch}"
