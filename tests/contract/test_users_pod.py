"""The pod for `python -m gateway users`: as the chart's pods are, and able to do no more than its
role.
"""

import re
from pathlib import PurePosixPath

import kubernetes_validate
import pytest
import yaml
from tests.contract.rendering import PLANS, TREE, Manifest, of_kind, pods, rendered
from tests.contract.test_network_policies import PORTS, POSTGRES, admits, labels_of, selects

from devbox.cluster_secrets.wanted import ADDRESSES
from gateway.users_command.doing import PREFIX

FILE = TREE / "k8s/users-pod.yaml"
POD: Manifest = yaml.safe_load(FILE.read_text())
LABELS: dict[str, str] = POD["metadata"]["labels"]
(CONTAINER,) = POD["spec"]["containers"]
PAGE = (TREE / "docs/second-pool.md").read_text()


def chart_pod(owner: str) -> Manifest:
    """A pod of the chart's, of the plan for trying out."""
    return dict(pods(rendered("dev")))[owner]


@pytest.mark.parametrize("version", ["1.30", "1.33", "1.37"])
def test_it_fits_kubernetes_schema(version: str) -> None:
    """Strictly: a misspelt field is a fault."""
    kubernetes_validate.validate(POD, version, strict=True)


def test_it_is_as_restricted_as_the_gateway_and_has_its_image() -> None:
    """The page puts the release's image in place of that one."""
    theirs = chart_pod("Deployment/purser-gateway")["spec"]
    (gateway,) = theirs["containers"]
    for field in ("securityContext", "automountServiceAccountToken", "enableServiceLinks"):
        assert POD["spec"][field] == theirs[field]
    assert CONTAINER["securityContext"] == gateway["securityContext"]
    assert CONTAINER["image"] == gateway["image"]
    assert f'sed "s|{CONTAINER["image"]}|$image|" {FILE.relative_to(TREE)}' in PAGE
    assert {"cpu", "memory"} <= CONTAINER["resources"]["requests"].keys()
    assert "memory" in CONTAINER["resources"]["limits"]


def test_it_reads_the_movers_address_from_its_own_secret() -> None:
    """A file, by the setting that the command reads; the trial's Secret has that role's."""
    (setting,) = CONTAINER["env"]
    assert setting["name"] == f"{PREFIX}_DATABASE_URL_FILE"
    file = PurePosixPath(setting["value"])
    (mount,) = (m for m in CONTAINER["volumeMounts"] if m["mountPath"] == str(file.parent))
    (secret,) = (v["secret"] for v in POD["spec"]["volumes"] if v["name"] == mount["name"])
    assert secret == {"secretName": "purser-users", "defaultMode": 0o440}
    assert {file.name: "purser_user_mover"} == ADDRESSES["users"]
    assert f"create secret generic {secret['secretName']} --from-file={file.name}=" in PAGE


def test_no_pod_of_the_release_has_that_secret() -> None:
    """A service that could move users would hold others' money in its hands."""
    for name in PLANS:
        for owner, pod in pods(rendered(name)):
            mounted = {v.get("secret", {}).get("secretName") for v in pod["spec"]["volumes"]}
            assert "purser-users" not in mounted, owner


@pytest.mark.parametrize("name", PLANS)
def test_to_the_network_it_is_the_migrations(name: str) -> None:
    """PostgreSQL and names, wherever the values say they are; nobody reaches it, and no Service
    sends anybody there.
    """
    objects = rendered(name)
    policies = of_kind(objects, "NetworkPolicy")
    concerned = {n for n, p in policies.items() if selects(p["spec"]["podSelector"], LABELS)}
    assert concerned == {"purser-default-deny", "purser-migrations"}
    assert labels_of(objects)["migrations"] == LABELS
    if name == "dev":
        trial = labels_of(objects)["postgres"]
        entrance = policies["purser-postgres"]["spec"]["ingress"]
        reached = {port for port in PORTS if admits(entrance, "from", LABELS, port)}
        assert reached == {POSTGRES}
        assert admits(policies["purser-migrations"]["spec"]["egress"], "to", trial, POSTGRES)
    for service in of_kind(objects, "Service").values():
        assert not selects({"matchLabels": service["spec"]["selector"]}, LABELS)
    assert POD["spec"]["serviceAccountName"] in of_kind(objects, "ServiceAccount")


def test_the_page_asks_for_the_pod_by_its_name() -> None:
    """To wait for it, to run the command in it, to end it."""
    name = POD["metadata"]["name"]
    assert set(re.findall(r"(?:pod/|pod |exec )(purser-[a-z-]+)", PAGE)) == {name}
