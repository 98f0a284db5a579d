"""Every variable the chart sets is a setting the program knows, with a value it takes."""

import logging
import re
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec
import pytest
from tests.contract.rendering import PLANS, Manifest, containers, pods, rendered

from chassis.command_line import MigrationSettings, StartSettings
from chassis.grpc_client import ClientSettings
from chassis.grpc_server import ServerSettings
from chassis.settings import SHARED_PREFIX, Secret, load
from gateway.settings import Settings as GatewaySettings
from gateway.settings import check as check_gateway
from ledger.settings import Settings as LedgerSettings
from pricing.settings import Settings as PricingSettings
from shard_operator.settings import Settings as OperatorSettings
from user_worker.settings import Settings as UserWorkerSettings
from wallet.settings import Settings as WalletSettings

ROOMS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "gateway": ("GATEWAY", GatewaySettings),
    "user-worker": ("USER_WORKER", UserWorkerSettings),
    "pricing": ("PRICING", PricingSettings),
    "wallet": ("WALLET", WalletSettings),
    "ledger": ("LEDGER", LedgerSettings),
    "operator": ("OPERATOR", OperatorSettings),
}
# The pod's own names, which other variables refer to.
FROM_THE_POD = {"POD_NAMESPACE": "shipping", "USER_WORKER_NAME": "purser-user-worker-0"}


def has_secret(annotation: Any) -> bool:
    """Say whether a field's type is a Secret, or one or nothing."""
    if get_origin(annotation) in (Union, types.UnionType):
        return any(has_secret(part) for part in get_args(annotation))
    return annotation is Secret


def names_of(cls: type[msgspec.Struct], prefix: str) -> Iterator[str]:
    """Give every variable that these settings are read from."""
    for field in msgspec.structs.fields(cls):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from names_of(field.type, prefix)
            continue
        suffix = "_FILE" if has_secret(field.type) else ""
        for start in (prefix, SHARED_PREFIX):
            yield f"{start}_{field.name.upper()}"
            yield f"{start}_{field.name.upper()}{suffix}"


def fields_of(cls: type[msgspec.Struct]) -> Iterator[str]:
    """Give the name of every setting, as often as it is read."""
    for field in msgspec.structs.fields(cls):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from fields_of(field.type)
        else:
            yield field.name


@pytest.mark.parametrize("part", ROOMS)
def test_no_variable_is_two_settings(part: str) -> None:
    """A budget of one thing must not bound another. One certificate is for both directions, and so
    is the size of a message."""
    both_ways = {*fields_of(ClientSettings)} & {*fields_of(ServerSettings)}
    counted = Counter(fields_of(ROOMS[part][1]))

    assert {name for name, count in counted.items() if count > 1} <= both_ways


def running() -> Iterator[Any]:
    """Each container of a part, in each plan."""
    for name in (*PLANS, "default", "everything"):
        for owner, pod in pods(rendered(name)):
            part = pod["metadata"]["labels"]["app.kubernetes.io/name"]
            if part in ROOMS:
                yield pytest.param(part, serving(pod), id=f"{name}-{owner}")


def serving(pod: Manifest) -> Manifest:
    """The part's own container; what runs before it has no settings."""
    container: Manifest = pod["spec"]["containers"][0]
    return container


def environment(container: Manifest) -> dict[str, str]:
    """What the program will find, names of the pod put in as kubelet does."""
    found: dict[str, str] = {}
    for variable in container["env"]:
        value = variable.get("value", FROM_THE_POD.get(variable["name"]))
        assert value is not None, variable
        found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], value)
    return found


@pytest.mark.parametrize(("part", "container"), list(running()))
def test_every_variable_is_a_setting_of_the_program(part: str, container: Manifest) -> None:
    """A misspelt one would be a setting that is not set."""
    prefix, cls = ROOMS[part]
    known = {*names_of(cls, prefix), *names_of(StartSettings, SHARED_PREFIX), "POD_NAMESPACE"}

    assert environment(container).keys() <= known


