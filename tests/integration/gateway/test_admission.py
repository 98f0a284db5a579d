"""Newcomers of one bot, admitted to several pools: by rules, by an invitation, within each pool's
limits.
"""

from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from tests.integration.gateway.house import House, Running, post_updates, typed
from tests.integration.stores import pool_of

from devbox.database import Database
from gateway.admission_rules import parse_rules
from gateway.domain import Incoming
from gateway.postgres import AdmissionLimits, BacklogLimits, Directory, Inbox, Places
from gateway.translation import translate

MAIN, FAST, GERMAN = "default.main", "default.fast", "default.german"
RULES = f"{FAST}:start=vip, {GERMAN}:language=de, {FAST}:premium"
USERS_PER_SHARD = 3

_DECLARE = """
INSERT INTO placement.pools VALUES ($1, $2, $3, 40, 20)
ON CONFLICT (pool) DO UPDATE SET accept_new_users = $3
"""


async def declare(house: House, *pools: str, accepts: bool = True) -> None:
    """Write pools' policies, as their control loops would."""
    for pool in pools:
        await house.sql.execute(_DECLARE, pool, USERS_PER_SHARD, accepts)


def first(user: int, words: str = "hi", update_id: int | None = None, **who: Any) -> dict[str, Any]:
    """What somebody sends; `who` are fields of the sender."""
    update = typed(update_id or user, user, words)
    update["message"]["from"] |= who
    return update


async def where(house: House) -> Mapping[int, tuple[str, int]]:
    """Everybody's pool and shard."""
    rows = await house.sql.fetch("SELECT telegram_id, pool, shard FROM gateway.users")
    return {row["telegram_id"]: (row["pool"], row["shard"]) for row in rows}


async def pools_of(house: House) -> Mapping[int, str]:
    """Everybody's pool."""
    return {user: pool for user, (pool, _) in (await where(house)).items()}


async def sent(gateway: Running, *updates: dict[str, Any]) -> None:
    """Send updates one after another."""
    for update in updates:
        assert [200] == await post_updates([gateway], [update])


async def test_the_first_rule_that_fits_says_the_pool(house: House) -> None:
    """A start parameter, a language, Premium; nothing of it: the default."""
    await declare(house, MAIN, FAST, GERMAN)
    gateway = await house.open_webhook(ADMISSION_RULES=RULES)
    await sent(
        gateway,
        first(1, "/start vip"),
        first(2, language_code="de-AT"),
        first(3, is_premium=True),
        first(4, "/start vip", language_code="de", is_premium=True),
        first(5, "/start", language_code="den"),
        first(6, "vip"),
    )
    assert {1: FAST, 2: GERMAN, 3: FAST, 4: FAST, 5: MAIN, 6: MAIN} == await pools_of(house)
    (job,) = [job for job in await house.jobs(6) if job.language_code == "de-AT"]
    assert (GERMAN, 0) == (job.pool, job.shard)


async def test_newcomers_of_one_batch_go_to_their_own_pools(house: House) -> None:
    """Together in one transaction, each shard within its bound."""
    await declare(house, MAIN, FAST, GERMAN)
    gateway = await house.open_webhook(ADMISSION_RULES=RULES, ACCEPT_WAIT_MILLISECONDS="100")
    updates = [first(n, is_premium=n % 2 == 0) for n in range(1, 15)]
    assert [200] * len(updates) == await post_updates([gateway], updates)
    found = await where(house)
    assert {n: FAST if n % 2 == 0 else MAIN for n in range(1, 15)} == await pools_of(house)
    shards = list(found.values())
    assert max(shards.count(shard) for shard in shards) == USERS_PER_SHARD
    told = await house.sql.fetch("SELECT pool, shard, users FROM placement.shards WHERE users > 0")
    assert {(row["pool"], row["shard"]): row["users"] for row in told} == {
        shard: shards.count(shard) for shard in shards
    }


async def test_only_the_first_contact_counts(house: House) -> None:
    """What a user says later moves nobody; of several updates at once the first one counts."""
    await declare(house, MAIN, FAST, GERMAN)
    gateway = await house.open_webhook(ADMISSION_RULES=RULES, ACCEPT_WAIT_MILLISECONDS="100")
    await sent(gateway, first(1), first(1, "/start vip", 2, is_premium=True))
    assert {1: MAIN} == await pools_of(house)


