"""`python -m shard_operator after-restore`: make a restored database safe to serve from.

A dump is older than the world it is restored into. Workers have claimed shards since, so an epoch
that is new to this database may be one that a worker elsewhere still writes under, and two workers
with one epoch are what the fence exists to prevent. `postgres` raises every epoch far above any
that can have been given out, and forgets who owned what; `doing` says what came of it.
"""

from shard_operator.restoring.arguments import add_verb

__all__ = ["add_verb"]
