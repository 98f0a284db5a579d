"""The worker's tables and placement, in SQL. Every failure to answer is DependencyDown, a stale
claim is ClaimLost.

Ownership has a pool of connections of its own: a heartbeat must never queue behind users' work.
LISTEN needs a session, so `listen` holds one connection outside both pools; behind a transaction
pooler it hears nothing, and the owner's poll each second is what remains.
"""

from user_worker.postgres.attempts import PostgresAttempts
from user_worker.postgres.copies import PostgresCopies
from user_worker.postgres.drafts import PostgresDrafts
from user_worker.postgres.ended import PostgresEnded
from user_worker.postgres.events import PostgresEvents
from user_worker.postgres.freezes import PostgresFreezes
from user_worker.postgres.orders import OrderLimits, PostgresOrders
from user_worker.postgres.placement import PostgresPlacement, listen
from user_worker.postgres.plans import PostgresPlans
from user_worker.postgres.preferences import PostgresPreferences
from user_worker.postgres.resting import PostgresAlerts, PostgresResting
from user_worker.postgres.shares import PostgresShares
from user_worker.postgres.waiting import PostgresWaiting

__all__ = [
    "OrderLimits",
    "PostgresAlerts",
    "PostgresAttempts",
    "PostgresCopies",
    "PostgresDrafts",
    "PostgresEnded",
    "PostgresEvents",
    "PostgresFreezes",
    "PostgresOrders",
    "PostgresPlacement",
    "PostgresPlans",
    "PostgresPreferences",
    "PostgresResting",
    "PostgresShares",
    "PostgresWaiting",
    "listen",
]
