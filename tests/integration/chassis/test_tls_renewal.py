"""Certificates change under calls, over loopback."""

# ruff: noqa: D103 (a test's name is its claim)

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from prometheus_client import REGISTRY
from tests.fakes.authority import DAY, Authority, Pair
from tests.integration.chassis.conftest import LOOK_SECONDS
from tests.integration.chassis.secured import (
    Code,
    answer,
    bare_channel,
    client,
    is_refused,
    refusal,
    room,
    until,
)

from chassis.errors import NotYet
from chassis.grpc_client import ClientSettings, open_channel

pytestmark = pytest.mark.usefixtures("quickly")


async def _calls_meanwhile(
    channel: grpc.aio.Channel, change: Callable[[], object], seconds: float
) -> int:
    """Call without a pause while something changes; any failed call fails the test."""
    ended = asyncio.Event()

    async def call_on() -> int:
        calls = 0
        while not ended.is_set():
            assert await answer(channel) == b"hello"
            calls += 1
        return calls

    callers = [asyncio.create_task(call_on()) for _ in range(4)]
    await asyncio.sleep(2 * LOOK_SECONDS)
    change()
    await asyncio.sleep(seconds)
    ended.set()
    return sum(await asyncio.gather(*callers))


async def test_a_renewed_server_certificate_is_shown_to_new_connections_and_no_call_fails(
    authority: Authority, tmp_path: Path
) -> None:
    """The next authority is believed before its certificates are shown, as one replaces another."""
    next_authority = Authority()
    both = authority.certificate + next_authority.certificate
    first = dataclasses.replace(authority.issue("room"), authority=both)
    caller = dataclasses.replace(authority.issue("friend"), authority=both)
    second = dataclasses.replace(next_authority.issue("room"), authority=both)
    newcomer = next_authority.issue("friend")
    files = first.write(tmp_path / "room")
    async with (
        room(files) as server,
        open_channel(server.address, client(caller, tmp_path)) as channel,
    ):
        async with bare_channel(server, newcomer) as other:
            assert (Code.UNAVAILABLE, "") == await refusal(other)
        made = await _calls_meanwhile(channel, lambda: second.write(tmp_path / "room"), 0.5)
        assert made > 20
        async with bare_channel(server, newcomer) as other:
            assert await answer(other) == b"hello"


async def test_an_authority_is_replaced_in_three_steps_and_no_call_fails(
    authority: Authority, tmp_path: Path
) -> None:
    """Part by part, as docs/renew-secrets.md has it: both are believed, then the next one's
    certificates are shown, then it alone is believed.
    """
    following = Authority()
    both = authority.certificate + following.certificate
    parts = {part: authority.issue(part) for part in ("room", "friend")}
    left_behind = authority.issue("friend")
    for part, pair in parts.items():
        pair.write(tmp_path / part)

    def take(part: str, pair: Pair) -> Callable[[], object]:
        parts[part] = pair
        return lambda: pair.write(tmp_path / part)

    async with (
        room(parts["room"].write(tmp_path / "room")) as server,
        open_channel(server.address, client(parts["friend"], tmp_path / "friend")) as channel,
    ):
        for trusted, signer in ((both, None), (both, following), (following.certificate, None)):
            for part, present in list(parts.items()):
                pair = signer.issue(part) if signer else present
                change = take(part, dataclasses.replace(pair, authority=trusted))
                assert await _calls_meanwhile(channel, change, 0.4) > 0
                async with bare_channel(server, parts["friend"]) as new_connection:
                    assert await answer(new_connection) == b"hello"
        async with bare_channel(server, left_behind) as other:
            assert (Code.UNAVAILABLE, "") == await refusal(other)


async def test_a_renewed_client_certificate_is_shown_soon_and_neither_call_nor_stream_is_cut(
    authority: Authority, tmp_path: Path
) -> None:
    guest, friend = authority.issue("guest"), authority.issue("friend")
    async with (
        room(authority.issue("room").write(tmp_path / "room")) as server,
        open_channel(server.address, client(friend, tmp_path / "friend")) as channel,
    ):
        stream = channel.unary_stream("/test.Room/Stream")(b"40", timeout=5)
        renewed = authority.issue("friend")
        made = await _calls_meanwhile(channel, lambda: renewed.write(tmp_path / "friend"), 0.4)
        assert made > 10
        guest.write(tmp_path / "friend")
        await until(lambda: is_refused(channel))
        assert (Code.PERMISSION_DENIED, "NOT_ALLOWED") == await refusal(channel)
        # The stream goes on over the channel it was opened on, to its end.
        assert 40 == len([item async for item in stream])

        async def none_is_left() -> bool:
            return not channel._inner._retiring

        await until(none_is_left)


@pytest.mark.parametrize("wrong", ["another key", "half", "gone", "expired", "another authority"])
async def test_files_that_do_not_fit_are_told_of_once_and_the_old_ones_serve_on(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    good, other = authority.issue("room"), authority.issue("room")
    bad = {
        "another key": dataclasses.replace(good, key=other.key),
        "half": dataclasses.replace(other, certificate=other.certificate[:200]),
        "gone": dataclasses.replace(other, key=b""),
        "expired": authority.issue("room", ends_in=-DAY),
        "another authority": dataclasses.replace(other, authority=Authority().certificate),
    }[wrong]
    friend = authority.issue("friend")
    files = good.write(tmp_path / "room")
    async with room(files) as server:
        bad.write(tmp_path / "room")
        await asyncio.sleep(5 * LOOK_SECONDS)
        async with bare_channel(server, friend) as channel:
            assert await answer(channel) == b"hello"
        output = "".join(capsys.readouterr())
        assert 1 == output.count("certificate_kept")
        assert "PRIVATE" not in output
        other.write(tmp_path / "room")

        async def is_taken() -> bool:
            return "certificate_taken" in "".join(capsys.readouterr())

        await until(is_taken)
        async with bare_channel(server, friend) as channel:
            assert await answer(channel) == b"hello"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda pair: dataclasses.replace(pair, key=b""), "must hold 1 to"),
        (lambda pair: dataclasses.replace(pair, key=Authority().issue("x").key), "are no pair"),
        (lambda pair: dataclasses.replace(pair, authority=b"no"), "no certificate of an authority"),
        (lambda pair: dataclasses.replace(pair, certificate=b"no"), "are no pair"),
        (lambda pair: dataclasses.replace(pair, authority=Authority().certificate), "not believed"),
    ],
)
async def test_a_process_whose_files_do_not_fit_says_why_and_does_not_begin(
    authority: Authority, tmp_path: Path, spoil: Callable[[Pair], Pair], sentence: str
) -> None:
    files = spoil(authority.issue("room")).write(tmp_path)
    with pytest.raises(NotYet, match=sentence):
        async with room(files):
            pass
    with pytest.raises(NotYet, match=sentence):
        open_channel("localhost:1", ClientSettings(tls=files))


async def test_the_days_left_are_a_figure_and_the_last_of_them_a_warning(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "purser_tls_certificate_days_left"
    for days, warned in ((20, False), (6, True)):
        pair = authority.issue("room", ends_in=timedelta(days=days, hours=12))
        files = pair.write(tmp_path / str(days))
        async with room(files):
            left = REGISTRY.get_sample_value(name, {"file": str(files.tls_certificate_file)})
        assert left == pytest.approx(days + 0.5, abs=0.01)
        assert warned is ("certificate_ends_soon" in "".join(capsys.readouterr()))
