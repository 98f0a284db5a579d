"""The chart, rendered without a cluster and without the helm program, as the objects an API server
would be given."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import helm_python
import yaml

TREE = Path(__file__).parents[2]
CHART = TREE / "charts/purser"
DEFINITION = TREE / "charts/purser-crds/templates/usershard.yaml"
PLANS = ("dev", "small", "large")
NAMESPACE = "shipping"
"""Not the release's name, so that a mix-up of the two is seen."""

Manifest: TypeAlias = dict[str, Any]

# What the plans leave off, all at once, so that no template goes unread.
EVERYTHING: dict[str, Any] = {
    "tls": {"certManager": {"enabled": True}},
    "telemetry": {"serviceMonitor": {"enabled": True}, "otlpEndpoint": "http://collector:4317"},
    "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}]},
    "gateway": {
        "mode": "webhook",
        "autoscaling": {"enabled": True},
        "webhook": {"ingress": {"enabled": True, "host": "bot.example.com"}},
        "admissionRules": ["fast:premium", "elsewhere.main:language=de"],
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
    },
    "pricing": {"autoscaling": {"enabled": True}, "sources": "exchanges"},
    "operator": {"watchNamespaces": ["*"]},
    "redis": {"cluster": True},
    "secrets": {"sessionUrls": True, "replicaUrls": True, "redisCa": True},
    "image": {"pullSecrets": ["registry"]},
    "development": {"writableSource": True},
    "trial": {"enabled": True, "storage": {"size": "1Gi", "className": "local"}},
    "pools": [{"name": "main"}, {"name": "fast", "userShard": {"create": False}}],
}


@cache
def chart() -> helm_python.Chart:
    """The chart, loaded once."""
    return helm_python.Chart.load(str(CHART))


def plan(name: str) -> dict[str, Any]:
    """Give the values of `values-<name>.yaml`, of "default" (none) or of "everything"."""
    if name == "everything":
        return EVERYTHING
    if name == "default":
        return {}
    values: dict[str, Any] = yaml.safe_load((CHART / f"values-{name}.yaml").read_text())
    return values


def render_texts(values: dict[str, Any], *, release: str = "purser") -> dict[str, str]:
    """Render; gives each template's text. Raises helm_python's errors."""
    return chart().render(values, name=release, namespace=NAMESPACE)


def render(values: dict[str, Any], *, release: str = "purser") -> list[Manifest]:
    """Render; gives the objects."""
    return [
        document
        for template, text in render_texts(values, release=release).items()
        if not template.endswith("NOTES.txt")
        for document in yaml.safe_load_all(text)
        if document
    ]


@cache
def rendered(name: str) -> tuple[Manifest, ...]:
    """The objects of a plan, rendered once; not to be changed."""
    return tuple(render(plan(name)))


def of_kind(objects: tuple[Manifest, ...] | list[Manifest], kind: str) -> dict[str, Manifest]:
    """The objects of a kind by name."""
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def pods(objects: tuple[Manifest, ...] | list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod there will be, as (Kind/name of what makes it, its template)."""
    for found in objects:
        name = f"{found['kind']}/{found['metadata']['name']}"
        if found["kind"] == "Pod":
            yield name, found
        elif "template" in found.get("spec", {}) and found["kind"] != "Certificate":
            yield name, found["spec"]["template"]


def containers(pod: Manifest) -> list[Manifest]:
    """All containers of a pod, those at its start included."""
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]