@pytest.mark.parametrize(("part", "container"), list(running()))
def test_the_program_takes_the_values(
    part: str, container: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Read by its own settings, from files where the chart names files: nothing is missing, nothing
    out of bounds, nothing unknown."""
    prefix, cls = ROOMS[part]
    environ = environment(container)
    for name, value in environ.items():
        if name.endswith("_FILE"):
            file = tmp_path / Path(value).name
            file.write_text("1:secret")
            environ[name] = str(file)

    with caplog.at_level(logging.WARNING):
        settings = load(cls, prefix, environ)
    if isinstance(settings, GatewaySettings):
        check_gateway(settings)

    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("name", [*PLANS, "default", "everything"])
def test_migrate_is_given_what_it_reads(name: str) -> None:
    """The owner's address, from a file, and patience."""
    known = {
        *names_of(MigrationSettings, SHARED_PREFIX),
        *names_of(StartSettings, SHARED_PREFIX),
        "PURSER_LOG_FORMAT",
    }
    steps = 0
    for owner, pod in pods(rendered(name)):
        if owner.startswith("Job/"):
            for container in containers(pod):
                assert {variable["name"] for variable in container["env"]} <= known
                steps += 1
    assert steps >= len(ROOMS)


def test_a_worker_knows_its_pool_by_namespace_and_name() -> None:
    """As its UserShard is called; the gateway's default pool is one of them."""
    pools = {}
    default = ""
    for owner, pod in pods(rendered("large")):
        found = environment_or_none(pod)
        if "USER_WORKER_POOL" in found:
            pools[owner] = found["USER_WORKER_POOL"]
        default = found.get("GATEWAY_POOL", default)

    assert pools == {
        "StatefulSet/purser-user-worker": "shipping.main",
        "StatefulSet/purser-user-worker-fast": "shipping.fast",
        "StatefulSet/purser-user-worker-spanish": "shipping.spanish",
        "StatefulSet/purser-user-worker-portuguese": "shipping.portuguese",
    }
    assert default == "shipping.main"


def test_rules_of_admission_name_pools_of_this_namespace_unless_they_say_another() -> None:
    """A plan does not know its namespace."""
    found = [environment_or_none(pod) for _, pod in pods(rendered("everything"))]
    (rules,) = [one["GATEWAY_ADMISSION_RULES"] for one in found if "GATEWAY_POOL" in one]

    assert rules == "shipping.fast:premium,elsewhere.main:language=de"


def environment_or_none(pod: Manifest) -> dict[str, str]:
    """The environment of a part's container; of other pods none."""
    part = pod["metadata"]["labels"]["app.kubernetes.io/name"]
    return environment(serving(pod)) if part in ROOMS else {}


def test_the_large_plan_has_a_redis_cluster_and_reads_from_a_replica() -> None:
    """Whoever has Redis' address is told that it is a cluster; the ledger alone has a replica."""
    has = {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]: environment(serving(pod))
        for owner, pod in pods(rendered("large"))
        if owner.startswith(("Deployment/", "StatefulSet/"))
    }
    redis = {part for part, found in has.items() if any("REDIS_URL" in name for name in found)}

    assert redis == {"gateway", "user-worker", "pricing", "operator"}
    assert redis == {part for part, found in has.items() if "PURSER_REDIS_CLUSTER" in found}
    replica = {part for part, found in has.items() if "LEDGER_REPLICA_DATABASE_URL_FILE" in found}
    assert replica == {"ledger"}


def test_whoever_asks_redis_is_given_its_authority_and_nobody_else() -> None:
    """Where the values say that the Secrets hold it; else the image's own are believed."""
    found = {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]: environment_or_none(pod)
        for owner, pod in pods(rendered("everything"))
        if owner.startswith(("Deployment/", "StatefulSet/"))
    }
    redis = {part for part, has in found.items() if any("REDIS_URL" in name for name in has)}

    assert redis == {"gateway", "user-worker", "pricing", "operator"}
    assert redis == {part for part, has in found.items() if "PURSER_REDIS_CA_FILE" in has}
    assert {found[part]["PURSER_REDIS_CA_FILE"] for part in redis} == {
        "/etc/purser/secrets/redis-ca.crt"
    }
    for name in PLANS:
        for _, pod in pods(rendered(name)):
            assert "PURSER_REDIS_CA_FILE" not in environment_or_none(pod)
