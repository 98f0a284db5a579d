"""A Redis of one's own by TLS is looked at before anything depends on it."""

# ruff: noqa: D103 (a test's name is its claim)

from pathlib import Path

import pytest
from tests.fakes.authority import Authority, put_into
from tests.fakes.tls_front import tls_front

from chassis.settings import Secret
from devbox.errors import CannotBegin
from devbox.given_servers import require_redis
from devbox.servers import ValkeyServer


async def test_it_is_believed_by_the_file_and_refused_in_words(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    authority = Authority()
    file, other = tmp_path / "ca.crt", tmp_path / "other.crt"
    put_into(file, authority.certificate)
    put_into(other, Authority().certificate)
    async with tls_front(valkey_server.port, authority.issue()) as front:
        url = Secret(f"rediss://:{valkey_server.password}@127.0.0.1:{front.port}/0")
        await require_redis(url, authority=file)
        with pytest.raises(CannotBegin, match=r"does not answer \(its certificate is not believed"):
            await require_redis(url, authority=other)


@pytest.mark.parametrize(
    ("url", "words"),
    [("http://u:hidden@h", "REDIS_URL must look like"), ("redis://u:hidden@h", "ask for TLS")],
)
async def test_nonsense_is_refused_in_a_sentence(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CannotBegin, match=f"PURSER_REDIS_URL cannot be used: .*{words}") as refused:
        await require_redis(Secret(url), authority=tmp_path / "ca.crt")
    assert "hidden" not in str(refused.value)
