"""What a container's process is started with: its variables, command and arguments, by Kubernetes'
rules. Pure.

Later variables win over earlier ones, `env` over `envFrom`; `$(NAME)` is replaced by a variable
defined before it and left alone otherwise; `$$(NAME)` is a literal `$(NAME)`.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.cluster.api import JsonObject

FIELDS = {
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
}
"""What `fieldRef` may name, beside `metadata.labels['…']` and `metadata.annotations['…']`."""

_MAP_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_REFERENCE = re.compile(r"\$\$|\$\(([^()]*)\)")


class ConfigError(Exception):
    """The container cannot be started until the cluster holds something it does not: try later."""


@dataclass(frozen=True)
class Source:
    """A ConfigMap or Secret that a container's variables come from."""

    kind: str
    """`configmaps` or `secrets`."""
    name: str


def needed_sources(container: JsonObject) -> set[Source]:
    """What has to be fetched before `resolve_environment` can answer."""
    return {source for source, _ in _references(container)}


def resolve_environment(
    container: JsonObject, pod: JsonObject, sources: Mapping[Source, JsonObject | None]
) -> dict[str, str]:
    """The container's own variables. `sources` has an answer, perhaps None, for each of
    `needed_sources`.

    Raises ConfigError when something that is not optional is missing.
    """
    variables: dict[str, str] = {}
    for entry in container.get("envFrom", []):
        source, reference = _source_of(entry)
        values = _contents(source, sources[source])
        if values is None and not reference.get("optional"):
            raise ConfigError(f"{source.kind} {source.name!r} not found")
        prefix = entry.get("prefix", "")
        variables |= {prefix + key: value for key, value in (values or {}).items()}
    for entry in container.get("env", []):
        value = _value(entry, pod, sources, variables)
        if value is not None:
            variables[entry["name"]] = value
    return variables


def command_line(
    container: JsonObject, entrypoint: Sequence[str], variables: Mapping[str, str]
) -> list[str]:
    """The program and its arguments; `entrypoint` is the image's, used when the container names no
    command.
    """
    command = [expand(part, variables) for part in container.get("command", [])]
    arguments = [expand(part, variables) for part in container.get("args", [])]
    return [*(command or entrypoint), *arguments]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces `$(NAME)` by the variable, as the kubelet does."""

    def replacement(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return variables.get(found[1], found[0])

    return _REFERENCE.sub(replacement, text)


def _references(container: JsonObject) -> Iterator[tuple[Source, JsonObject]]:
    for entry in container.get("envFrom", []):
        yield _source_of(entry)
    for entry in container.get("env", []):
        origin = entry.get("valueFrom", {})
        if reference := origin.get("configMapKeyRef"):
            yield Source("configmaps", reference["name"]), reference
        elif reference := origin.get("secretKeyRef"):
            yield Source("secrets", reference["name"]), reference


def _source_of(entry: JsonObject) -> tuple[Source, JsonObject]:
    kind, key = (
        ("configmaps", "configMapRef") if "configMapRef" in entry else ("secrets", "secretRef")
    )
    return Source(kind, entry[key]["name"]), entry[key]


def _contents(source: Source, found: JsonObject | None) -> dict[str, str] | None:
    if found is None:
        return None
    data: dict[str, str] = found.get("data", {})
    if source.kind == "secrets":
        return {key: base64.b64decode(value).decode() for key, value in data.items()}
    return data


def _value(
    entry: JsonObject,
    pod: JsonObject,
    sources: Mapping[Source, JsonObject | None],
    variables: Mapping[str, str],
) -> str | None:
    origin = entry.get("valueFrom")
    if origin is None:
        return expand(entry.get("value", ""), variables)
    if reference := origin.get("fieldRef"):
        return _field(pod, reference["fieldPath"])
    for kind, key in (("configmaps", "configMapKeyRef"), ("secrets", "secretKeyRef")):
        if reference := origin.get(key):
            source = Source(kind, reference["name"])
            value = (_contents(source, sources[source]) or {}).get(reference["key"])
            if value is None and not reference.get("optional"):
                raise ConfigError(f"{kind} {source.name!r} has no key {reference['key']!r}")
            return value
    raise ConfigError(f"the pod runner cannot resolve {entry['name']} from {sorted(origin)}")


def _field(pod: JsonObject, path: str) -> str:
    if found := _MAP_FIELD.fullmatch(path):
        entries: dict[str, str] = pod["metadata"].get(found[1], {})
        return entries.get(found[2], "")
    if path not in FIELDS:
        raise ConfigError(f"the pod runner cannot resolve the field {path}")
    section, key = path.split(".")
    return str(pod[section].get(key, ""))
