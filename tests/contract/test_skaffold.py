"""skaffold.yaml names what is there: the chart's images and values, the folders images are made of,
the places in an image where source lies."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from tests.cluster.images.parts import PARTS, SHARED, Part
from tests.contract.rendering import TREE, Manifest, containers, of_kind, plan, pods, render

SKAFFOLD: dict[str, Any] = yaml.safe_load((TREE / "skaffold.yaml").read_text())
ARTIFACTS: dict[str, dict[str, Any]] = {
    artifact["image"]: artifact for artifact in SKAFFOLD["build"]["artifacts"]
}
CRDS, PURSER = SKAFFOLD["deploy"]["helm"]["releases"]
SOURCE = PurePosixPath("/opt/purser/source")
SERVING = [part for part in PARTS if part.name != "devbox"]


def test_every_image_is_built() -> None:
    """Each of `make images`, by its own command."""
    assert set(ARTIFACTS) == {f"purser/{part.name}" for part in PARTS}
    for part in PARTS:
        command = ARTIFACTS[f"purser/{part.name}"]["custom"]["buildCommand"]
        assert command.split()[-2:] == ["tests.cluster.images.for_skaffold", part.name]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_an_image_is_built_anew_for_all_it_is_made_of(part: Part) -> None:
    """What `make images` hashes is what skaffold watches, and each watched place is there.

    The trial's servers are spared: an edit of the chassis would restart the database.
    """
    paths = ARTIFACTS[f"purser/{part.name}"]["custom"]["dependencies"]["paths"]
    watched = {path.removesuffix("/**") for path in paths}
    reload = "requirements/reload.txt"
    made_of = {*SHARED, reload, f"requirements/{part.name}.txt", part.member}
    if part not in SERVING:
        made_of.remove("services/chassis")
    assert watched == made_of
    for path in watched:
        assert (TREE / path).exists(), path
        assert (TREE / path).is_dir() == (f"{path}/**" in paths)


def synced() -> Iterator[Any]:
    """Each rule of each artifact."""
    for image, artifact in ARTIFACTS.items():
        for rule in artifact.get("sync", {}).get("manual", []):
            yield pytest.param(rule, id=f"{image}-{rule['src']}")


@pytest.mark.parametrize("rule", list(synced()))
def test_an_edited_file_lands_where_the_image_has_it(rule: dict[str, str]) -> None:
    """Under the import root that the Dockerfile fills; a rule that matches nothing is a mistake."""
    assert PurePosixPath(rule["dest"]) == SOURCE
    root = TREE / rule["strip"]
    files = sorted(TREE.glob(rule["src"]))
    assert files
    packages = {file.relative_to(root).parts[0] for file in files}
    assert all((root / package / "__init__.py").exists() for package in packages)


@pytest.mark.parametrize("part", SERVING, ids=lambda part: part.name)
def test_a_part_has_its_own_source_and_the_chassis_synced(part: Part) -> None:
    """All modules, and in the end every file that the program reads while it runs."""
    rules = ARTIFACTS[f"purser/{part.name}"]["sync"]["manual"]
    patterns = [rule["src"].replace("/**/", "/*") for rule in rules]
    sources = [TREE / part.member / "src", TREE / "services/chassis/src"]
    for file in (file for source in sources for file in source.rglob("*.py")):
        name = file.relative_to(TREE).as_posix()
        assert any(fnmatch(name, pattern) for pattern in patterns), name


def test_what_is_built_is_what_is_deployed() -> None:
    """With the names and tags that skaffold puts in, every container has the image just built."""
    values = plan("dev")
    templates = dict(PURSER["setValueTemplates"])
    _set(values, "migrations.run", templates.pop("migrations.run"))
    for path, template in templates.items():
        part = re.fullmatch(r"\{\{\.IMAGE_(REPO|TAG|DIGEST)_purser_(\w+)\}\}", template)
        assert part, template
        _set(values, path, _image(part[2])[part[1]])
    for path, text in PURSER["setValues"].items():
        _set(values, path, text == "true")
    objects = render(values)
    built = [_image(part.name.replace("-", "_")) for part in PARTS]
    expected = {f"{image['REPO']}:{image['TAG']}@{image['DIGEST']}" for image in built}
    images = {container["image"] for _, pod in pods(objects) for container in containers(pod)}
    assert images == expected
    _check_source_is_writable(objects)
    forwarded = {forward["resourceName"] for forward in SKAFFOLD["portForward"]}
    assert forwarded <= set(of_kind(objects, "Service"))


def _image(part: str) -> dict[str, str]:
    """What skaffold knows of an image, by its variable's middle."""
    return {
        "REPO": f"10.0.0.1:5000/purser_{part}",
        "TAG": f"tag-of-{part}",
        "DIGEST": "sha256:" + part.encode().hex().rjust(64, "0"),
    }


def _check_source_is_writable(objects: list[Manifest]) -> None:
    serving = 0
    for _, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
            serving += str(SOURCE) in mounts
            assert container["securityContext"]["readOnlyRootFilesystem"]
    assert serving == len(SERVING)


def _set(values: dict[str, Any], path: str, value: object) -> None:
    *folders, last = path.split(".")
    for folder in folders:
        values = values.setdefault(folder, {})
    values[last] = value


def test_the_definition_comes_first() -> None:
    """An operator without its CustomResourceDefinition would wait; both charts are there."""
    assert (CRDS["name"], PURSER["name"]) == ("purser-crds", "purser")
    for release in (CRDS, PURSER):
        assert (TREE / release["chartPath"] / "Chart.yaml").exists()
    for file in PURSER["valuesFiles"]:
        assert (TREE / file).exists()


def test_the_kind_cluster_has_nodes_to_spread_over() -> None:
    """One to decide and two to work."""
    cluster = yaml.safe_load((TREE / "k8s/dev/kind-cluster.yaml").read_text())
    assert (cluster["kind"], cluster["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    assert [node["role"] for node in cluster["nodes"]] == ["control-plane", "worker", "worker"]
