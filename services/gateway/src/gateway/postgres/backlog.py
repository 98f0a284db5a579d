"""How much waits: of one user, and of a shard.

A user's jobs end in their order, so what waits of them is what came last, and whether so many wait
is one look at the job that many places back, never a count. `places` takes it while the user's row
is locked, so no gateway adds to it meanwhile.

A shard's backlog is counted in its index, up to the bound and no further, and the count is good for
a moment: `LOOK_SECONDS`, or until this gateway has accepted a `LOOK_SHARE` of the bound since. So a
shard that fills up ends above its bound by at most that share and a batch for each gateway.
"""

import math
import time
from collections.abc import Collection
from dataclasses import dataclass

from chassis.postgres import Connection
from kernel.sharding import ShardKey

LOOK_SECONDS = 0.5
"""How long a count is good for; so long a shard that has caught up goes on refusing."""

LOOK_SHARE = 0.05
"""What may be accepted on one count, as a part of the bound."""

KNOWN_SHARDS_MAX = 10_000
"""Counts kept, some 300 bytes each; then those that are no longer good are dropped."""

_COUNT = """
SELECT s.pool, s.shard, (
    SELECT count(*) FROM (
        SELECT FROM gateway.inbox i
        WHERE i.pool = s.pool AND i.shard = s.shard AND i.done_at IS NULL LIMIT $3
    ) AS undone
) AS jobs
FROM unnest($1::text[], $2::integer[]) AS s (pool, shard)
"""


@dataclass(frozen=True, slots=True)
class BacklogLimits:
    """How much may wait."""

    user_jobs_max: int
    user_urgent_jobs_max: int
    """Urgent ones on top of all others, whatever waits in the shard."""
    shard_jobs_max: int
    rush_seconds: float
    """Who was refused and is refused again within this time is not told again."""


@dataclass(slots=True)
class _Count:
    """What was seen in a shard, and what this gateway has accepted since."""

    jobs: int = 0
    at: float = -math.inf
    accepted: int = 0


class ShardBacklogs:
    """How much more each shard takes."""

    def __init__(self, jobs_max: int) -> None:
        self._jobs_max = jobs_max
        self._counts: dict[ShardKey, _Count] = {}

    async def look(self, connection: Connection, shards: Collection[ShardKey]) -> None:
        """Count those of the shards whose count is no longer good."""
        now = time.monotonic()
        due = [shard for shard in shards if not self._is_good(shard, now)]
        if not due:
            return
        for row in await connection.fetch(
            _COUNT, [key.pool for key in due], [key.shard for key in due], self._jobs_max
        ):
            self._counts[ShardKey(row["pool"], row["shard"])] = _Count(row["jobs"], now)
        if len(self._counts) > KNOWN_SHARDS_MAX:
            self._counts = {s: c for s, c in self._counts.items() if self._is_good(s, now)}

    def take(self, shard: ShardKey, jobs: int) -> int:
        """Take room for so many jobs in a shard that was looked at; how many there is room for.

        What then is not accepted is given back by the next look.
        """
        count = self._counts[shard]
        taken = max(0, min(jobs, self._jobs_max - count.jobs - count.accepted))
        count.accepted += taken
        return taken

    def _is_good(self, shard: ShardKey, now: float) -> bool:
        count = self._counts.get(shard)
        if count is None or now - count.at > LOOK_SECONDS:
            return False
        return count.accepted < self._jobs_max * LOOK_SHARE
