"""Events, told by notices: ends of orders nobody waited for, and notes.

An event stands in the database since the very transaction that did what it tells; here it is
rendered, given to the gateway under its id, and marked. Whatever happens between the two, the
gateway takes an event once, so telling again is harmless. Each event has its own mark: one that
commits later than its neighbours is not passed over.

Events are told many at a time. When the gateway refuses them, or one cannot be rendered, each is
told by itself, so that one bad event keeps no others back; it stays, and somebody has to look.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from uuid import UUID

from chassis.telemetry import get_logger
from kernel.sharding import Claim
from user_worker import metrics
from user_worker.application.carrying_out import CarryingOut
from user_worker.application.recurring import Rhythm, again_and_again
from user_worker.domain.replies import Reply
from user_worker.errors import ClaimLost, DependencyDown
from user_worker.trading_ports import ChosenLanguages, Event, Events, Notice, Notices

NOTICES_AT_ONCE_MAX = 100
"""The gateway's bound on one Notify."""

NoticeOf = Callable[[Event, str], list[Reply]]
"""Renders an event in a language: the one chosen, the one spoken before, or ""."""

_log = get_logger(__name__)


class Teller:
    """Relays events to the gateway."""

    def __init__(
        self,
        events: Events,
        notices: Notices,
        languages: ChosenLanguages,
        notice_of: NoticeOf,
        carrying_out: CarryingOut,
        rhythm: Rhythm,
    ) -> None:
        self._events = events
        self._notices = notices
        self._languages = languages
        self._notice_of = notice_of
        self._carrying_out = carrying_out
        self._rhythm = rhythm

    async def run(self) -> None:
        """Relay until cancelled."""
        await again_and_again(self.relay, "tell", self._carrying_out.ended_untold, self._rhythm)

    async def relay(self) -> bool:
        """Tell of some events; says whether there are more. Raises what the last bad one did."""
        claims = self._carrying_out.claims()
        if not claims:
            return False
        events = await self._events.unrelayed(claims, NOTICES_AT_ONCE_MAX)
        if not events:
            return False
        try:
            await self._tell(events)
        except DependencyDown:
            raise
        except Exception as error:  # noqa: BLE001 (raised again when it is one event's)
            await self._tell_each(events, error)
        return len(events) == NOTICES_AT_ONCE_MAX

    async def _tell_each(self, events: Sequence[Event], error: Exception) -> None:
        bad: Exception | None = error if len(events) == 1 else None
        for event in events if bad is None else ():
            try:
                await self._tell([event])
            except DependencyDown:
                raise
            except Exception as reason:  # noqa: BLE001 (the others go first)
                _log.warning("event_not_told", event_id=str(event.event_id))
                bad = reason
        if bad is not None:
            raise bad

    async def _tell(self, events: Sequence[Event]) -> None:
        await self._notices.notify([await self._notice(event) for event in events])
        metrics.NOTICES.inc(len(events))
        told: defaultdict[Claim, list[UUID]] = defaultdict(list)
        for event in events:
            told[event.claim].append(event.event_id)
        for claim, event_ids in told.items():
            # A newer owner tells again what could not be marked; the gateway knows the ids.
            with suppress(ClaimLost):
                await self._events.mark_relayed(claim, event_ids)

    async def _notice(self, event: Event) -> Notice:
        chosen = await self._languages.language(event.user_id)
        replies = self._notice_of(event, chosen or event.language)
        return Notice(event.event_id, event.user_id, replies)
