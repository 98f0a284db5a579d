"""What helps the next decision about one pool and may be lost at any time. Pure.

A new leader begins with nothing and decides as well a little later: it sees another writer of the
count, or a shard that is not given up, only once it has looked for a while itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chassis.reminders import Reminders
from shard_operator.conditions import Overdue
from shard_operator.planning import ShardPlacement
from shard_operator.scaling import ScalingHistory
from shard_operator.usershard import UserShard, UserShardStatus
from shard_operator.workloads import OPERATOR_WRITER, WorkersObserved

CONTEST_HOLD_SECONDS = 300.0
"""How long another writer's count is left alone: long enough that two controllers do not saw."""

OVERDUE_AFTER_SECONDS = 10.0
"""Beyond the drain bound: a release and the look at it take their time."""


@dataclass(slots=True)
class PoolMemory:
    """Times are of one monotonic clock."""

    history: ScalingHistory = field(default_factory=ScalingHistory)
    counted: tuple[str, int] | None = None
    """The target's uid and the count it had when this loop last looked or wrote."""
    draining_to: int | None = None
    """The count that workers are being emptied for; told once."""
    last_scale_time: str | None = None
    written: UserShardStatus | None = None
    written_version: int | None = None
    written_at: float = 0.0
    forgot_at: float = 0.0
    logged: Reminders = field(default_factory=Reminders)
    """Problems that the log had lately: a poll every few seconds would fill it with them."""
    _contested_until: float = 0.0
    _contest: str = ""
    _asked_since: dict[int, tuple[str, float]] = field(default_factory=dict)
    """By shard that is asked of its living owner: the owner, and since when."""

    def status_before(self, user_shard: UserShard) -> UserShardStatus:
        """The status as it stands: ours, until the object that has it was read again."""
        if self.written is None:
            return user_shard.status
        if self.written_version is None or user_shard.version < self.written_version:
            return self.written
        return user_shard.status

    def note_count(self, workers: WorkersObserved | None, now: float) -> bool:
        """Compare the count with the one last seen or written; whether somebody else wrote one.

        Another operator is nobody else: one that lost the Lease may have had a last word.
        """
        before = self.counted
        self.counted = (workers.uid, workers.asked) if workers else None
        if workers is None or before is None or before[0] != workers.uid:
            return False
        if before[1] == workers.asked or workers.writer == OPERATOR_WRITER:
            return False
        self._contested_until = now + CONTEST_HOLD_SECONDS
        self._contest = (
            f"{workers.writer or 'somebody'} wrote {workers.asked} replicas where there were"
            f" {before[1]}; the count is left alone for {CONTEST_HOLD_SECONDS:.0f} s: remove the"
            " other writer"
        )
        return True

    def contested(self, now: float) -> str:
        """Who wrote which count, while that is left alone; else nothing."""
        return self._contest if now < self._contested_until else ""

    def note_asked(
        self, shards: Sequence[ShardPlacement], drain_timeout_seconds: float, now: float
    ) -> tuple[Overdue, ...]:
        """Remember since when shards are asked of their owners; those that should be free."""
        before = self._asked_since
        asked = {
            shard.shard: shard.owner
            for shard in shards
            if shard.owner is not None and shard.desired not in (None, shard.owner)
        }
        self._asked_since = {
            shard: before[shard] if shard in before and before[shard][0] == owner else (owner, now)
            for shard, owner in asked.items()
        }
        bound = drain_timeout_seconds + OVERDUE_AFTER_SECONDS
        return tuple(
            Overdue(shard, owner, now - since)
            for shard, (owner, since) in self._asked_since.items()
            if now - since > bound
        )
