"""The gateway's SQL, one module per table it is about; this is the door."""

from gateway.postgres.directory import AdmissionLimits, Directory
from gateway.postgres.housekeeping import Housekeeping
from gateway.postgres.inbox import Inbox
from gateway.postgres.leases import Leases
from gateway.postgres.outbox import Outbox
from gateway.postgres.pollers import Pollers

__all__ = ("AdmissionLimits", "Directory", "Housekeeping", "Inbox", "Leases", "Outbox", "Pollers")
