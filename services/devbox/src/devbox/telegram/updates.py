"""Updates waiting to be acknowledged, in the order they will be delivered.

Long polling and webhooks share this list. An update leaves it when it is acknowledged (a later
offset, or a 2xx from the webhook), when it is a day old, or when the bot asks to drop it.

Two faults live here. A *duplicated* update survives its first acknowledgement and is delivered
once more with the same id. A *reordered* update is held back until another user's update has
passed it (or a moment has gone by); one user's updates never overtake each other. A held update
may be behind an offset the bot already confirmed: it is still delivered, nothing is lost.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from devbox.telegram.errors import SimulatorFull
from devbox.telegram.faults import Faults
from devbox.telegram.limits import Limits
from devbox.telegram.shapes import Json

OPT_IN_UPDATES = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
"""Kinds delivered only to bots that ask for them by name."""


@dataclass(slots=True)
class UpdateCounts:
    """What happened to updates since the start, for `GET /sim/stats`."""

    made: int = 0
    unwanted: int = 0
    delivered: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    duplicated: int = 0
    reordered: int = 0
    dropped: int = 0


@dataclass(slots=True, eq=False)
class Pending:
    """An update not yet acknowledged; `sender` is whose order must be kept."""

    update_id: int
    sender: int
    body: bytes
    made_at: float
    duplicate: bool = False
    late: bool = False
    delivered: bool = False


@dataclass
class Updates:
    """The waiting updates; `on_ready` hears of each as it becomes deliverable."""

    limits: Limits
    faults: Faults
    next_id: int
    counts: UpdateCounts = field(default_factory=UpdateCounts)
    clock: Callable[[], float] = time.time
    allowed: list[str] = field(default_factory=list)
    on_ready: Callable[[Pending], None] | None = None
    pending: dict[int, Pending] = field(default_factory=dict)
    _held: Pending | None = None
    _release: asyncio.TimerHandle | None = None

    def make(self, kind: str, content: Json, sender: int) -> int:
        """Queue an update of this kind, unless the bot does not want them; its id.

        Raises SimulatorFull when too many are unacknowledged.
        """
        self.forget_old()
        if len(self.pending) >= self.limits.pending_updates_max:
            raise SimulatorFull(
                f"{len(self.pending)} updates wait to be acknowledged; the bot seems to be away"
            )
        update_id = self.next_id
        self.next_id += 1
        self.counts.made += 1
        if kind not in self.allowed if self.allowed else kind in OPT_IN_UPDATES:
            self.counts.unwanted += 1
            return update_id
        body = msgspec.json.encode({"update_id": update_id, kind: content})
        entry = Pending(update_id, sender, body, self.clock(), self.faults.duplicates())
        self.counts.duplicated += entry.duplicate
        self._enqueue(entry)
        return update_id

    def _enqueue(self, entry: Pending) -> None:
        held = self._held
        if held is not None and held.sender != entry.sender:
            self._let_pass(entry)
            held.late = True
            self.counts.reordered += 1
            self.release_held()
        elif held is None and self.faults.reorders():
            self._held = entry
            self._release = asyncio.get_running_loop().call_later(
                self.limits.reorder_hold_seconds, self.release_held
            )
        else:
            self.release_held()
            self._let_pass(entry)

    def _let_pass(self, entry: Pending) -> None:
        self.pending[entry.update_id] = entry
        if self.on_ready is not None:
            self.on_ready(entry)

    def release_held(self) -> None:
        """Let the update that is held back go now, if there is one."""
        held, self._held = self._held, None
        if self._release is not None:
            self._release.cancel()
            self._release = None
        if held is not None:
            self._let_pass(held)

    def take(self, count_max: int) -> list[Pending]:
        """The first updates, marked as delivered; they stay until acknowledged."""
        self.forget_old()
        batch: list[Pending] = []
        for entry in self.pending.values():
            if len(batch) == count_max:
                break
            self.mark_delivered(entry)
            batch.append(entry)
        return batch

    def mark_delivered(self, entry: Pending) -> None:
        """Count one delivery; only the first makes an update delivered."""
        if entry.delivered:
            self.counts.redelivered += 1
        else:
            self.counts.delivered += 1
            entry.delivered = True

    def acknowledge(self, entry: Pending) -> bool:
        """One acknowledgement of this update; False if it is to be delivered once more."""
        if entry.duplicate:
            entry.duplicate = False
            return False
        if self.pending.pop(entry.update_id, None) is not None:
            self.counts.acknowledged += 1
        return True

    def confirm(self, offset: int) -> None:
        """Acknowledge every update below this offset, as getUpdates does.

        What was overtaken and has not been delivered yet stays.
        """
        confirmed = []
        for entry in self.pending.values():
            if entry.update_id > offset:
                break
            if entry.update_id < offset and (entry.delivered or not entry.late):
                confirmed.append(entry)
        for entry in confirmed:
            self.acknowledge(entry)

    def keep_last(self, count: int) -> None:
        """Forget all but the last `count` updates (a negative offset)."""
        self.release_held()
        self._drop(list(self.pending)[: max(0, len(self.pending) - count)])

    def drop_all(self) -> None:
        """Forget everything that waits."""
        self.keep_last(0)

    def forget_old(self) -> None:
        """Forget what nobody acknowledged in a day."""
        oldest = self.clock() - self.limits.update_age_seconds_max
        expired = []
        for entry in self.pending.values():
            if entry.made_at >= oldest:
                break
            expired.append(entry.update_id)
        self._drop(expired)

    def _drop(self, update_ids: list[int]) -> None:
        for update_id in update_ids:
            del self.pending[update_id]
        self.counts.dropped += len(update_ids)

    def waiting(self) -> int:
        """Updates not acknowledged yet, the one held back included."""
        return len(self.pending) + (self._held is not None)
