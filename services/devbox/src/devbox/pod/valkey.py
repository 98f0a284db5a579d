"""Valkey as the one program of a pod.

This process becomes the server, which handles SIGTERM itself. The configuration comes on standard
input, because it holds the password: neither a process list nor a file shows it.
"""

import os
from pathlib import Path
from typing import NoReturn

from devbox.errors import CannotBegin
from devbox.servers.valkey import CONFIGURATION, valkey_binary

STANDARD_INPUT = 0


def become_valkey(folder: Path, password: str, port: int, memory_megabytes: int) -> NoReturn:
    """Become the server that keeps its append-only file in `folder`. Raises CannotBegin."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chdir(folder)
    except OSError as error:
        raise CannotBegin(f"{folder} cannot be used: {error.strerror}.") from None
    binary = valkey_binary()
    reading, writing = os.pipe()
    # Far below what a pipe holds, so this does not wait for a reader.
    os.write(writing, configuration(password, port, memory_megabytes).encode())
    os.close(writing)
    os.dup2(reading, STANDARD_INPUT)
    os.close(reading)
    os.execv(binary, [str(binary), "-"])  # noqa: S606  # becoming it is the point


def configuration(password: str, port: int, memory_megabytes: int) -> str:
    """Give the one-machine run's configuration, for a network."""
    return CONFIGURATION.format(
        bind="* -::*",
        port=port,
        password=password,
        appendonly="yes",
        memory=memory_megabytes,
    )
