"""Where the programs of the control plane come from.

Each component is looked for in the order envtest users expect: `TEST_ASSET_<COMPONENT>` names the
program itself, `KUBEBUILDER_ASSETS` a folder that holds it. What neither names is built once from
the Go module in `controlplane/`, which links every component into one program, and kept in a cache
folder outside the tree, named by the hash of what it was built from: a changed version or program
makes a new folder, an unchanged one is found at once. Tests never start the build, which would look
like a test that hangs; `python -m tests.cluster.binaries` (`make controlplane`) does.

The build happens in a folder of its own that is renamed into place when whole, under a file lock,
so two runs neither disturb nor repeat each other's work, and a killed build leaves nothing that
could be taken for a good one.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import BinariesMissing

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
SOURCE = Path(__file__).parent / "controlplane"

BUILD_JOBS_MAX = 2
"""Compilers at once. Each takes up to a gigabyte, and the machine has other work too."""

BUILD_TIMEOUT_SECONDS = 3600.0
"""The first build takes some six minutes on two free cores, the linking of later ones 20 seconds.
"""


def component_path(component: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The program to run for `component` (one of COMPONENTS), which exists.

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
    built = built_folder(environment)
    if not built.is_dir():
        raise BinariesMissing(
            "The control plane is not built: run `make controlplane` once (it needs Go 1.24 or "
            "newer), or set KUBEBUILDER_ASSETS or PURSER_TEST_KUBECONFIG (tests/cluster/README.md)."
        )
    return built / component


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Purser's cache folder: PURSER_CACHE_DIR, else `purser` in the user's own cache folder."""
    if named := environment.get("PURSER_CACHE_DIR"):
        return Path(named)
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "purser"


def built_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the built programs are, or would be: a folder with a link for each of COMPONENTS."""
    return cache_folder(environment) / "controlplane" / source_hash()


def ensure_built(environment: Mapping[str, str] = os.environ) -> Path:
    """Builds the programs unless they are there, and gives their folder.

    Raises BinariesMissing when there is no Go to build with.
    """
    folder = built_folder(environment)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / "build.lock"):
            if not folder.is_dir():
                _build(folder)
    return folder


def ensure_available(environment: Mapping[str, str] = os.environ) -> None:
    """Builds unless each component is named or built. Raises BinariesMissing like ensure_built."""
    try:
        for component in COMPONENTS:
            component_path(component, environment)
    except BinariesMissing:
        ensure_built(environment)


def source_hash() -> str:
    """Sixteen hex digits that change with anything that changes the built program."""
    digest = hashlib.sha256(" ".join(_build_command(Path("program"))).encode())
    for file in sorted([SOURCE / "go.mod", SOURCE / "go.sum", *SOURCE.glob("*.go")]):
        digest.update(f"\n{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def kubernetes_version() -> str:
    """The Kubernetes release that go.mod requires, such as `v1.33.13`."""
    found = re.search(
        r"^\s*k8s\.io/kubernetes (v\S+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE
    )
    assert found, "go.mod requires no k8s.io/kubernetes"
    return found[1]


def _build_command(program: Path) -> list[str]:
    version = kubernetes_version()
    # Without these the server calls itself v0.0.0-master, which kubectl and the scheduler refuse to
    # talk to.
    stamps = [
        f"-X {package}.gitVersion={version}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    ]
    ldflags = " ".join(["-s", "-w", *stamps])
    flags = ["-p", str(BUILD_JOBS_MAX), "-trimpath", "-buildvcs=false", "-ldflags", ldflags]
    return ["go", "build", *flags, "-o", str(program), "."]


def _build(folder: Path) -> None:
    if shutil.which("go") is None:
        raise BinariesMissing("Building the control plane needs Go: install Go 1.24 or newer.")
    sys.stderr.write(
        f"Building Kubernetes {kubernetes_version()} into {folder}: once, about six minutes on two "
        "free cores.\n"
    )
    workshop = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
    try:
        subprocess.run(
            ["nice", "-n", "10", *_build_command(workshop / "controlplane")],
            cwd=SOURCE,
            env=os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"},
            timeout=BUILD_TIMEOUT_SECONDS,
            check=True,
        )
        for component in COMPONENTS:
            (workshop / component).symlink_to("controlplane")
        workshop.chmod(0o755)
        workshop.rename(folder)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{ensure_built()}\n")
    except BinariesMissing as missing:
        sys.exit(str(missing))
