"""`python -m shard_operator describe`: who owns what, for whoever looks at three in the morning.

`postgres` reads placement, `backlog` (of the operator) the streams, `cluster` what the Kubernetes
API tells; `looking` asks all three at once and puts together what came, `picture` is what was seen
as values, `showing` makes a page of it. Nothing is written anywhere, and nothing but PostgreSQL
need be there: a part that is away is named, and what it would have told is unknown.
"""

from shard_operator.describing.arguments import add_verb

__all__ = ["add_verb"]
