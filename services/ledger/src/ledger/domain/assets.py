"""The asset registry as the code sees it, and the one check that needs it: digits. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from kernel.money import EXACT, AssetId


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset. A deployment may add some; an id and its decimals never change."""

    asset_id: AssetId
    symbol: str
    """What people call it, for example "BTC"."""
    decimals: int
    """Fractional digits of its smallest unit, 0 to 18."""
    faucet_max: Decimal | None
    """What the faucet gives one user in all; None where there is no faucet."""


Registry = Mapping[AssetId, Asset]


def fits(value: Decimal, decimals: int) -> bool:
    """Whether the value needs no more than `decimals` digits after the point; zeros do not count.

    `value` is an amount as `kernel.money.parse_amount` gives it.
    """
    shifted = value.scaleb(decimals, EXACT)
    return shifted == shifted.to_integral_value()
