"""What may be read of trades and performance.

`RecordStore` is what this needs of the database; `postgres.Records` is the real one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from kernel.money import AssetId
from ledger.application.registry import AssetRegistry
from ledger.domain.assets import Asset
from ledger.domain.history import Place, TradeRecord, place_of
from ledger.domain.performance import MarkedTime, Marks, Performance, Record, measure
from ledger.errors import UnknownAssets


class RecordStore(Protocol):
    """What the books say of a user, read only."""

    async def list_trades(
        self, user_id: UUID, before: Place | None, rows_max: int
    ) -> list[TradeRecord]:
        """Read trades, newest first, from the newest or from those before a place."""
        ...

    async def read_record(
        self, user_id: UUID, currency: AssetId, past: Sequence[datetime]
    ) -> Record:
        """Read all that performance is computed from, in one snapshot."""
        ...


class Reading:
    """Reads that need more than a row."""

    def __init__(
        self, store: RecordStore, registry: AssetRegistry, old: RecordStore | None = None
    ) -> None:
        """Take `old` as the store for reads that may be a few seconds old."""
        self._store = store
        self._old = old or store
        self._registry = registry

    async def list_assets(self) -> list[Asset]:
        """Give the registry, ordered by id."""
        return list((await self._registry.assets()).values())

    async def list_trades(
        self, user_id: UUID, before: Place | None, page_size: int, *, may_be_old: bool = False
    ) -> tuple[list[TradeRecord], Place | None]:
        """Give a page of trades, newest first, and the place of the next page if there is one."""
        store = self._old if may_be_old else self._store
        trades = await store.list_trades(user_id, before, page_size + 1)
        page = trades[:page_size]
        return page, place_of(page[-1]) if len(trades) > page_size else None

    async def performance(
        self,
        user_id: UUID,
        currency: AssetId,
        marks: Marks,
        past: Sequence[MarkedTime],
        *,
        may_be_old: bool = False,
    ) -> Performance:
        """Compute how trading went. Raises UnknownAssets."""
        registry = await self._registry.assets()
        named = {currency, *marks, *(asset for time in past for asset in time.marks)}
        if unknown := sorted(named - registry.keys()):
            raise UnknownAssets(unknown)
        store = self._old if may_be_old else self._store
        record = await store.read_record(user_id, currency, [time.at for time in past])
        return measure(record, currency, registry[currency].decimals, marks, past)
