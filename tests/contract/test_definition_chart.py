"""The chart of the definition: kubectl and Helm apply the same, and uninstalling keeps it."""

import helm_python
import kubernetes_validate
import pytest
import yaml
from tests.contract.rendering import CHART, DEFINITION

CHART_OF_DEFINITIONS = CHART.parent / "purser-crds"


def test_helm_makes_what_kubectl_applies() -> None:
    """The file has no templating: one text for both."""
    loaded = helm_python.Chart.load(str(CHART_OF_DEFINITIONS))

    (text,) = loaded.render({}, name="purser-crds", namespace="default").values()

    assert yaml.safe_load(text) == yaml.safe_load(DEFINITION.read_text())


def test_uninstalling_keeps_it() -> None:
    """Deleting a definition deletes every object of it."""
    definition = yaml.safe_load(DEFINITION.read_text())

    assert definition["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    kubernetes_validate.validate(definition, "1.33", strict=True)


def test_it_takes_no_values() -> None:
    """What is set here by mistake belongs to the other chart."""
    loaded = helm_python.Chart.load(str(CHART_OF_DEFINITIONS))

    with pytest.raises(helm_python.HelmError, match="schema"):
        loaded.render({"gateway": {"replicas": 2}}, name="purser-crds", namespace="default")


def test_both_charts_are_of_one_version() -> None:
    """They are released together: which definition fits which operator is no riddle."""
    ours, theirs = (
        yaml.safe_load((folder / "Chart.yaml").read_text())
        for folder in (CHART, CHART_OF_DEFINITIONS)
    )

    for key in ("version", "appVersion"):
        assert ours[key] == theirs[key]
