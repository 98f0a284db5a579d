"""Import a library without the optional tooling it would pull in just because it is installed.

structlog imports rich (with pygments) for coloured stack traces, redis imports OpenTelemetry's
metrics SDK for metrics of its own; none of it is used here, and together it costs each process 8 MB
and a quarter of a second. Inside `without(...)` such a module looks as if it were not installed,
which both libraries are made for.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NotInstalled:
    """A finder that refuses some packages before the real finders are asked."""

    def __init__(self, packages: tuple[str, ...]) -> None:
        self._packages = packages

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{name} is not wanted here", name=name)
        return None


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Hide packages from the imports inside the block; those imported before stay what they are."""
    finder = _NotInstalled(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
