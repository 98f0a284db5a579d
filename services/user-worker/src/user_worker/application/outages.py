"""A dependency that is away is counted each time and told about seldom; its return is told once.

With a wallet down, two thousand users' jobs rest and try again every two seconds; one warning per
dependency, purpose and period says as much as a thousand a second. The metric has them all. The
first answer after a warning is a line as well: it says how long the outage was.

When all processes start at once, a worker is up before the gateway is. That is no outage: during
`START_SECONDS` after the start there is no warning about a dependency that has not answered yet.
"""

import time

from chassis.telemetry import get_logger
from user_worker import metrics
from user_worker.errors import DependencyDown

WARNING_PERIOD_SECONDS = 10.0
START_SECONDS = 10.0
"""The slowest process takes some seconds to start; who is away for longer is worth a warning."""

_log = get_logger(__name__)

# As many entries as there are dependencies and purposes in this package: no bound is needed.
_warned_at: dict[tuple[str, str], float] = {}
_down_since: dict[tuple[str, str], float] = {}
# The dependencies that have answered since the start.
_answered: set[str] = set()
_started_at = float("-inf")


def note_start() -> None:
    """Begin the time in which a dependency may still be starting."""
    global _started_at  # noqa: PLW0603 (a process starts once)
    _started_at = time.monotonic()
    _answered.clear()


def note_outage(outage: DependencyDown, purpose: str) -> None:
    """Count an unanswered call; `purpose` is a word for what it was made for."""
    metrics.OUTAGES.labels(outage.dependency).inc()
    now = time.monotonic()
    if outage.dependency not in _answered and now - _started_at < START_SECONDS:
        return
    key = (outage.dependency, purpose)
    if now - _warned_at.get(key, float("-inf")) >= WARNING_PERIOD_SECONDS:
        _warned_at[key] = now
        _down_since.setdefault(key, now)
        _log.warning(
            "dependency_down", dependency=outage.dependency, purpose=purpose, reason=str(outage)
        )


def note_answer(dependency: str, purpose: str) -> None:
    """Tell that a dependency answers again; quiet unless its outage was told about."""
    _answered.add(dependency)
    since = _down_since.pop((dependency, purpose), None)
    if since is not None:
        seconds = round(time.monotonic() - since, 1)
        _log.info("dependency_back", dependency=dependency, purpose=purpose, away_seconds=seconds)
