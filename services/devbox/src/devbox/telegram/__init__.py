"""A Telegram of our own for development and tests: Bot API server, control API, chat page.

It listens on loopback, keeps its state in memory, and knows one bot. `Simulator` runs it inside
a test; `python -m devbox.telegram` as a process.
"""

from devbox.telegram.faults import FaultSettings
from devbox.telegram.limits import Limits
from devbox.telegram.server import Simulator
from devbox.telegram.world import SIMULATOR_TOKEN

__all__ = ["SIMULATOR_TOKEN", "FaultSettings", "Limits", "Simulator"]
