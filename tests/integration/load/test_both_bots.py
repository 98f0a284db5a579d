"""Both bots hold the same conversation, and the crowd sees what they do."""

from pathlib import Path

import pytest
from tests.fakes.exchanges import FakeExchanges, fake_exchanges
from tests.load import bots, schedule
from tests.load.basic_conversation import converse
from tests.load.crowd import Crowd
from tests.load.mix import PURCHASES, Kind

from devbox.telegram.server import Simulator


def market(exchanges: FakeExchanges) -> None:
    """Give the exchanges nine symbols."""
    exchanges.prices = {name: dict(bots.PRICES) for name in ("binance", "kraken")}


@pytest.mark.long
async def test_the_baseline_holds_the_conversation_bears_a_load_and_comes_back(
    tmp_path: Path,
) -> None:
    """The scripted user, then thirty more at once; each purchase is in its books once. Killed, it
    is started again and holds the conversation with the next one.
    """
    async with fake_exchanges() as exchanges, Simulator() as simulator:
        market(exchanges)
        async with bots.baseline(tmp_path, simulator, exchanges) as bot:
            await converse(simulator, user_id=7)
            crowd = Crowd(simulator, seed=1)
            await crowd.load(schedule.first_contacts(range(30), per_second=100), 10)
            load = await crowd.load(schedule.burst(30, PURCHASES, seed=2), 10)
            bought = await bot.purchases()
            await bot.check_books()
            killed = bot.processes()
            bots.kill(bot, "bot")
            await converse(simulator, user_id=8)
            assert bot.processes() != killed

    assert load.unanswered == []
    assert dict(load.refusals) == {}
    confirmed = [ask for ask in load.asks if ask.kind is Kind.CONFIRM]
    assert len(confirmed) > 5
    assert all(bought[ask.user + 10_000, ask.worth] == 1 for ask in confirmed)


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_purser_holds_the_same_conversation(tmp_path: Path) -> None:
    """On the same simulated Telegram and exchanges."""
    async with fake_exchanges() as exchanges, Simulator() as simulator:
        market(exchanges)
        async with bots.purser(tmp_path, simulator, exchanges) as bot:
            await converse(simulator, user_id=7)
            await bot.check_books()


async def test_the_exchanges_limit_and_count() -> None:
    """Above so many calls in a second comes 429, as from a public API."""
    import aiohttp

    async with fake_exchanges() as exchanges, aiohttp.ClientSession() as http:
        exchanges.calls_per_second_max = 2
        url = f"{exchanges.url}/binance/api/v3/ticker/bookTicker"
        found = []
        for _ in range(7):
            async with http.get(url) as answer:
                found.append(answer.status)
    assert found.count(429) >= 3  # seven calls in at most two seconds of the clock
    assert exchanges.calls["binance refused"] == found.count(429)
    assert exchanges.calls["binance"] == 7
