"""Redaction: what must never be written is hidden wherever it turns up."""

# ruff: noqa: D103 (a test's name is its claim)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.redaction import TEXT_CHARACTERS_MAX, redact, redact_text
from chassis.settings import Secret

TOKEN = "123456789:AAF-abc_DEFghijklmnopqrstuvwxyz12"
KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            f"GET https://api.telegram.org/bot{TOKEN}/getMe",
            "GET https://api.telegram.org/bot****/getMe",
        ),
        (f"key 0x{KEY}.", "key ****."),
        (f"key {KEY.upper()}", "key ****"),
        ("postgresql://role:p%40ss@db:5432/x", "postgresql://role:****@db:5432/x"),
        ("redis://:only@db/0", "redis://:****@db/0"),
        ('a "redis://u:p"w@db" b', 'a "redis://u:****@db" b'),
        ("http://127.0.0.1:8081/x", "http://127.0.0.1:8081/x"),
        ("took 12:30:45, trace 0af7651916cd43dd8448eb211c80319c",) * 2,
        ("01a209af-808b-7fa3-8020-98f8455fbeb1",) * 2,
    ],
)
def test_text_loses_its_secrets_and_nothing_else(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@given(st.text(), st.text(), st.sampled_from([f"{TOKEN} ", f" 0x{KEY} ", "://u:hidden!@"]))
def test_a_secret_is_found_between_any_other_text(before: str, after: str, secret: str) -> None:
    shown = redact_text(before + secret + after)
    assert TOKEN not in shown
    assert KEY not in shown
    assert "hidden!" not in shown


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "bot_token",
        "private_key",
        "PrivateKey",
        "api_key",
        "mnemonic",
        "client_secret",
        "seed_phrase",
        "Authorization",
        "data_key",
        "pin",
        "totp",
        "key",
    ],
)
def test_a_name_that_speaks_of_a_secret_hides_whatever_it_holds(name: str) -> None:
    assert redact(name, "short") == "****"
    assert redact("outer", {name: ["short"]}) == {name: "****"}


@pytest.mark.parametrize(
    "name", ["idempotency_key", "message_key", "keyboard", "symbol", "tokens_left"][:4]
)
def test_names_of_everyday_things_hide_nothing(name: str) -> None:
    assert redact(name, "short") == "short"


def test_secrets_inside_other_values_are_hidden() -> None:
    class Odd:
        def __str__(self) -> str:
            return f"Odd({TOKEN})"

    value = [Secret("x"), {"a": (f"0x{KEY}", b"\x00\x01")}, Odd(), ValueError(TOKEN)]
    assert redact("value", value) == ["****", {"a": ["****", "<2 bytes>"]}, "Odd(****)", "****"]


def test_a_value_that_cannot_be_shown_does_not_break_the_line() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError(TOKEN)

    assert redact("value", Broken()) == "<Broken that cannot be shown: RuntimeError>"


def test_a_long_text_is_cut_but_never_through_a_secret() -> None:
    half = TEXT_CHARACTERS_MAX // 2
    text = "x" * (half - 20) + f" 0x{KEY} " + "y" * half * 3
    shown = redact_text(text)
    assert len(shown) < TEXT_CHARACTERS_MAX + 100
    assert KEY[:16] not in shown


def test_deep_and_wide_values_are_bounded() -> None:
    deep: object = "end"
    for _ in range(50):
        deep = [deep]
    assert "end" not in str(redact("deep", deep))
    wide = redact("wide", list(range(1000)))
    assert len(wide) == 100
