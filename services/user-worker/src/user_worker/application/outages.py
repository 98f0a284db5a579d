"""A dependency that is away is counted each time and told about seldom; its return is told once.

With a wallet down, two thousand users' jobs rest and try again every two seconds; one warning per
dependency, purpose and period says as much as a thousand a second. The metric has them all. The
first answer after a warning is a line as well: it says how long the outage was.
"""

import time

from chassis.telemetry import get_logger
from user_worker import metrics
from user_worker.errors import DependencyDown

WARNING_PERIOD_SECONDS = 10.0

_log = get_logger(__name__)

# As many entries as there are dependencies and purposes in this package: no bound is needed.
_warned_at: dict[tuple[str, str], float] = {}
_down_since: dict[tuple[str, str], float] = {}


def note_outage(outage: DependencyDown, purpose: str) -> None:
    """Count an unanswered call; `purpose` is a word for what it was made for."""
    metrics.OUTAGES.labels(outage.dependency).inc()
    now = time.monotonic()
    key = (outage.dependency, purpose)
    if now - _warned_at.get(key, float("-inf")) >= WARNING_PERIOD_SECONDS:
        _warned_at[key] = now
        _down_since.setdefault(key, now)
        _log.warning(
            "dependency_down", dependency=outage.dependency, purpose=purpose, reason=str(outage)
        )


def note_answer(dependency: str, purpose: str) -> None:
    """Tell that a dependency answers again; quiet unless its outage was told about."""
    since = _down_since.pop((dependency, purpose), None)
    if since is not None:
        seconds = round(time.monotonic() - since, 1)
        _log.info("dependency_back", dependency=dependency, purpose=purpose, away_seconds=seconds)
