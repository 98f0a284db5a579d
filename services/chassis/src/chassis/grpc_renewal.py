"""A channel that survives its certificate.

gRPC binds a channel to one certificate. When `chassis.tls` has taken up a newer one, the next call
goes over a new channel; the old one is closed when its last call has ended, which each does, since
each has a timeout. No call is cut, none waits.
"""

# ruff: noqa: D102 (grpc's own methods, with grpc's own promises)

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio

from chassis.tls import Certificates
from chassis.tls_files import TlsMaterial

SETTLE_SECONDS: Final = 1.0
"""Between the end of an old channel's last call and its close: who waits for the answer has it."""


class _Line:
    """One channel of one certificate, and how many calls it carries."""

    def __init__(self, channel: grpc.aio.Channel, material: TlsMaterial) -> None:
        self.channel = channel
        self.material = material
        self.idle = asyncio.Event()
        self.idle.set()
        self._calls = 0

    def carry(self, call: grpc.aio.Call) -> None:
        self._calls += 1
        self.idle.clear()
        call.add_done_callback(self._ended)

    def _ended(self, _call: object) -> None:
        self._calls -= 1
        if not self._calls:
            self.idle.set()


class RenewedChannel(grpc.aio.Channel):  # type: ignore[misc]  # grpc has no types
    """Behaves like the channel `open_line` makes of the newest certificate."""

    def __init__(
        self, certificates: Certificates, open_line: Callable[[TlsMaterial], grpc.aio.Channel]
    ) -> None:
        self._certificates = certificates
        self._open_line = open_line
        material = certificates.newest()
        self._line = _Line(open_line(material), material)
        self._retiring: dict[asyncio.Task[None], _Line] = {}

    def line(self) -> _Line:
        """Give what the next call goes over."""
        material = self._certificates.newest()
        if material is not self._line.material:
            old, self._line = self._line, _Line(self._open_line(material), material)
            retiring = asyncio.create_task(_retire(old))
            self._retiring[retiring] = old
            retiring.add_done_callback(lambda done: self._retiring.pop(done, None))
        return self._line

    async def __aenter__(self) -> "RenewedChannel":
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        lines = [self._line, *self._retiring.values()]
        for retiring in self._retiring:
            retiring.cancel()
        await asyncio.gather(*(line.channel.close(grace) for line in lines))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._line.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._line.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self.line().channel.channel_ready()

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        return _Method(self, lambda channel: channel.unary_unary(*arguments, **options))

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        return _Method(self, lambda channel: channel.unary_stream(*arguments, **options))

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        return _Method(self, lambda channel: channel.stream_unary(*arguments, **options))

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        return _Method(self, lambda channel: channel.stream_stream(*arguments, **options))


class _Method:
    """One method of a stub, made anew for each new line."""

    def __init__(
        self, channel: RenewedChannel, make: Callable[[grpc.aio.Channel], Callable[..., Any]]
    ) -> None:
        self._channel = channel
        self._make = make
        self._line: _Line | None = None
        self._call: Callable[..., Any] | None = None

    def __call__(self, *requests: Any, **options: Any) -> Any:
        line = self._channel.line()
        if line is not self._line or self._call is None:
            self._line, self._call = line, self._make(line.channel)
        call = self._call(*requests, **options)
        line.carry(call)
        return call


async def _retire(line: _Line) -> None:
    await line.idle.wait()
    await asyncio.sleep(SETTLE_SECONDS)
    await line.channel.close()
