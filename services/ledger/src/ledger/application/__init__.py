"""The ledger's use cases; they meet their adapters in `ledger.main`.

None remembers anything between two calls but the asset registry, so any number of ledgers may run
side by side.
"""

from ledger.application.accounts import Ledger
from ledger.application.applying import Applying, ApplyLimits
from ledger.application.reading import Reading
from ledger.application.registry import AssetRegistry

__all__ = ("ApplyLimits", "Applying", "AssetRegistry", "Ledger", "Reading")
