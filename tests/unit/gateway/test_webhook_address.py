"""Telegram is told where the webhook is until it listens: nobody is answered before."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs
from tests.unit.chassis.virtual_time import run

from chassis.settings import Secret
from gateway.errors import CallRefused, RetryLater, TelegramFailure, TokenRefused
from gateway.webhook_address import tell_webhook

URL = "https://bot.example.com/hook"


class FakeTelegram:
    """Fails as told, call by call; then keeps where updates go."""

    def __init__(self, *failures: TelegramFailure) -> None:
        self.failures = list(failures)
        self.url = ""

    async def set_webhook(
        self, url: str, secret: Secret, kinds: Sequence[str], connections_max: int
    ) -> None:
        """Deliver there."""
        assert (secret.reveal(), list(kinds), connections_max) == ("s3cret", ["message"], 40)
        if self.failures:
            raise self.failures.pop(0)
        self.url = url


@pytest.mark.parametrize(
    "failure", [RetryLater("away"), RetryLater("429", 60), CallRefused("no"), TokenRefused("no")]
)
def test_whatever_telegram_answers_it_is_told_again(failure: TelegramFailure) -> None:
    """A certificate it does not like, or a name it cannot resolve yet, is mended outside."""
    telegram = FakeTelegram(*[failure] * 20)
    with capture_logs() as logs:
        run(tell_webhook(telegram, URL, Secret("s3cret"), ["message"], 40))
    assert telegram.url == URL
    assert [entry["event"] for entry in logs] == ["set_webhook_failed"] * 20 + ["webhook_set"]
    assert "s3cret" not in str(logs)
