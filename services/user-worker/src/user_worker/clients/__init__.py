"""The services behind gRPC. Each call has a deadline; each failure becomes one of
`user_worker.errors`.

No call is repeated here: what to do about an outage is decided per job, in `application.execution`.
"""

from user_worker.clients.books import BooksClient
from user_worker.clients.gateway import GatewayInbox
from user_worker.clients.ledger import LedgerClient
from user_worker.clients.pricing import PricingClient
from user_worker.clients.set_aside import SetAsideJobs
from user_worker.clients.venue import VenueClient
from user_worker.clients.wallet import WalletClient

__all__ = [
    "BooksClient",
    "GatewayInbox",
    "LedgerClient",
    "PricingClient",
    "SetAsideJobs",
    "VenueClient",
    "WalletClient",
]
