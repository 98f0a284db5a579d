"""Kubernetes' label selectors, as far as the objects of this cluster may hold any."""

from collections.abc import Mapping

from tests.cluster.api import JsonObject


def fits(selector: JsonObject, labels: Mapping[str, str]) -> bool:
    """Say whether every requirement holds; the empty selector, which has none, fits everything."""
    wanted: dict[str, str] = selector.get("matchLabels") or {}
    return wanted.items() <= labels.items() and all(
        _holds(requirement, labels) for requirement in selector.get("matchExpressions") or []
    )


def _holds(requirement: JsonObject, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement["key"])
    match requirement["operator"]:
        case "In":
            return value in requirement["values"]
        case "NotIn":  # which a missing label is too
            return value not in requirement["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case unknown:
            raise ValueError(f"A label selector has the unknown operator {unknown!r}.")
