"""The few words the gateway says by itself fit where they go."""

import re

import pytest

from gateway.texts import COMMANDS, TOO_MANY_MESSAGES, in_language


def test_every_language_has_the_same_menu_in_the_same_order() -> None:
    """And Telegram takes each line: 1 to 32 of [a-z0-9_], 1 to 256 characters."""
    menus = list(COMMANDS.values())
    assert all(list(menu) == list(menus[0]) for menu in menus)
    for menu in menus:
        for command, line in menu.items():
            assert re.fullmatch(r"[a-z0-9_]{1,32}", command)
            assert 1 <= len(line) <= 256
    assert COMMANDS.keys() == TOO_MANY_MESSAGES.keys()


@pytest.mark.parametrize(
    ("tag", "language"),
    [("de", "de"), ("DE", "de"), ("de-CH", "de"), ("en-GB", "en"), ("eo", "en"), ("", "en")],
)
def test_a_language_is_the_first_part_of_its_tag(tag: str, language: str) -> None:
    """Whoever speaks none of ours reads English."""
    assert TOO_MANY_MESSAGES[language] == in_language(TOO_MANY_MESSAGES, tag)
