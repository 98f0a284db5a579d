"""Kubernetes' rules for what a container is started with."""

from typing import Any

import pytest
from tests.cluster.podrunner.environment import (
    ConfigError,
    Source,
    command_line,
    expand,
    needed_sources,
    resolve_environment,
)

POD: dict[str, Any] = {"metadata": {"name": "p", "namespace": "n"}, "spec": {}, "status": {}}
CONFIG = Source("configmaps", "c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $(A", "$A $(A"),
    ],
)
def test_references_are_expanded_as_kubernetes_documents_it(text: str, expected: str) -> None:
    """Known ones are replaced, unknown ones left, doubled dollars escape."""
    assert expected == expand(text, {"A": "1"})


def test_env_wins_over_env_from_and_later_over_earlier() -> None:
    """The order of the manifest decides, literals last."""
    container = {
        "envFrom": [{"configMapRef": {"name": "c"}}],
        "env": [{"name": "A", "value": "literal"}, {"name": "A", "value": "$(A), twice"}],
    }

    resolved = resolve_environment(container, POD, {CONFIG: {"data": {"A": "map", "B": "map"}}})

    assert {"A": "literal, twice", "B": "map"} == resolved


def test_what_is_optional_may_be_missing_and_what_is_not_may_not() -> None:
    """An optional reference leaves its variable out; any other stops the container."""
    reference: dict[str, Any] = {"name": "c", "key": "k"}
    container = {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": reference}}]}

    assert {CONFIG} == needed_sources(container)
    with pytest.raises(ConfigError, match="has no key 'k'"):
        resolve_environment(container, POD, {CONFIG: None})
    reference["optional"] = True
    assert {} == resolve_environment(container, POD, {CONFIG: None})


def test_a_field_that_cannot_be_told_is_refused() -> None:
    """An empty answer would look like a true one."""
    origin = {"resourceFieldRef": {"resource": "limits.cpu"}}

    with pytest.raises(ConfigError, match="resourceFieldRef"):
        resolve_environment({"env": [{"name": "A", "valueFrom": origin}]}, POD, {})


def test_the_command_replaces_the_image_s_and_arguments_follow_either() -> None:
    """`command` is an image's ENTRYPOINT, `args` its CMD."""
    assert ["run", "1"] == command_line({"args": ["$(A)"]}, ["run"], {"A": "1"})
    assert ["do", "it"] == command_line({"command": ["do"], "args": ["it"]}, ["run"], {})
