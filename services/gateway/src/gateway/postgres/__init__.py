"""The gateway's SQL, one module per table it is about; this is the door."""

from gateway.postgres.backlog import BacklogLimits
from gateway.postgres.directory import AdmissionLimits, Directory
from gateway.postgres.forgetting import Forgetting
from gateway.postgres.housekeeping import Housekeeping
from gateway.postgres.inbox import Inbox
from gateway.postgres.lateness import Lateness, LatenessLimits
from gateway.postgres.leases import Leases
from gateway.postgres.moves import Moves
from gateway.postgres.outbox import Outbox
from gateway.postgres.places import Places
from gateway.postgres.pollers import Pollers
from gateway.postgres.set_aside import SetAsideJobs
from gateway.postgres.stream_key import read_stream_key
from gateway.postgres.undone import UndoneJobs
from gateway.postgres.users import UserRow, Users, only_bot

__all__ = (
    "AdmissionLimits",
    "BacklogLimits",
    "Directory",
    "Forgetting",
    "Housekeeping",
    "Inbox",
    "Lateness",
    "LatenessLimits",
    "Leases",
    "Moves",
    "Outbox",
    "Places",
    "Pollers",
    "SetAsideJobs",
    "UndoneJobs",
    "UserRow",
    "Users",
    "only_bot",
    "read_stream_key",
)
