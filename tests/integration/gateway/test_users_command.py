"""`python -m gateway users` as an SRE types it: what is printed, what is done, the exit status."""

import asyncio
import os
import sys

from tests.integration.gateway.house import House, post_updates, typed
from tests.integration.gateway.test_admission import FAST, MAIN, declare, pools_of, where

NOTHING_DONE, NOT_FOUND, WRONG = 4, 3, 2


async def users(house: House, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Type a command; its exit status, what it printed, what it complained of."""
    own = {
        "PATH": os.environ["PATH"],
        "GATEWAY_USERS_DATABASE_URL": house.database.url("purser_user_mover"),
        "GATEWAY_USERS_OWNERS_WAIT_SECONDS": "0.1",
        "GATEWAY_USERS_MOVE_REST_SECONDS": "0.01",
        "PYTHONWARNINGS": "error",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "gateway", "users", *arguments),
        env={name: value for name, value in (own | environ).items() if value},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        printed, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode(), complained.decode()


async def populated(house: House, count: int) -> None:
    """Users 1, 2, 3, … in the standard pool, three to a shard; the other pool is closed."""
    await declare(house, MAIN)
    await declare(house, FAST, accepts=False)
    gateway = await house.open_webhook()
    for user in range(1, count + 1):
        await post_updates([gateway], [typed(user, user, "hi")])


async def test_a_user_is_shown_moved_and_there(house: House) -> None:
    """With what is to be done said once; nothing that was typed is shown."""
    await populated(house, 1)
    status, printed, _ = await users(house, "show", "1")
    assert (0, True) == (status, "shard      default.main/0\n" in printed)
    moved = await users(house, "move", "1", "--pool", FAST)
    assert (0, "Moved 1 from default.main/0 to default.fast/0.\n", "") == moved
    assert {1: (FAST, 0)} == await where(house)
    again = await users(house, "move", "1", "--pool", FAST)
    assert (NOTHING_DONE, "Nothing was done: 1 is in default.fast already.\n", "") == again
    _, printed, _ = await users(house, "show", "1")
    assert "shard      default.fast/0\n" in printed


async def test_a_pool_is_emptied_step_by_step(house: House) -> None:
    """Within the limit, a shard at a time, telling how far it is; then it says that it is done."""
    await populated(house, 7)
    status, printed, _ = await users(house, "move", "--from", MAIN, "--limit", "4", "--pool", FAST)
    assert status == 0
    assert printed.splitlines() == [
        "Moved 3 users from default.main/0 to default.fast/0. 3 so far.",
        "Moved 4 from default.main/1 to default.fast/1. 4 so far.",
        "Done: 4 moved from default.main to default.fast.",
    ]
    status, printed, _ = await users(house, "move", "--from", MAIN, "--pool", FAST)
    assert "Done: 3 moved from default.main to default.fast." == printed.splitlines()[-1]
    assert {FAST} == set((await pools_of(house)).values())
    status, printed, _ = await users(house, "move", "--from", MAIN, "--pool", FAST)
    assert (NOTHING_DONE, True) == (status, "nobody of default.main" in printed)


async def test_users_are_listed_page_by_page(house: House) -> None:
    """By shard and Telegram id; the page says how the next one is asked for."""
    await populated(house, 5)
    status, printed, _ = await users(house, "list", "--pool", MAIN, "--limit", "2")
    lines = printed.splitlines()
    assert (0, "more: list --after 0/2") == (status, lines[-1])
    assert [["0", "1"], ["0", "2"]] == [line.split()[:2] for line in lines[1:3]]
    _, printed, _ = await users(house, "list", "--pool", MAIN, "--after", "0/2")
    assert [["0", "3"], ["1", "4"], ["1", "5"]] == [
        line.split()[:2] for line in printed.splitlines()[1:]
    ]
    assert (0, "Nobody.\n", "") == await users(house, "list", "--pool", FAST)


async def test_who_is_invited_is_listed_after_the_last_user(house: House) -> None:
    """Or a pool that is closed would take them, and nobody answers there; invited elsewhere, they
    come elsewhere."""
    await populated(house, 2)
    for stranger in ("8", "9"):
        await users(house, "admit", stranger, "--pool", FAST)
    assert (0, "Nobody.\ninvited: 9, 8\n", "") == await users(house, "list", "--pool", FAST)
    await users(house, "admit", "9", "--pool", MAIN)
    assert (0, "Nobody.\ninvited: 8\n", "") == await users(house, "list", "--pool", FAST)
    _, printed, _ = await users(house, "list", "--pool", MAIN, "--limit", "2")
    assert "more: list --after 0/2" == printed.splitlines()[-1]
    _, printed, _ = await users(house, "list", "--pool", MAIN)
    assert "invited: 9" == printed.splitlines()[-1]


async def test_a_stranger_is_invited(house: House) -> None:
    """To a pool that accepts no new users; a later invitation replaces it."""
    await populated(house, 1)
    gateway = await house.open_webhook()
    admitted = await users(house, "admit", "9", "--pool", MAIN)
    assert (0, "9 will be admitted to default.main.\n", "") == admitted
    await users(house, "admit", "9", "--pool", FAST)
    status, printed, _ = await users(house, "show", "9")
    assert (0, "9 has never written, and is invited to default.fast.\n") == (status, printed)
    await post_updates([gateway], [typed(9, 9, "hi")])
    assert FAST == (await pools_of(house))[9]
    status, _, complained = await users(house, "admit", "9", "--pool", MAIN)
    assert (NOTHING_DONE, True) == (status, "is a user of the pool default.fast" in complained)


async def test_who_and_what_is_not_there_is_said(house: House) -> None:
    """In one sentence, by another status."""
    await populated(house, 1)
    for arguments, words in (
        (("show", "99"), "99"),
        (("move", "99", "--pool", FAST), "99"),
        (("move", "1", "--pool", "default.nowhere"), "default.nowhere"),
        (("move", "--from", MAIN, "--pool", "default.nowhere"), "default.nowhere"),
        (("admit", "99", "--pool", "default.nowhere"), "no UserShard has declared"),
    ):
        status, printed, complained = await users(house, *arguments)
        assert (NOT_FOUND, "", 1) == (status, printed, complained.count("\n")), complained
        assert words in complained


async def test_what_cannot_be_understood_is_said(house: House) -> None:
    """Before anything is connected to."""
    for arguments in (
        (),
        ("move", "--pool", FAST),
        ("move", "1", "--from", MAIN, "--pool", FAST),
        ("move", "1"),
        ("move", "0", "--pool", FAST),
        ("move", "x", "--pool", FAST),
        ("move", "1", "--pool", "NOT A POOL"),
        ("list", "--pool", MAIN, "--limit", "1001"),
        ("list", "--pool", MAIN, "--after", "x"),
        ("forget", "1"),
    ):
        status, printed, complained = await users(house, *arguments, GATEWAY_USERS_DATABASE_URL="")
        assert (WRONG, "") == (status, printed), complained
    status, _, complained = await users(house, "show", "1", GATEWAY_USERS_DATABASE_URL="")
    assert (WRONG, True) == (status, "GATEWAY_USERS_DATABASE_URL" in complained)


async def test_a_database_that_is_away_is_said(house: House) -> None:
    """In one sentence, without the address and its password."""
    url = "postgresql://purser_user_mover:hidden@127.0.0.1:1/purser"
    status, printed, complained = await users(house, "show", "1", GATEWAY_USERS_DATABASE_URL=url)
    assert (1, "", 1) == (status, printed, complained.count("\n"))
    assert "hidden" not in complained


async def test_a_role_that_may_not_is_said(house: House) -> None:
    """In one sentence, also where the role may read; nobody is moved or invited."""
    await populated(house, 1)
    for role, arguments in (
        ("purser_ledger", ("show", "1")),
        ("purser_gateway", ("move", "1", "--pool", FAST)),
        ("purser_gateway", ("admit", "9", "--pool", FAST)),
    ):
        url = house.database.url(role)
        told = await users(house, *arguments, GATEWAY_USERS_DATABASE_URL=url)
        status, printed, complained = told
        assert (1, "", 1) == (status, printed, complained.count("\n")), complained
        assert "42501" in complained
        assert "the role purser_user_mover" in complained
    assert {1: MAIN} == await pools_of(house)
    status, _, complained = await users(house, "show", "1", GATEWAY_USERS_BOT_ID=str(2**63))
    assert (WRONG, 1) == (status, complained.count("\n")), complained


async def test_the_bot_must_be_known(house: House) -> None:
    """An empty database says nothing of it, so it has to be named."""
    await declare(house, MAIN)
    status, _, complained = await users(house, "admit", "9", "--pool", MAIN)
    assert (1, True) == (status, "GATEWAY_USERS_BOT_ID" in complained)
    bot = house.simulator.token.partition(":")[0]
    status, _, _ = await users(house, "admit", "9", "--pool", MAIN, GATEWAY_USERS_BOT_ID=bot)
    assert status == 0
    gateway = await house.open_webhook()
    await post_updates([gateway], [typed(9, 9, "hi")])
    assert {9: MAIN} == await pools_of(house)


async def test_help_has_examples(house: House) -> None:
    """Of every verb, without any setting."""
    for verb in ((), ("show",), ("admit",), ("list",), ("move",)):
        status, printed, _ = await users(house, *verb, "--help", GATEWAY_USERS_DATABASE_URL="")
        assert (0, True) == (status, "users move 123456789 --pool default.fast" in printed)
