"""Find ports of the loopback address for programs that cannot choose one and say which.

There is a moment between the choice and the program's `bind`. A port of the range from which the
kernel serves `bind(0)` and outgoing connections may be gone by then, so a chosen port lies below
that range, where nobody comes by chance; and whoever chooses here is kept off it by a UDP socket of
the same number, which programs of Purser do not use and which vanishes with the process that
chose.
"""

import os
import secrets
import socket
from collections import deque

from devbox.errors import CannotBegin, PortTaken

LOWEST, BEYOND = 20_000, 30_000
"""Linux serves `bind(0)` from 32768 on, Kubernetes gives node ports from 30000 on."""
ATTEMPTS_MAX = 200
RESERVED_MAX = 200
"""So many choices of one process are kept apart; what was chosen before them is bound by now."""

_reserved: deque[int] = deque()


def choose_port(wanted: int, variable: str) -> int:
    """Return `wanted` if it is free (0: any free port, see `free_port`).

    `variable` is what a person sets to ask for another one. Raises `PortTaken`.
    """
    if wanted == 0:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except PermissionError:
            why = "one that only root may use"
            raise PortTaken(wanted, variable, why) from None
        except OSError as error:
            raise PortTaken(wanted, variable) from error
    return wanted


def free_port() -> int:
    """Return a TCP port that nobody listens on and nobody else chooses. Raises `CannotBegin`."""
    for _ in range(ATTEMPTS_MAX):
        port = LOWEST + secrets.randbelow(BEYOND - LOWEST)
        with socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as reservation:
            try:
                reservation.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _keep(reservation.detach())
        return port
    raise CannotBegin(f"None of {ATTEMPTS_MAX} ports tried in {LOWEST}-{BEYOND - 1} is free.")


def _keep(reservation: int) -> None:
    _reserved.append(reservation)
    if len(_reserved) > RESERVED_MAX:
        os.close(_reserved.popleft())
