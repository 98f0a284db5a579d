"""Where the programs of the cluster come from.

Each component is looked for in the order envtest users expect: `TEST_ASSET_<COMPONENT>` names the
program itself, `KUBEBUILDER_ASSETS` a folder that holds it. What neither names is built once from
the Go module in `controlplane/`, which links every component into one program (`go_programs`);
`python -m tests.cluster.binaries` (`make controlplane`) builds it. What only a node needs, and
helm, are modules beside it (`make node-programs`).
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.errors import BinariesMissing
from tests.cluster.go_programs import GoProgram

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODE_COMPONENTS = ("kubelet", "kube-proxy")
HERE = Path(__file__).parent


def kubernetes_version() -> str:
    """The Kubernetes release that go.mod requires, such as `v1.33.13`."""
    return _required_version("controlplane", "k8s.io/kubernetes")


def _required_version(program: str, module: str) -> str:
    found = re.search(
        rf"^(?:require)?\s*{re.escape(module)} (v\S+)$",
        (HERE / program / "go.mod").read_text(),
        re.MULTILINE,
    )
    assert found, f"{program}/go.mod requires no {module}"
    return found[1]


CONTROL_PLANE = GoProgram(
    "controlplane",
    HERE / "controlplane",
    "about ten minutes on two free cores",
    links=(*COMPONENTS, *NODE_COMPONENTS),
    # Without these the server calls itself v0.0.0-master, which kubectl and the scheduler refuse to
    # talk to.
    stamps=tuple(
        f"{package}.gitVersion={kubernetes_version()}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    ),
)
COREDNS = GoProgram("coredns", HERE / "coredns", "about two minutes")
PAUSE = GoProgram("pause", HERE / "pause", "seconds")
HELM = GoProgram("helm", HERE / "helm", "about two minutes", package="helm.sh/helm/v4/cmd/helm")
NODE_PROGRAMS = (COREDNS, PAUSE, HELM)
# Up to 2.16 skaffold is a post-renderer that helm 4 does not take.
HELM3 = GoProgram(
    "helm3",
    HERE / "helm3",
    "about two minutes",
    package="helm.sh/helm/v3/cmd/helm",
    links=("helm",),
)
CRANE = GoProgram(
    "crane",
    HERE / "skaffold",
    "a minute",
    package="github.com/google/go-containerregistry/cmd/crane",
)
SKAFFOLD_MODULE = "github.com/GoogleContainerTools/skaffold/v2"
SKAFFOLD = GoProgram(
    "skaffold",
    HERE / "skaffold",
    "about ten minutes",
    package=f"{SKAFFOLD_MODULE}/cmd/skaffold",
    # Without it skaffold calls itself by no version, and refuses none of a newer configuration.
    stamps=(
        f"{SKAFFOLD_MODULE}/pkg/skaffold/version.version="
        + _required_version("skaffold", SKAFFOLD_MODULE),
    ),
)


def component_path(component: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The program to run for `component` (one of COMPONENTS or NODE_COMPONENTS), which exists.

    Raises BinariesMissing when a named program does not exist, or none is named and none was built.
    """
    variable = "TEST_ASSET_" + component.upper().replace("-", "_")
    if named := environment.get(variable):
        if not os.access(named, os.X_OK):
            raise BinariesMissing(f"{variable} names {named}, which is not a program.")
        return Path(named)
    if assets := environment.get("KUBEBUILDER_ASSETS"):
        candidate = Path(assets) / component
        if os.access(candidate, os.X_OK):
            return candidate
    built = CONTROL_PLANE.folder(environment)
    if not built.is_dir():
        raise BinariesMissing(
            "The control plane is not built: run `make controlplane` once (it needs Go 1.24 or "
            "newer), or set KUBEBUILDER_ASSETS or PURSER_TEST_KUBECONFIG (tests/cluster/README.md)."
        )
    return built / component


def ensure_available(environment: Mapping[str, str] = os.environ) -> None:
    """Builds unless each component is named or built. Raises BinariesMissing when there is no Go to
    build with.
    """
    try:
        for component in COMPONENTS:
            component_path(component, environment)
    except BinariesMissing:
        CONTROL_PLANE.ensure_built(environment)


def ensure_node_programs() -> None:
    """Builds what a node and an installation take beside the control plane. Raises BinariesMissing
    like ensure_available.
    """
    for program in (CONTROL_PLANE, *NODE_PROGRAMS):
        program.ensure_built()


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["node"]:
            ensure_node_programs()
        else:
            sys.stdout.write(f"{CONTROL_PLANE.ensure_built()}\n")
    except BinariesMissing as missing:
        sys.exit(str(missing))
