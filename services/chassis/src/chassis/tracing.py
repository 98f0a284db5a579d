"""Which trace the running code belongs to, in W3C's form, through tasks, streams and calls.

The current trace lives in a context variable, so tasks inherit it. It costs two random numbers and
is there whether or not anything collects traces: every log line and every message can carry it.
When `chassis.telemetry` is told of a collector it installs a span maker from OpenTelemetry's SDK
here; each block of `new_trace`, `continue_trace` and `span` then becomes a span as well. Without
one nothing of OpenTelemetry is imported.
"""

import re
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType

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


_make_span: SpanMaker | None = None


def install_span_maker(maker: SpanMaker | None) -> None:
    """Record spans through `maker` from now on; None goes back to ids only."""
    global _make_span  # noqa: PLW0603 (one process records to one place)
    _make_span = maker


def current_trace() -> TraceContext | None:
    """Give the trace the running code belongs to, if any."""
    return _current.get()


def current_traceparent() -> str:
    """Give the W3C header of the current trace; empty when there is none."""
    trace = _current.get()
    return trace.traceparent if trace else ""


def new_trace(name: str) -> AbstractContextManager[TraceContext]:
    """Begin a trace: what happens inside the `with` belongs to it."""
    return _Entered(name, None)


def continue_trace(traceparent: str, name: str) -> AbstractContextManager[TraceContext]:
    """Continue the trace of a message or a call; a new one if the header is empty or malformed."""
    return _Entered(name, parse_traceparent(traceparent))


def span(name: str) -> AbstractContextManager[TraceContext]:
    """Name a part of the current trace."""
    return _Entered(name, _current.get())


def parse_traceparent(text: str) -> TraceContext | None:
    """Read a W3C header; None if it is not one."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    trace_id, span_id = int(match["trace"], 16), int(match["span"], 16)
    if not trace_id or not span_id:
        return None
    return TraceContext(trace_id, span_id, sampled=bool(int(match["flags"], 16) & 1))


class _Entered(AbstractContextManager[TraceContext]):
    """One `with` block. A class, since it is on every path and a generator costs three times it."""

    __slots__ = ("_before", "_name", "_parent", "_span")

    def __init__(self, name: str, parent: TraceContext | None) -> None:
        self._name = name
        self._parent = parent

    def __enter__(self) -> TraceContext:
        if _make_span is None:
            self._span = None
            trace_id = self._parent.trace_id if self._parent else secrets.randbits(128) | 1
            trace = TraceContext(trace_id, secrets.randbits(64) | 1, sampled=False)
        else:
            self._span = _make_span(self._name, self._parent)
            trace = self._span.__enter__()
        self._before = _current.get()
        _current.set(trace)
        return trace

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Not reset(token): a generator that is closed by another task would fail there.
        _current.set(self._before)
        if self._span is not None:
            self._span.__exit__(kind, error, trace)
