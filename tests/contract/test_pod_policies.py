"""What holds for every pod of every plan, whoever adds one."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.contract.rendering import (
    PLANS,
    Manifest,
    containers,
    of_kind,
    plan,
    pods,
    render,
    rendered,
)

ALL_PLANS = (*PLANS, "default", "everything")
SERVING = ("gateway", "user-worker", "pricing", "wallet", "ledger", "operator")

# The Secrets that exist before the release, and their keys.
SECRETS = {
    "purser-gateway": {
        "database-url",
        "redis-url",
        "redis-ca.crt",
        "bot-token",
        "webhook-secret",
    },
    "purser-user-worker": {"database-url", "redis-url", "redis-ca.crt", "session-database-url"},
    "purser-pricing": {"database-url", "venue-database-url", "redis-url", "redis-ca.crt"},
    "purser-wallet": {"database-url", "key-encryption-key"},
    "purser-ledger": {"database-url", "replica-database-url"},
    "purser-operator": {"database-url", "redis-url", "redis-ca.crt", "session-database-url"},
    "purser-migrations": {"database-url"},
}
TRIAL = "purser-trial"

# What bounds each part's connections to PostgreSQL.
POSTGRES_POOLS = {
    "gateway": ["GATEWAY_CONNECTIONS_MAX"],
    "user-worker": ["USER_WORKER_CONNECTIONS_MAX", "USER_WORKER_PLACEMENT_CONNECTIONS_MAX"],
    "pricing": ["PRICING_CONNECTIONS_MAX", "PRICING_VENUE_CONNECTIONS_MAX"],
    "wallet": ["WALLET_CONNECTIONS_MAX"],
    "ledger": ["LEDGER_CONNECTIONS_MAX"],
    "operator": ["OPERATOR_CONNECTIONS_MAX"],
}


def every_pod() -> Iterator[Any]:
    """Each pod template of each plan, as a parameter."""
    for name in ALL_PLANS:
        for owner, pod in pods(rendered(name)):
            yield pytest.param(pod, id=f"{name}-{owner}")


def serving_pods() -> Iterator[Any]:
    """Those of the parts that serve all the time."""
    for name in ALL_PLANS:
        for owner, pod in pods(rendered(name)):
            if pod["metadata"]["labels"]["app.kubernetes.io/name"] in SERVING:
                yield pytest.param(pod, id=f"{name}-{owner}")


@pytest.mark.parametrize("pod", list(every_pod()))
def test_every_pod_is_restricted(pod: Manifest) -> None:
    """Pod Security's strictest level, and a root file system nobody writes to."""
    spec = pod["spec"]
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 65532
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & spec.keys()
    for volume in spec["volumes"]:
        assert (
            len(volume.keys() & {"secret", "emptyDir", "configMap", "persistentVolumeClaim"}) == 1
        )
    for container in containers(pod):
        own = container["securityContext"]
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("pod", list(every_pod()))
def test_every_pod_has_its_own_account_and_no_token_but_the_operator(pod: Manifest) -> None:
    """A program that was broken into finds no way to the API server."""
    part = pod["metadata"]["labels"]["app.kubernetes.io/name"]

    assert pod["spec"]["serviceAccountName"] == f"purser-{part}"
    assert pod["spec"]["automountServiceAccountToken"] is (part == "operator")
    assert pod["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", ALL_PLANS)
def test_every_account_is_made_and_gives_no_token_by_itself(name: str) -> None:
    """A pod that names an account which is not there never starts."""
    accounts = of_kind(rendered(name), "ServiceAccount")
    needed = {pod["spec"]["serviceAccountName"] for _, pod in pods(rendered(name))}

    assert accounts.keys() == needed
    assert all(found["automountServiceAccountToken"] is False for found in accounts.values())


@pytest.mark.parametrize("pod", list(every_pod()))
def test_every_container_says_what_it_takes(pod: Manifest) -> None:
    """Requests for the scheduler, a limit of memory; none of the processor, which would only slow
    answers down."""
    for container in containers(pod):
        resources = container["resources"]
        assert resources["requests"].keys() == {"cpu", "memory"}
        assert resources["limits"].keys() == {"memory"}
        assert megabytes(resources["requests"]["memory"]) <= megabytes(
            resources["limits"]["memory"]
        )


