"""What a failure of Redis means to the worker: DependencyDown, whatever the failure was."""

from collections.abc import Iterator
from contextlib import contextmanager

from chassis.errors import TryAgain
from chassis.redis import RedisError, translating
from user_worker.errors import DependencyDown


@contextmanager
def answering() -> Iterator[None]:
    """Call Redis inside the `with`. Raises DependencyDown when it does not answer, or refuses."""
    try:
        with translating():
            yield
    except TryAgain as away:
        raise DependencyDown("redis", str(away)) from away
    except RedisError as refusal:
        # A key of another type, a right that is missing: nothing here depends on Redis for good.
        raise DependencyDown("redis", type(refusal).__name__) from refusal
