"""Ends of orders nobody waited for, told by a notice.

The event stands in the database since the very transaction that ended the order; here it is
rendered, given to the gateway under its id, and marked. Whatever happens between the two, the
gateway takes an event once, so telling again is harmless. Each event has its own mark: one that
commits later than its neighbours is not passed over.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from kernel.sharding import Claim
from user_worker import metrics
from user_worker.application.carrying_out import CarryingOut
from user_worker.application.outages import note_answer, note_outage
from user_worker.domain.orders import Order
from user_worker.domain.pauses import Pauses
from user_worker.domain.replies import Reply
from user_worker.errors import ClaimLost, DependencyDown
from user_worker.trading_ports import ChosenLanguages, EndEvent, Events, Notice, Notices

NOTICES_AT_ONCE_MAX = 100
"""The gateway's bound on one Notify."""

NoticeOf = Callable[[Order, str], list[Reply]]
"""Renders the end of an order in a language: the one chosen, the one spoken before, or ""."""


@dataclass(frozen=True, slots=True)
class TellingPace:
    """How events are looked for."""

    period_seconds: float
    after_outage: Pauses


class Teller:
    """Relays events to the gateway."""

    def __init__(
        self,
        events: Events,
        notices: Notices,
        languages: ChosenLanguages,
        notice_of: NoticeOf,
        carrying_out: CarryingOut,
        pace: TellingPace,
    ) -> None:
        self._events = events
        self._notices = notices
        self._languages = languages
        self._notice_of = notice_of
        self._carrying_out = carrying_out
        self._pace = pace

    async def run(self) -> None:
        """Relay until cancelled."""
        pauses = iter(self._pace.after_outage)
        ended = self._carrying_out.ended
        while True:
            ended.clear()
            try:
                is_all = await self.relay()
            except DependencyDown as outage:
                note_outage(outage, "tell")
                await asyncio.sleep(next(pauses))
                continue
            pauses = iter(self._pace.after_outage)
            for dependency in ("database", "gateway"):
                note_answer(dependency, "tell")
            if is_all:
                try:
                    async with asyncio.timeout(self._pace.period_seconds):
                        await ended.wait()
                except TimeoutError:
                    pass

    async def relay(self) -> bool:
        """Tell of some events; says whether that was all there are."""
        claims = self._carrying_out.claims()
        if not claims:
            return True
        events = await self._events.unrelayed(claims, NOTICES_AT_ONCE_MAX)
        if not events:
            return True
        await self._notices.notify([await self._notice(event) for event in events])
        told: defaultdict[Claim, list[UUID]] = defaultdict(list)
        for event in events:
            told[event.claim].append(event.event_id)
        for claim, event_ids in told.items():
            # A newer owner tells again what could not be marked; the gateway knows the ids.
            with suppress(ClaimLost):
                await self._events.mark_relayed(claim, event_ids)
        metrics.NOTICES.inc(len(events))
        return len(events) < NOTICES_AT_ONCE_MAX

    async def _notice(self, event: EndEvent) -> Notice:
        user_id = event.order.draft.user_id
        chosen = await self._languages.language(user_id)
        replies = self._notice_of(event.order, chosen or event.language)
        return Notice(event.event_id, user_id, replies)
