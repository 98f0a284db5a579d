"""The menu is shown in every language, and nobody stops for it."""

from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs
from tests.unit.chassis.virtual_time import run

from gateway.errors import CallRefused, RetryLater, TelegramFailure, TokenRefused
from gateway.menu import PAUSE_SECONDS, TRIES_MAX, show_menu
from gateway.texts import COMMANDS


class FakeTelegram:
    """Fails as told, call by call; then keeps what it is to show."""

    def __init__(self, *failures: TelegramFailure) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.shown: dict[str, Mapping[str, str]] = {}

    async def set_commands(self, commands: Mapping[str, str], language_code: str) -> None:
        """Show them."""
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        self.shown[language_code] = commands


def test_everybody_sees_english_and_germans_german() -> None:
    """Also after Telegram was busy for a while."""
    telegram = FakeTelegram(RetryLater("away"), RetryLater("429", PAUSE_SECONDS * 2))
    run(show_menu(telegram))
    assert {"": COMMANDS["en"], "de": COMMANDS["de"]} == telegram.shown


@pytest.mark.parametrize("failure", [CallRefused("no"), TokenRefused("no")])
def test_a_refusal_is_a_line_in_the_log(failure: TelegramFailure) -> None:
    """And the other language is shown all the same."""
    telegram = FakeTelegram(failure)
    with capture_logs() as logs:
        run(show_menu(telegram))
    assert {"de"} == telegram.shown.keys()
    assert ["menu_not_shown"] == [entry["event"] for entry in logs]


def test_a_telegram_that_stays_away_is_given_up_on() -> None:
    """After a named number of tries."""
    telegram = FakeTelegram(*[RetryLater("away")] * (2 * TRIES_MAX))
    run(show_menu(telegram))
    assert telegram.calls == 2 * TRIES_MAX
    assert telegram.shown == {}
