"""Image archives are named by what they are built from, and tell nothing of where."""

import io
import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from tests.cluster.images import parts
from tests.cluster.images.bases import mirror
from tests.cluster.images.parts import PARTS, TREE, Part, forget_older, source_hash
from tests.cluster.images.pip_settings import pip_configuration
from tests.cluster.images.sizes import Size, measure, render

WALLET = next(part for part in PARTS if part.name == "wallet")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree of the same shape."""
    for place in (*parts.SHARED, "requirements/wallet.txt", f"{WALLET.member}/src/wallet/main.py"):
        source = TREE / place
        target = tmp_path / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            (target / "src").mkdir(parents=True)
            (target / "src" / "module.py").write_text("one = 1\n")
        else:
            shutil.copy(source, target)
    return tmp_path


def test_an_edit_of_a_part_or_of_what_it_stands_on_makes_another_archive(tree: Path) -> None:
    """A stale image is never loaded for a new one."""
    seen = {source_hash(WALLET, tree)}
    for place in ("Dockerfile", "protos/src/module.py", "services/wallet/src/wallet/main.py"):
        file = tree / place
        file.write_text(file.read_text() + "\n# edited\n")
        seen.add(source_hash(WALLET, tree))
    assert len(seen) == 4


def test_what_is_generated_or_another_parts_leaves_the_archive_as_it_was(tree: Path) -> None:
    """An unchanged tree builds nothing."""
    before = source_hash(WALLET, tree)
    (tree / "protos/src/made_pb2.py").write_text("generated")
    (tree / "services/wallet/src/wallet/__pycache__").mkdir()
    (tree / "services/wallet/src/wallet/__pycache__/main.pyc").write_text("compiled")
    (tree / "services/gateway").mkdir()
    (tree / "services/gateway/main.py").write_text("another part's")
    assert source_hash(WALLET, tree) == before


def test_older_archives_go_and_the_version_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk does not fill with every edit; another part's archives are nobody's concern."""
    monkeypatch.setenv("PURSER_CACHE_DIR", str(tmp_path))
    folder = parts.images_folder()
    folder.mkdir(parents=True)
    count = parts.ARCHIVES_PER_PART_MAX + 2
    for name in [*(f"worker-{number}.tar" for number in range(count)), "user-worker-1.tar"]:
        (folder / name).touch()
    kept = folder / "worker-1.tar"
    forget_older(Part("worker", "services/worker", "worker"), kept)
    left = {path.name for path in folder.iterdir()}
    assert len(left) == parts.ARCHIVES_PER_PART_MAX + 1
    assert {"worker-1.tar", "user-worker-1.tar"} <= left


def test_a_build_borrows_where_packages_are_and_no_folder_of_this_machine() -> None:
    """An index in the configuration is used in there; its certificates lie elsewhere in there."""
    listed = [
        "global.index-url='https://index.example/simple'",
        ":env:.find-links='/somewhere/here'",
        "global.cert='/somewhere/ca.pem'",
        ":env:.default-timeout='30'",
    ]
    assert pip_configuration(listed) == (
        "[global]\ncert = /run/secrets/ca.crt\nindex-url = https://index.example/simple\n"
        "timeout = 30\n"
    )


def test_the_mirror_is_this_machines_in_both_ways_of_writing_it(tmp_path: Path) -> None:
    """Debian's newer format has a line of its own for the address."""
    new, old = tmp_path / "debian.sources", tmp_path / "sources.list"
    new.write_text("Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n")
    old.write_text("deb [signed-by=/key] https://other.example/debian bookworm main\n")
    assert mirror((new,)) == ["http://mirror.example/debian"]
    assert mirror((old,)) == ["https://other.example/debian"]
    assert mirror((tmp_path / "none",)) == []


def test_a_size_is_told_apart_into_base_and_part(tmp_path: Path) -> None:
    """Layers the base brought count as its own, by their ids."""
    archive = tmp_path / "image.tar"
    files = {
        "manifest.json": json.dumps([{"Config": "c.json", "Layers": ["one.tar", "two.tar"]}]),
        "c.json": json.dumps({"rootfs": {"diff_ids": ["sha256:1", "sha256:2"]}}),
        "one.tar": "x" * 3000,
        "two.tar": "x" * 1000,
    }
    with tarfile.open(archive, "w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    size = measure(archive, ["sha256:1"])
    assert size == Size(base=3000, beyond=1000)
    assert "0.0" in render({"purser/wallet:dev": size})


def test_every_member_that_serves_has_an_image_and_the_context_lets_it_in() -> None:
    """A new service is not forgotten, and `.dockerignore` names what the Dockerfile copies."""
    members = {
        file.parent.relative_to(TREE).as_posix()
        for pattern in ("services/*/pyproject.toml", "operator/pyproject.toml")
        for file in TREE.glob(pattern)
    }
    assert {part.member for part in PARTS} == members - {"services/chassis"}
    let_in = (TREE / ".dockerignore").read_text()
    copied = re.findall(r"^COPY ([a-z]\S*)", (TREE / "Dockerfile").read_text(), re.MULTILINE)
    assert {place.split("/")[0] for place in copied} <= set(
        re.findall(r"^!(\S+)", let_in, re.MULTILINE)
    )
