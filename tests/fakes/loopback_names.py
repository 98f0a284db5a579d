"""Names that lead to this machine, for certificates that hold them: `anything.purser.test`."""

import socket
from typing import Any

import pytest

DOMAIN = ".purser.test"


def lead_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have such names looked up as 127.0.0.1 in this process."""
    look_up = socket.getaddrinfo

    def answer(host: Any, *arguments: Any, **named: Any) -> Any:
        ours = isinstance(host, str) and host.endswith(DOMAIN)
        return look_up("127.0.0.1" if ours else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
