"""What an account is and which requests for accounts make sense. No I/O.

An account belongs to one user, holds one asset and has one kind. `posted` is what the user owns,
`held` the part that pending transfers hold back; the difference can be spent. Both are kept by the
database, which refuses to let either go below zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from chassis.errors import MalformedRequest, read_field
from kernel.money import AssetId, check_asset_id

ASSETS_PER_CALL_MAX = 32
"""The contract's limit; a user of the paper venue has about ten."""
SPOT = "spot"
"""The kind of account that orders are paid from. The only kind so far."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one user, as it stands at the end of the call's transaction."""

    account_id: UUID
    asset_id: AssetId
    posted: Decimal
    held: Decimal
    created: bool


def check_asset_ids(texts: Sequence[str]) -> tuple[AssetId, ...]:
    """Return the asset ids of a request, in its order. Raises MalformedRequest naming the field."""
    if not 1 <= len(texts) <= ASSETS_PER_CALL_MAX:
        raise MalformedRequest(
            "asset_ids", f"expected 1 to {ASSETS_PER_CALL_MAX} asset ids, got {len(texts)}"
        )
    return tuple(
        read_field(f"asset_ids[{place}]", check_asset_id, text) for place, text in enumerate(texts)
    )