@pytest.mark.parametrize("words", [("/start vip", "hi"), ("hi", "/start vip")])
async def test_of_a_batch_the_first_update_counts(
    words: tuple[str, str], database: Database
) -> None:
    """Not the one that says more."""
    limits = AdmissionLimits(users_max=10, sign_ups_per_minute_max=10, users_per_shard=50)
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute(_DECLARE, FAST, 50, True)
    updates = [translate(first(7, text, number)) for number, text in enumerate(words, 1)]
    async with pool_of(database, "purser_gateway") as pool:
        directory = Directory(pool, "default.main", limits, parse_rules(["default.fast:start=vip"]))
        inbox = Inbox(pool, 1, Places(1, directory, BacklogLimits(40, 5, 1000, 60.0)))
        await inbox.accept([update for update in updates if isinstance(update, Incoming)])
    assert (FAST if "vip" in words[0] else MAIN) == await owner.fetchval(
        "SELECT pool FROM gateway.users"
    )
    await owner.close()


@pytest.mark.parametrize("is_declared", [True, False])
async def test_a_pool_that_takes_nobody_is_passed_over(house: House, is_declared: bool) -> None:
    """Closed by its UserShard, or declared by none: the next rule, and at last the default."""
    await declare(house, MAIN, GERMAN)
    if is_declared:
        await declare(house, FAST, accepts=False)
    gateway = await house.open_webhook(ADMISSION_RULES=RULES)
    await sent(
        gateway,
        first(1, "/start vip"),
        first(2, "/start vip", language_code="de"),
        first(3, is_premium=True),
    )
    assert {1: MAIN, 2: GERMAN, 3: MAIN} == await pools_of(house)


async def test_when_no_pool_takes_them_strangers_are_turned_away(house: House) -> None:
    """And the default takes nobody in the place of another."""
    await declare(house, FAST, MAIN, accepts=False)
    await declare(house, GERMAN)
    gateway = await house.open_webhook(ADMISSION_RULES=RULES)
    await sent(gateway, first(1, "/start vip"), first(2), first(3, language_code="de"))
    assert {3: GERMAN} == await pools_of(house)


@pytest.mark.parametrize("at_once", [True, False])
async def test_limits_hold_for_each_pool(house: House, at_once: bool) -> None:
    """Who finds one full goes to the next, whether they come one by one or in one batch."""
    await declare(house, MAIN, FAST, GERMAN)
    gateway = await house.open_webhook(
        ADMISSION_RULES=RULES, USERS_MAX="2", ACCEPT_WAIT_MILLISECONDS="100" if at_once else "1"
    )
    updates = [first(n, is_premium=True) for n in range(1, 6)]
    if at_once:
        await post_updates([gateway], updates)
    else:
        await sent(gateway, *updates)
    pools = list((await pools_of(house)).values())
    assert (2, 2, 4) == (pools.count(FAST), pools.count(MAIN), len(pools))


async def test_each_pool_has_an_empty_shard_ahead(house: House) -> None:
    """From the start on, and after each that fills."""
    await declare(house, MAIN, FAST, GERMAN)
    gateway = await house.open_webhook(ADMISSION_RULES=RULES)
    look = "SELECT DISTINCT pool FROM gateway.shards WHERE users = 0 ORDER BY pool"
    assert [FAST, GERMAN, MAIN] == [row["pool"] for row in await house.sql.fetch(look)]
    await sent(gateway, *(first(n, is_premium=True) for n in range(1, USERS_PER_SHARD + 2)))
    assert [FAST, GERMAN, MAIN] == [row["pool"] for row in await house.sql.fetch(look)]


async def test_an_invitation_goes_above_everything(house: House) -> None:
    """The rules, a closed pool, its limits; it is used once, and others are not let in by it."""
    await declare(house, MAIN, GERMAN)
    await declare(house, FAST, accepts=False)
    gateway = await house.open_webhook(ADMISSION_RULES=RULES, USERS_MAX="1")
    bot = int(house.simulator.token.partition(":")[0])
    invite = "INSERT INTO gateway.invitations VALUES ($1, $2, $3)"
    for user in (1, 2):
        await house.sql.execute(invite, bot, user, FAST)
    await house.sql.execute(invite, bot + 1, 3, FAST)
    await sent(gateway, first(1, language_code="de"), first(2), first(3), first(4))
    assert {1: FAST, 2: FAST, 3: MAIN} == await pools_of(house)
    assert 1 == await house.sql.fetchval("SELECT count(*) FROM gateway.invitations")


async def test_two_gateways_admit_each_newcomer_once(house: House) -> None:
    """Also when they come to both at once, whatever pool they are for."""
    await declare(house, MAIN, FAST, GERMAN)
    gateways = [await house.open_webhook(ADMISSION_RULES=RULES) for _ in range(2)]
    updates = [
        first(n, "x", update_id, is_premium=n % 2 == 0)
        for n in range(1, 11)
        for update_id in (2 * n, 2 * n + 1)
    ]
    assert [200] * len(updates) == await post_updates(gateways, updates)
    assert {n: FAST if n % 2 == 0 else MAIN for n in range(1, 11)} == await pools_of(house)
    assert 20 == await house.sql.fetchval("SELECT count(*) FROM gateway.inbox")
