"""Freezing a user's trading: what it stopped, and since when. No I/O.

A freeze is a row in the database. While it stands nothing of the user is accepted: no draft, no
order, no waiting order, no run of a plan, no copied trade. What was accepted but not submitted is
given up; what was submitted may be executed already, so it is asked about to its end.
"""

from dataclasses import dataclass
from datetime import datetime

import msgspec


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """How much a freeze stopped, of each kind."""

    offers: int = 0
    resting: int = 0
    plans: int = 0
    copies: int = 0
    orders: int = 0
    """Accepted and not yet submitted: given up."""
    submitted: int = 0
    """Not stopped: at the venue already."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A freeze that stands."""

    since: datetime
    stopped: Stopped
    """What the job that asked found to stop."""
