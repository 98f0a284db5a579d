"""What a user's app shows as the bot's menu."""

from tests.integration.gateway.house import House, eventually

from devbox.telegram import FaultSettings
from devbox.telegram.bot_profile import commands_for
from gateway.texts import COMMANDS


async def menu_of(house: House, language: str) -> dict[str, str]:
    """The menu in an app of that language, once there is one."""

    async def shown() -> list[dict[str, str]]:
        return commands_for(house.simulator.world, {"id": 5, "language_code": language})

    found = await eventually(shown)
    return {command["command"]: command["description"] for command in found}


async def test_the_menu_is_there_after_a_start_in_the_apps_language(house: House) -> None:
    """Twice is no harm: every gateway tells Telegram."""
    await house.open_gateway()
    await house.open_gateway()

    async def german() -> bool:
        return await menu_of(house, "de") == COMMANDS["de"]

    assert await eventually(german)
    assert COMMANDS["en"] == await menu_of(house, "en")
    assert COMMANDS["en"] == await menu_of(house, "fr")


async def test_a_gateway_serves_without_a_menu(house: House) -> None:
    """Telegram does not take it; messages come in all the same."""
    house.simulator.world.faults.set(FaultSettings(status_500=1.0, methods=["setMyCommands"]))
    await house.open_gateway()
    house.say(5, "hi")
    (job,) = await house.jobs()
    assert job.text.text == "hi"
