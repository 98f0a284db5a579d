"""What the run would start, as plans."""

from pathlib import Path

import pytest

from devbox.errors import CannotBegin
from devbox.processes import (
    Ports,
    ProcessPlan,
    World,
    plan_gateway,
    plan_simulator,
    plan_stores,
    plan_worker,
)
from devbox.roles import ROLES, Database
from devbox.settings import load_settings

OWNER_URL = "postgresql://owner:owner-secret@127.0.0.1:5432/purser?sslmode=disable"


def make_world(**environ: str) -> World:
    """A world with one gateway, and passwords that can be recognised."""
    return World(
        settings=load_settings(environ),
        ports=Ports(
            8081, 5432, 6379, gateways=(5001, 5002), pricing=5003, wallet=5004, ledger=5005
        ),
        database=Database(OWNER_URL, {role: f"{role}-secret" for role in ROLES}),
        redis_url="redis://:redis-secret@127.0.0.1:6379/0",
        bot_token="1:bot-secret",
        wallet_key_file=Path("/data/secrets/key"),
        environ=environ,
        cwd=Path("/"),
    )


def all_plans(world: World) -> list[ProcessPlan]:
    """Every process of a run."""
    return [
        plan_gateway(world, 0),
        plan_gateway(world, 1),
        plan_simulator(world),
        *plan_stores(world),
        plan_worker(world, 0),
    ]


def test_authorities_are_handed_on_with_the_redis_they_are_of() -> None:
    """The embedded one speaks no TLS, and a program that was given authorities would insist."""
    alone = make_world(PURSER_REDIS_CA_FILE="ca.crt")
    together = make_world(PURSER_REDIS_CA_FILE="ca.crt", PURSER_REDIS_URL="rediss://host")
    for plan in all_plans(alone):
        assert "PURSER_REDIS_CA_FILE" not in plan.environ
    for plan in all_plans(together):
        assert Path(plan.environ["PURSER_REDIS_CA_FILE"]) == Path("ca.crt").absolute()


def test_each_service_gets_its_own_role_and_no_other() -> None:
    """A service that could read another's password would be one with it."""
    expected = {
        "gateway-0": {"purser_gateway"},
        "gateway-1": {"purser_gateway"},
        "simulator": set(),
        # The paper venue is served by pricing's process, under a role of its own.
        "pricing": {"purser_pricing", "purser_venue"},
        "wallet": {"purser_wallet"},
        "ledger": {"purser_ledger"},
        "purser-user-worker-0": {"purser_worker"},
    }
    found = {
        plan.name: {
            role for role in ROLES if any(f"{role}-secret" in v for v in plan.environ.values())
        }
        for plan in all_plans(make_world())
    }
    assert expected == found


def test_no_secret_is_an_argument() -> None:
    """Arguments can be read by everyone on the machine."""
    for plan in all_plans(make_world()):
        assert not [word for word in plan.command if "secret" in word]


def test_no_secret_shows_in_a_plan() -> None:
    """Plans may be printed."""
    world = make_world()
    assert "secret@" not in repr(world)
    for plan in all_plans(world):
        assert "-secret" not in repr(plan)


def test_the_owner_of_the_database_is_withheld() -> None:
    """`PURSER_DATABASE_URL` would otherwise be every service's fallback, with all rights."""
    world = make_world(
        PURSER_DATABASE_URL=OWNER_URL,
        PURSER_VENUE_DATABASE_URL=OWNER_URL,
        DEVBOX_DATABASE_URL="",
        PURSER_PORT="9000",
    )
    for plan in all_plans(world):
        assert "PURSER_DATABASE_URL" not in plan.environ
        assert "PURSER_VENUE_DATABASE_URL" not in plan.environ
        assert "PURSER_PORT" not in plan.environ


def test_the_real_token_reaches_the_gateway_only() -> None:
    """The gateway is the only holder of the bot token."""
    world = make_world(TELEGRAM_BOT_TOKEN="1:real-token")
    holders = {plan.name for plan in all_plans(world) if "1:real-token" in plan.environ.values()}
    assert set() == holders
    assert "GATEWAY_TELEGRAM_API_URL" not in plan_gateway(world, 0).environ
    assert plan_gateway(world, 0).environ["GATEWAY_BOT_TOKEN"] == "1:bot-secret"


def test_workers_find_the_paper_venue_where_pricing_serves() -> None:
    """It has an address of its own, so that it can move out one day."""
    worker = plan_worker(make_world(), 0)
    assert worker.environ["PURSER_VENUE_ADDRESS"] == "127.0.0.1:5003"


def test_workers_know_every_gateway() -> None:
    """A worker delivers to whichever gateway is there."""
    worker = plan_worker(make_world(), 3)
    assert worker.environ["USER_WORKER_NAME"] == "purser-user-worker-3"
    assert worker.environ["PURSER_GATEWAY_ADDRESS"] == "ipv4:127.0.0.1:5001,127.0.0.1:5002"


def test_what_a_person_sets_for_a_service_passes_through() -> None:
    """`GATEWAY_LOG_LEVEL=debug make run` shall do what it says."""
    world = make_world(GATEWAY_LOG_LEVEL="debug", USER_WORKER_CONNECTIONS_MAX="9")
    assert plan_gateway(world, 0).environ["GATEWAY_LOG_LEVEL"] == "debug"
    assert plan_worker(world, 0).environ["USER_WORKER_CONNECTIONS_MAX"] == "9"


def test_more_workers_than_the_most_raise_the_most_unless_it_was_said() -> None:
    """`--workers 6` means six; together with an explicit bound below it is a contradiction."""
    assert load_settings({}, workers=6).workers_max == 6
    with pytest.raises(CannotBegin, match="DEVBOX_WORKERS_MAX"):
        load_settings({"PURSER_WORKERS_MAX": "3"}, workers=6)


@pytest.mark.parametrize("token", ["abc", "abc:def", "123:", ":x", "123: x"])
def test_what_is_no_bot_token_is_refused_before_anything_starts(token: str) -> None:
    """By the variable's name, and without showing it."""
    with pytest.raises(CannotBegin, match="TELEGRAM_BOT_TOKEN does not look like") as refusal:
        load_settings({"TELEGRAM_BOT_TOKEN": token})
    assert token not in str(refusal.value).replace("123456:AAAA", "")
