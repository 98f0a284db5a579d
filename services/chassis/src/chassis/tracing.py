"""Which trace the running code belongs to, in W3C's form, through tasks, streams and calls.

The current trace lives in a context variable, so tasks inherit it. It costs two random numbers and
is there whether or not anything collects traces: every log line and every message can carry it.
When `chassis.telemetry` is told of a collector it installs a span maker from OpenTelemetry's SDK
here; each block of `new_trace`, `continue_trace` and `span` then becomes a span as well. Without
one nothing of OpenTelemetry is imported.
"""

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

TRACEPARENT_CHARACTERS_MAX = 55

_TRACEPARENT = re.compile(
    r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: the trace's id, the span's id, and whether it is being recorded."""

    trace_id: int
    span_id: int
    sampled: bool

    @property
    def trace_id_text(self) -> str:
        """32 hexadecimal digits, as logs show it."""
        return f"{self.trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """The W3C header, 55 characters."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.sampled:02x}"


SpanMaker = Callable[[str, TraceContext | None], AbstractContextManager[TraceContext]]
"""(name, parent) -> a block that is a span; the parent is None at the root of a trace."""

_current: ContextVar[TraceContext | None] = ContextVar("purser_trace", default=None)


@contextmanager
def _unrecorded(name: str, parent: TraceContext | None) -> Iterator[TraceContext]:
    trace_id = parent.trace_id if parent else secrets.randbits(128) | 1
    yield TraceContext(trace_id, secrets.randbits(64) | 1, sampled=False)


_make_span: SpanMaker = _unrecorded


def install_span_maker(maker: SpanMaker | None) -> None:
    """Record spans through `maker` from now on; None goes back to ids only."""
    global _make_span  # noqa: PLW0603 (one process records to one place)
    _make_span = maker or _unrecorded


def current_trace() -> TraceContext | None:
    """Give the trace the running code belongs to, if any."""
    return _current.get()


def current_traceparent() -> str:
    """Give the W3C header of the current trace; empty when there is none."""
    trace = _current.get()
    return trace.traceparent if trace else ""


@contextmanager
def new_trace(name: str) -> Iterator[TraceContext]:
    """Begin a trace: what happens inside belongs to it."""
    with _entered(name, None) as trace:
        yield trace


@contextmanager
def continue_trace(traceparent: str, name: str) -> Iterator[TraceContext]:
    """Continue the trace of a message or a call; a new one if the header is empty or malformed."""
    with _entered(name, parse_traceparent(traceparent)) as trace:
        yield trace


@contextmanager
def span(name: str) -> Iterator[TraceContext]:
    """Name a part of the current trace."""
    with _entered(name, _current.get()) as trace:
        yield trace


def parse_traceparent(text: str) -> TraceContext | None:
    """Read a W3C header; None if it is not one."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    trace_id, span_id = int(match["trace"], 16), int(match["span"], 16)
    if not trace_id or not span_id:
        return None
    return TraceContext(trace_id, span_id, sampled=bool(int(match["flags"], 16) & 1))


@contextmanager
def _entered(name: str, parent: TraceContext | None) -> Iterator[TraceContext]:
    with _make_span(name, parent) as trace:
        # Not reset(token): a generator that is closed by another task would fail there.
        before = _current.get()
        _current.set(trace)
        try:
            yield trace
        finally:
            _current.set(before)
