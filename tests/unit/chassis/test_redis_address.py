"""What an address of Redis may be, and what is said of one that may not."""

# ruff: noqa: D103 (a test's name is its claim)

from pathlib import Path

import pytest

from chassis.errors import CannotStart
from chassis.redis_address import read_address

CA = Path("/etc/purser/secrets/redis-ca.crt")


@pytest.mark.parametrize(
    ("text", "said", "is_cluster", "is_tls"),
    [
        ("redis://u:p@host:6379/0", False, False, False),
        ("redis://u:p@host:6379", True, True, False),
        ("redis+cluster://u:p@host:6379", False, True, False),
        ("rediss://u:p@host:6379/0", False, False, True),
        ("rediss://u:p@host:6379/0", True, True, True),
        ("rediss+cluster://u:p@host:6379", False, True, True),
        ("rediss+cluster://u:p@host:6379", True, True, True),
    ],
)
def test_the_scheme_says_what_it_is(text: str, said: bool, is_cluster: bool, is_tls: bool) -> None:
    """Or the setting, where a provider writes the address."""
    address = read_address(text, is_cluster=said, authority=CA if is_tls else None)
    assert (is_cluster, is_tls, "host") == (address.is_cluster, address.is_tls, address.host)
    assert address.options["username"] == "u"
    assert address.options["password"] == "p"
    assert "connection_class" not in address.options


def test_an_address_that_was_read_shows_no_password() -> None:
    address = read_address("rediss://u:hidden@host:6379/0", is_cluster=False, authority=CA)
    assert "hidden" not in repr(address)


def test_a_socket_and_a_database_may_be_named() -> None:
    options = read_address("unix:///run/redis.sock?db=3", is_cluster=False, authority=None).options
    assert options["path"] == "/run/redis.sock"
    assert options["db"] == 3
    assert read_address("redis://h/4", is_cluster=False, authority=None).options["db"] == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hidden",
        "http://u:hidden@host",
        "redis//u:hidden@host",
        "redis://u:hidden@host:x",
        "redis://u:hidden@[host",
        "redissssl://u:hidden@host",
        "ssl+redis+cluster://u:hidden@host",
        "unix+cluster:///hidden",
        "redis+cluster://:hidden@",
        "rediss+cluster://u:hidden@host:1/3",
    ],
)
def test_nonsense_is_told_what_an_address_looks_like(text: str) -> None:
    with pytest.raises(CannotStart, match="REDIS_URL must look like") as refused:
        read_address(text, is_cluster=False, authority=None)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "word", ["ssl_cert_reqs=none", "ssl_check_hostname=no", "ssl=true", "ssl_ca_certs=/hidden"]
)
@pytest.mark.parametrize("scheme", ["redis", "rediss", "rediss+cluster"])
def test_no_address_switches_the_checks_off(scheme: str, word: str) -> None:
    with pytest.raises(CannotStart, match="checked always, and REDIS_CA_FILE names") as refused:
        read_address(f"{scheme}://u:hidden@host:1?db=0&{word}", is_cluster=False, authority=None)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("query", ["protocol=3", "hidden@host", "timeout=", "db=1&hidden=2"])
def test_an_address_overrules_no_setting(query: str) -> None:
    """Nor ends the program later, in the midst of things; a password may have a question mark."""
    with pytest.raises(CannotStart, match="nothing but db after its question mark") as refused:
        read_address(f"redis://host?{query}", is_cluster=False, authority=None)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("text", ["redis://h", "redis+cluster://h", "unix:///s"])
def test_an_authority_for_nothing_is_refused(text: str) -> None:
    """Somebody believes that there is TLS."""
    with pytest.raises(CannotStart, match="REDIS_URL does not ask for TLS: it must begin with"):
        read_address(text, is_cluster=False, authority=CA)
