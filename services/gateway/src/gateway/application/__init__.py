"""The gateway's use cases; they meet their adapters in `gateway.main`."""

from gateway.application.acceptance import Acceptance
from gateway.application.delivery import Delivery
from gateway.application.pushing import StreamPusher
from gateway.application.sending import Sending

__all__ = ("Acceptance", "Delivery", "Sending", "StreamPusher")
