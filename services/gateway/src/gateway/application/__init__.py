"""The gateway's use cases; they meet their adapters in `gateway.main`."""

from gateway.application.acceptance import Acceptance
from gateway.application.delivery import Delivery
from gateway.application.holding import NoticeHold
from gateway.application.notices import Notices
from gateway.application.ports import BatchLimits, Forgetter, JobReader, RushGuard, SetAsideStore
from gateway.application.pushing import Append, StreamPusher
from gateway.application.replaying import Replaying
from gateway.application.saying import SayLimits
from gateway.application.sending import Sending, SendLimits

__all__ = (
    "Acceptance",
    "Append",
    "BatchLimits",
    "Delivery",
    "Forgetter",
    "JobReader",
    "NoticeHold",
    "Notices",
    "Replaying",
    "RushGuard",
    "SayLimits",
    "SendLimits",
    "Sending",
    "SetAsideStore",
    "StreamPusher",
)
