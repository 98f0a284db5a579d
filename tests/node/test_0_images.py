"""An image as a node runs it: not root, on a root it cannot write to, as process number 1."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from tests.cluster.images.__main__ import ensure_images
from tests.cluster.images.bases import mirror
from tests.cluster.images.errors import ImageFailed
from tests.cluster.images.parts import PARTS, TREE

UID = 65532
START_SECONDS = 60.0
STOP_SECONDS = 5.0
LEDGER = next(part for part in PARTS if part.name == "ledger")
WAITING = {
    "LEDGER_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c",
    "PURSER_START_TIMEOUT_SECONDS": "60",
}


class Image:
    """An unpacked image, and how to run it."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        with tarfile.open(archive) as tar:
            manifest = json.load(_file(tar, "manifest.json"))[0]
            self.configuration = json.load(_file(tar, manifest["Config"]))
            for name in manifest["Layers"]:
                with tarfile.open(fileobj=_file(tar, name)) as layer:
                    layer.extractall(self.root, filter=_without_whiteouts)  # noqa: S202  # our own

    def start(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Run it under runc, its output in `said`."""
        self._write_specification(environment)
        with (self.folder / "said").open("wb") as said:
            return subprocess.Popen(
                [*self._runc, "run", self.name], cwd=self.folder, stdout=said, stderr=said
            )

    def stop(self) -> None:
        """Send SIGTERM to its process number 1."""
        subprocess.run([*self._runc, "kill", self.name, "TERM"], check=True, timeout=STOP_SECONDS)

    @property
    def name(self) -> str:
        """Unlike any other run's."""
        return f"purser-image-test-{os.getpid()}"

    @property
    def said(self) -> str:
        """What it printed."""
        return (self.folder / "said").read_text()

    @property
    def _runc(self) -> list[str]:
        return ["runc", "--root", str(self.folder / "state")]

    def _write_specification(self, environment: dict[str, str]) -> None:
        file = self.folder / "config.json"
        file.unlink(missing_ok=True)
        subprocess.run(["runc", "spec"], cwd=self.folder, check=True, timeout=STOP_SECONDS)
        specification = json.loads(file.read_text())
        own = self.configuration["config"]
        process = specification["process"]
        process.pop("rlimits", None)  # this machine's own; raising one needs a capability
        process |= {
            "terminal": False,
            "args": own["Entrypoint"],
            "cwd": own["WorkingDir"],
            "user": dict(zip(("uid", "gid"), map(int, own["User"].split(":")), strict=True)),
            "env": [*own["Env"], *(f"{name}={value}" for name, value in environment.items())],
        }
        specification["root"] = {"path": str(self.root), "readonly": True}
        specification["mounts"].append(
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}
        )
        file.write_text(json.dumps(specification))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The ledger's image, built from this tree unless it is there."""
    if os.geteuid() != 0 or shutil.which("runc") is None:
        pytest.skip("Running an image needs root and runc: apt-get install runc.")
    try:
        (archive,) = ensure_images([LEDGER])
    except ImageFailed as failed:
        pytest.skip(str(failed))
    folder = tmp_path_factory.mktemp("image")
    yield Image(folder, archive)
    shutil.rmtree(folder)


@pytest.mark.timeout(900)
def test_it_runs_without_root_and_without_writing(image: Image) -> None:
    """It gets as far as saying what it was not told, from a root it cannot write to."""
    assert image.configuration["config"]["User"] == f"{UID}:{UID}"
    process = image.start({})
    assert process.wait(START_SECONDS) == 2
    assert image.said.startswith("LEDGER_DATABASE_URL is missing")
    assert f"purser:x:{UID}:{UID}:" in (image.root / "etc/passwd").read_text()


@pytest.mark.parametrize("into_it", ["while it imports", "while it waits"])
def test_sigterm_ends_process_number_1(image: Image, into_it: str) -> None:
    """Such a process ignores a signal it has no handler for; this one has one from the start."""
    process = image.start(WAITING)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if '"waiting"' in image.said or (into_it == "while it imports" and catches_sigterm(image)):
            break
        time.sleep(0.01)
    assert ('"waiting"' in image.said) is (into_it == "while it waits")
    image.stop()
    assert process.wait(STOP_SECONDS) == 0


def catches_sigterm(image: Image) -> bool:
    """Whether it is an interpreter by now that has a handler, and has imported little yet."""
    state = image.folder / "state" / image.name / "state.json"
    with contextlib.suppress(OSError, json.JSONDecodeError, KeyError):
        of = Path(f"/proc/{json.loads(state.read_text())['init_process_pid']}")
        if "python" not in of.joinpath("exe").readlink().name:
            return False  # runc, which has handlers of its own
        status = of.joinpath("status").read_text()
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        maps = of.joinpath("maps").read_text()
        return caught >> (signal.SIGTERM - 1) & 1 == 1 and "grpc" not in maps
    return False


def test_it_holds_no_installer_and_no_word_of_where_it_was_made(image: Image) -> None:
    """What is not there cannot be used by who breaks in, or tell of the machine that built it."""
    programs = {path.name for path in image.root.glob("*/bin/*")}
    programs |= {path.name for path in image.root.glob("*/*/bin/*")}
    assert programs.isdisjoint({"pip", "pip3", "gcc", "cc", "ld", "strip", "debootstrap"})
    assert not list(image.root.rglob("direct_url.json"))
    packages = next((image.root / "opt/purser/lib").glob("python3.*/site-packages"))
    assert not (packages / "pip").exists()
    assert not (image.root / "etc/apt/sources.list").exists()
    told = json.dumps(image.configuration)
    hosts = [address.split("/")[2] for address in mirror()]
    for word in (str(TREE), *hosts, str(Path.home()) + "/"):
        assert word not in told
    for file in (image.root / "opt/purser").rglob("*.dist-info/*"):
        if file.is_file():
            assert str(TREE) not in file.read_text(errors="replace")


def _file(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    assert found is not None
    return found


def _without_whiteouts(member: tarfile.TarInfo, _path: str) -> tarfile.TarInfo | None:
    return None if member.name.rpartition("/")[2].startswith(".wh.") else member