@pytest.mark.parametrize("pod", list(serving_pods()))
def test_every_part_is_probed_and_given_the_time_it_needs(pod: Manifest) -> None:
    """kubelet's own gRPC probes on the port without TLS; started is allowed to take as long as the
    program waits for its schema, and ending as long as it drains."""
    (container,) = pod["spec"]["containers"]
    part = pod["metadata"]["labels"]["app.kubernetes.io/name"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if part == "operator":
            assert container[probe]["httpGet"]["port"] == "health"
        else:
            assert container[probe]["grpc"] == {"port": ports["health"]}
    startup = container["startupProbe"]
    waits = int(environment(container)["PURSER_START_TIMEOUT_SECONDS"])
    assert startup["periodSeconds"] * startup["failureThreshold"] > waits

    sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert (sleep > 0) is (part not in ("operator", "user-worker"))
    drains = 10 + (20 if part == "user-worker" else 0)
    assert pod["spec"]["terminationGracePeriodSeconds"] > sleep + drains


@pytest.mark.parametrize("pod", list(serving_pods()))
def test_the_pods_of_a_part_are_spread(pod: Manifest) -> None:
    """Over nodes and zones, as far as there are any; by labels the pods have."""
    spread = pod["spec"]["topologySpreadConstraints"]

    assert [constraint["topologyKey"] for constraint in spread] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    for constraint in spread:
        assert constraint["labelSelector"]["matchLabels"].items() <= (
            pod["metadata"]["labels"].items()
        )


@pytest.mark.parametrize("name", ALL_PLANS)
def test_no_image_is_left_to_chance(name: str) -> None:
    """Each has a tag or a digest, and never `latest`."""
    for _, pod in pods(rendered(name)):
        for container in containers(pod):
            assert re.fullmatch(r"purser/[a-z-]+:(?!latest)[A-Za-z0-9_.-]+", container["image"])


def test_every_image_can_be_pinned_by_digest_and_come_from_a_registry() -> None:
    """What was tested is what runs, byte by byte."""
    parts = ("gateway", "userWorker", "pricing", "wallet", "ledger", "operator", "trial")
    digests = {part: f"sha256:{number:064x}" for number, part in enumerate(parts)}
    values: dict[str, Any] = {part: {"image": {"digest": digests[part]}} for part in parts}
    values["trial"]["enabled"] = True
    values["image"] = {"registry": "registry.example.com/mirror"}

    images = {
        container["image"] for _, pod in pods(render(values)) for container in containers(pod)
    }

    assert {image.partition("@")[2] for image in images} == set(digests.values())
    assert all(image.startswith("registry.example.com/mirror/purser/") for image in images)


@pytest.mark.parametrize("name", ALL_PLANS)
def test_no_upgrade_writes_the_number_of_workers(name: str) -> None:
    """It is the operator's; an autoscaled Deployment's is the autoscaler's."""
    for worker in of_kind(rendered(name), "StatefulSet").values():
        if worker["metadata"]["labels"]["app.kubernetes.io/name"] == "user-worker":
            assert "replicas" not in worker["spec"]
            assert worker["spec"]["podManagementPolicy"] == "Parallel"
    scaled = {
        found["spec"]["scaleTargetRef"]["name"]
        for found in of_kind(rendered(name), "HorizontalPodAutoscaler").values()
    }
    for deployment, found in of_kind(rendered(name), "Deployment").items():
        assert ("replicas" in found["spec"]) is (deployment not in scaled)


@pytest.mark.parametrize("name", ALL_PLANS)
def test_a_budget_stands_over_more_than_one_replica_only(name: str) -> None:
    """Over a single one it would keep its node from being drained, or mean nothing."""
    objects = rendered(name)
    least = {
        deployment: found["spec"].get("replicas", 0)
        for deployment, found in of_kind(objects, "Deployment").items()
        if found["metadata"]["labels"]["app.kubernetes.io/name"] in SERVING
    }
    for scaler in of_kind(objects, "HorizontalPodAutoscaler").values():
        least[scaler["spec"]["scaleTargetRef"]["name"]] = scaler["spec"]["minReplicas"]
    for shard in of_kind(objects, "UserShard").values():
        workers = shard["spec"].get("workers", {}).get("minReplicas", 2)
        least[shard["spec"]["scaleTargetRef"]["name"]] = shard["spec"].get("replicas", workers)
    budgets = of_kind(objects, "PodDisruptionBudget")

    assert budgets.keys() == {owner for owner, replicas in least.items() if replicas > 1}
    assert all(found["spec"]["maxUnavailable"] == 1 for found in budgets.values())


@pytest.mark.parametrize("name", ALL_PLANS)
def test_every_selector_selects_the_pods_of_one_part(name: str) -> None:
    """A Service or a budget that selects nothing, or two parts, is worse than none."""
    objects = rendered(name)
    labels = {owner: pod["metadata"]["labels"] for owner, pod in pods(objects)}
    for kind in ("Service", "PodDisruptionBudget"):
        for found in of_kind(objects, kind).values():
            selector = found["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            selected = [owner for owner, own in labels.items() if selector.items() <= own.items()]
            assert len(selected) == 1, (kind, found["metadata"]["name"], selected)


@pytest.mark.parametrize("name", ALL_PLANS)
def test_the_chart_makes_no_secret_and_holds_none(name: str) -> None:
    """They exist before it; nothing that a dump of the release shows opens anything."""
    assert of_kind(rendered(name), "Secret") == {}
    for _, pod in pods(rendered(name)):
        for container in containers(pod):
            assert "envFrom" not in container
            for variable in container.get("env", []):
                assert "secretKeyRef" not in variable.get("valueFrom", {})


@pytest.mark.parametrize("pod", list(every_pod()))
def test_secrets_are_files_of_the_part_s_own_secret(pod: Manifest) -> None:
    """Mode 0440 through fsGroup; each file named is a key its Secret has."""
    volumes = {volume["name"]: volume.get("secret") for volume in pod["spec"]["volumes"]}
    part = pod["metadata"]["labels"]["app.kubernetes.io/name"]
    for container in containers(pod):
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        for name, value in environment(container).items():
            if not name.endswith("_FILE"):
                continue
            folder, _, key = value.rpartition("/")
            secret = volumes[mounts[folder]["name"]]
            assert mounts[folder]["readOnly"] is True
            assert secret is not None
            assert secret["defaultMode"] == 0o440
            if folder == "/etc/purser/tls":
                assert secret["secretName"] == f"purser-{part}-tls"
                assert key in {"tls.crt", "tls.key", "ca.crt"}
            elif part == "simulator":
                assert secret["secretName"] == "purser-gateway"
                assert [item["key"] for item in secret["items"]] == ["bot-token"]
            else:
                assert secret["secretName"] == f"purser-{part}"
                assert key in SECRETS[f"purser-{part}"]


@pytest.mark.parametrize("pod", list(every_pod()))
def test_every_key_of_a_part_s_secret_is_a_file(pod: Manifest) -> None:
    """docs/install.md has addresses name one of which the chart knows nothing: database-ca.crt."""
    part = pod["metadata"]["labels"]["app.kubernetes.io/name"]
    if f"purser-{part}" not in SECRETS:
        return
    (secret,) = [each["secret"] for each in pod["spec"]["volumes"] if each["name"] == "secrets"]
    assert "items" not in secret
    mounted = {
        mount["mountPath"]
        for container in containers(pod)
        for mount in container["volumeMounts"]
        if mount["name"] == "secrets"
    }
    assert mounted == {"/etc/purser/secrets"}


def test_nobody_but_its_owner_mounts_a_secret() -> None:
    """The bot's token is the gateway's and its simulator's, the wrapping key wallet's alone."""
    owners: dict[str, set[str]] = {}
    for _, pod in pods(rendered("dev")):
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume:
                part = pod["metadata"]["labels"]["app.kubernetes.io/name"]
                owners.setdefault(volume["secret"]["secretName"], set()).add(part)

    parts = ("gateway", "user-worker", "pricing", "wallet", "ledger")
    assert owners == {
        **{f"purser-{part}": {part} for part in (*parts, "operator", "migrations")},
        **{f"purser-{part}-tls": {part} for part in parts},
        "purser-gateway": {"gateway", "simulator"},
        TRIAL: {"postgres", "valkey", "migrations"},
    }


def test_the_small_plan_fits_into_a_gibibyte_and_twenty_connections() -> None:
    """The brief's cheap plan: 500 users, Redis of 30 MB, PostgreSQL with a budget."""
    objects = rendered("small")
    memory = 0.0
    connections = 0
    for owner, pod in pods(objects):
        part = pod["metadata"]["labels"]["app.kubernetes.io/name"]
        if part not in SERVING:
            continue
        replicas = of_kind(objects, "Deployment").get(f"purser-{part}", {"spec": {"replicas": 1}})
        assert replicas["spec"]["replicas"] == 1, owner
        (container,) = pod["spec"]["containers"]
        memory += megabytes(container["resources"]["limits"]["memory"])
        # Its default would be above what is left, so each has to be set.
        connections += sum(int(environment(container)[name]) for name in POSTGRES_POOLS[part])

    assert memory <= 1024
    assert connections <= 20
    (shard,) = of_kind(objects, "UserShard").values()
    assert shard["spec"]["workers"] == {"minReplicas": 1, "maxReplicas": 1}


def test_the_large_plan_has_room_for_its_users() -> None:
    """50,000 users: each pool's shards fit the workers there are at least, with one away."""
    share = {"main": 30_000, "fast": 6_000, "spanish": 7_000, "portuguese": 7_000}
    shards = of_kind(rendered("large"), "UserShard")
    assert sum(share.values()) >= 50_000
    assert shards.keys() == share.keys()
    for pool, users in share.items():
        spec = shards[pool]["spec"]
        workers = spec["workers"]["minReplicas"] - 1
        room = workers * spec["workers"].get("shardsPerWorkerMax", 40)
        assert room * spec.get("usersPerShard", 50) >= users, pool


def test_a_certificate_names_its_part_once_and_its_service_s_hosts() -> None:
    """The caller's identity is the one URI; a client checks the host it called."""
    certificates = of_kind(rendered("everything"), "Certificate")
    authority = certificates.pop("purser-tls-authority")
    assert authority["spec"]["isCA"] is True
    for name, found in certificates.items():
        part = name.removeprefix("purser-")
        assert found["spec"]["uris"] == [f"spiffe://purser.dev/{part}"]
        assert found["spec"]["secretName"] == f"purser-{part}-tls"
        domains = ("", ".shipping", ".shipping.svc", ".shipping.svc.cluster.local")
        assert set(found["spec"]["dnsNames"]) == {
            f"{star}purser-{part}{domain}" for domain in domains for star in ("", "*.")
        }
        assert {"server auth", "client auth"} <= set(found["spec"]["usages"])
    assert certificates.keys() == {
        f"purser-{part}" for part in ("gateway", "user-worker", "pricing", "wallet", "ledger")
    }


def environment(container: Manifest) -> dict[str, str]:
    """The variables that have a value of their own; none is set twice."""
    listed = container.get("env", [])
    assert len({variable["name"] for variable in listed}) == len(listed)
    return {found["name"]: found["value"] for found in listed if "value" in found}


def megabytes(quantity: str) -> float:
    """Read "128Mi" or "1Gi" as mebibytes."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit == "Gi" else 1)


def test_plans_are_files_of_the_chart() -> None:
    """No plan is forgotten here."""
    from tests.contract.rendering import CHART

    found = {path.stem.removeprefix("values-") for path in CHART.glob("values-*.yaml")}
    assert found == set(PLANS)
    assert all(plan(name) for name in PLANS)
