"""Ports are chosen so that nobody else is given them before the program binds them."""

import subprocess
import sys
from pathlib import Path

import pytest

from devbox import ports
from devbox.errors import CannotBegin

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
CHOOSE_ALL = "from devbox.ports import free_port\nfor _ in range({count}): print(free_port())"


def test_the_kernel_gives_a_chosen_port_to_nobody() -> None:
    """They lie below the range of `bind(0)` and of outgoing connections."""
    lowest = int(EPHEMERAL.read_text().split()[0])
    assert ports.BEYOND <= lowest
    assert all(ports.LOWEST <= ports.free_port() < ports.BEYOND for _ in range(20))


def test_no_two_are_given_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither twice here nor to another process, however few there are to choose from."""
    monkeypatch.setattr(ports, "LOWEST", 29_960)
    monkeypatch.setattr(ports, "BEYOND", 30_000)
    mine = {ports.free_port() for _ in range(10)}
    assert len(mine) == 10
    narrow = "import devbox.ports as ports\nports.LOWEST, ports.BEYOND = 29_960, 30_000\n"
    printed = subprocess.run(
        [sys.executable, "-c", narrow + CHOOSE_ALL.format(count=10)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    others = set(map(int, printed.split()))
    assert len(others) == 10
    assert not mine & others


def test_no_port_left_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither goes on for ever nor gives a port that is in use."""
    monkeypatch.setattr(ports, "LOWEST", ports.free_port())
    monkeypatch.setattr(ports, "BEYOND", ports.LOWEST + 1)
    with pytest.raises(CannotBegin, match="is free"):
        ports.free_port()
