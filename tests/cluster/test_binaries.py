"""Where the control plane's programs are looked for."""

from pathlib import Path

import pytest
from tests.cluster.binaries import CONTROL_PLANE, component_path
from tests.cluster.errors import BinariesMissing
from tests.cluster.go_programs import GoProgram


def test_a_program_named_by_itself_comes_first(tmp_path: Path) -> None:
    """TEST_ASSET_… wins over the folder, as in envtest."""
    named, assets = _program(tmp_path / "mine"), _program(tmp_path / "assets" / "kube-apiserver")
    environment = {
        "TEST_ASSET_KUBE_APISERVER": str(named),
        "KUBEBUILDER_ASSETS": str(assets.parent),
    }

    assert named == component_path("kube-apiserver", environment)


def test_what_the_folder_lacks_is_taken_from_the_build(tmp_path: Path) -> None:
    """envtest's folder has no controller manager and no scheduler; ours has."""
    assets = _program(tmp_path / "assets" / "kube-apiserver").parent
    built = _program(
        tmp_path
        / "cache"
        / "controlplane"
        / CONTROL_PLANE.source_hash()
        / "kube-controller-manager"
    )
    environment = {
        "KUBEBUILDER_ASSETS": str(assets),
        "PURSER_CACHE_DIR": str(tmp_path / "cache"),
    }

    assert assets / "kube-apiserver" == component_path("kube-apiserver", environment)
    assert built == component_path("kube-controller-manager", environment)


def test_a_named_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Falling back to another version than the one asked for would mislead."""
    environment = {"TEST_ASSET_ETCD": str(tmp_path / "none")}

    with pytest.raises(BinariesMissing, match="TEST_ASSET_ETCD"):
        component_path("etcd", environment)


def test_without_a_build_the_error_says_what_to_do(tmp_path: Path) -> None:
    """One sentence, fit for a skipped test."""
    environment = {"XDG_CACHE_HOME": str(tmp_path)}

    with pytest.raises(BinariesMissing, match="run `make controlplane`"):
        component_path("etcd", environment)


def test_another_version_makes_another_build(tmp_path: Path) -> None:
    """The cache folder follows every file the program is built from."""
    for name in ("go.mod", "go.sum", "main.go"):
        (tmp_path / name).write_text("\tk8s.io/kubernetes v1.33.0\n")
    program = GoProgram("it", tmp_path, "seconds")
    before = program.source_hash()

    (tmp_path / "main.go").write_text("\tk8s.io/kubernetes v1.33.0\n// changed\n")

    assert program.source_hash() != before


def _program(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o700)
    return file
