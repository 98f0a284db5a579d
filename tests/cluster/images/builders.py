"""Docker where its engine answers, else Debian's buildah: two builders behind one contract.

buildah runs without a daemon: as root, in a chroot, on the machine's own network, with a storage of
its own in Purser's cache folder, so that nobody's images are touched. Both builders read the same
Dockerfile, keep every step as a layer and find an unchanged step done; both give files and images
the same time stamp, so that the same tree gives the same bytes.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from tests.cluster.images.bases import make_bases, recipe_hash, remove_workshop
from tests.cluster.images.errors import ImageFailed
from tests.cluster.images.parts import TREE, Part, images_folder

BASE = "python:3.11-slim-bookworm"
EPOCH_SECONDS = 1_767_225_600
"""The time stamp of everything in an image: 1 January 2026. One that stays, so that images differ
by what is in them alone."""
ASK_TIMEOUT_SECONDS = 60.0
BUILD_TIMEOUT_SECONDS = 1800.0


class Builder(Protocol):
    """What builds, keeps and hands out images."""

    def ensure_base(self) -> list[str]:
        """Have the base image; the ids of its layers, lowest first."""

    def build(self, part: Part, target: str, secrets: Mapping[str, Path], image: str) -> None:
        """Build a part's image under that name. Raises ImageFailed."""

    def push(self, image: str) -> None:
        """Push an image to the registry its name begins with. Raises ImageFailed."""

    def save(self, part: Part, archive: Path) -> None:
        """Write a part's image to an archive that containerd and Docker load."""

    def close(self) -> None:
        """Leave no container and no mount behind; images stay."""


def choose_builder() -> Builder:
    """Docker when there is an engine behind the command, else buildah. Raises ImageFailed."""
    if shutil.which("docker") and _succeeds(["docker", "version"]):
        return Docker()
    if shutil.which("buildah"):
        return Buildah()
    raise ImageFailed("Images need Docker or buildah: apt-get install buildah debootstrap.")


class Docker:
    """A Docker engine with BuildKit."""

    def ensure_base(self) -> list[str]:
        """Pull the base unless it is there."""
        if not _succeeds(["docker", "image", "inspect", BASE]):
            _run(["docker", "pull", "--quiet", BASE], BUILD_TIMEOUT_SECONDS)
        layers: list[str] = json.loads(
            _run(["docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", BASE])
        )
        return layers

    def build(self, part: Part, target: str, secrets: Mapping[str, Path], image: str) -> None:
        """Build with BuildKit, which reads SOURCE_DATE_EPOCH."""
        stamp = ["--build-arg", f"SOURCE_DATE_EPOCH={EPOCH_SECONDS}"]
        arguments = _arguments(part, target, secrets, image)
        _run(["docker", "build", "--quiet", *stamp, *arguments], BUILD_TIMEOUT_SECONDS)

    def push(self, image: str) -> None:
        """Push as who `docker login` made one."""
        _run(["docker", "push", "--quiet", image], BUILD_TIMEOUT_SECONDS)

    def save(self, part: Part, archive: Path) -> None:
        """Write what `docker load` reads."""
        _run(["docker", "save", "--output", str(archive), part.image], BUILD_TIMEOUT_SECONDS)

    def close(self) -> None:
        """The engine keeps its own house."""


class Buildah:
    """buildah with a storage of its own."""

    def __init__(self) -> None:
        folder = images_folder()
        storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._buildah = ["buildah", *storage]
        self._bases = {use: f"localhost/base-to-{use}:{recipe_hash()}" for use in ("build", "run")}

    def ensure_base(self) -> list[str]:
        """Make the base unless it is there: no registry is asked."""
        if not all(
            _succeeds([*self._buildah, "inspect", "-t", "image", name])
            for name in self._bases.values()
        ):
            workshop = Path(tempfile.mkdtemp(dir=images_folder(), prefix="base-"))
            try:
                make_bases(workshop, self._keep_base)
            finally:
                remove_workshop(workshop)
        inspect = [*self._buildah, "inspect", "--type", "image", self._bases["run"]]
        layers: list[str] = json.loads(_run(inspect))["OCIv1"]["rootfs"]["diff_ids"]
        return layers

    def build(self, part: Part, target: str, secrets: Mapping[str, Path], image: str) -> None:
        """Build in a chroot, layer by layer."""
        bases = ["BASE=" + self._bases["run"], "BUILD_BASE=" + self._bases["build"]]
        _run(
            [
                *self._buildah,
                *("build", "--quiet", "--layers", "--isolation=chroot", "--network=host"),
                # Docker's own format would record the name of the container it was built in.
                *("--format=oci", "--identity-label=false", f"--timestamp={EPOCH_SECONDS}"),
                "--pull-never",
                *(word for base in bases for word in ("--build-arg", base)),
                *_arguments(part, target, secrets, image),
            ],
            BUILD_TIMEOUT_SECONDS,
        )

    def push(self, image: str) -> None:
        """Push; a registry on a private address need not speak TLS."""
        plain = [] if not _is_private(image) else ["--tls-verify=false"]
        push = ["push", "--quiet", *plain, image, f"docker://{image}"]
        _run([*self._buildah, *push], BUILD_TIMEOUT_SECONDS)

    def save(self, part: Part, archive: Path) -> None:
        """Write what `docker load` and `ctr images import` read."""
        target = f"docker-archive:{archive}:{part.image}"
        _run([*self._buildah, "push", "--quiet", part.image, target], BUILD_TIMEOUT_SECONDS)

    def close(self) -> None:
        """Remove working containers, a killed build's too, and the mount of the storage itself."""
        _run([*self._buildah, "rm", "--all"])
        layers = images_folder() / "storage" / "overlay"
        if layers.is_mount():
            _run(["umount", str(layers)])

    def _keep_base(self, root: Path, use: str) -> None:
        container = _run([*self._buildah, "from", "scratch"]).strip()
        _run([*self._buildah, "copy", "--quiet", container, str(root), "/"], BUILD_TIMEOUT_SECONDS)
        _run(
            [
                *self._buildah,
                "config",
                "--env",
                "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                "--cmd",
                "python3",
                container,
            ]
        )
        committing = ["commit", "--quiet", "--rm", f"--timestamp={EPOCH_SECONDS}"]
        _run([*self._buildah, *committing, container, self._bases[use]], BUILD_TIMEOUT_SECONDS)


def _is_private(image: str) -> bool:
    host = image.split("/", maxsplit=1)[0].rpartition(":")[0]
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost"


def _arguments(part: Part, target: str, secrets: Mapping[str, Path], image: str) -> list[str]:
    return [
        *("--build-arg", f"MEMBER={part.member}", "--build-arg", f"PACKAGE={part.package}"),
        *(word for name, file in secrets.items() for word in ("--secret", f"id={name},src={file}")),
        *("--target", target, "--tag", image, "--file", str(TREE / "Dockerfile"), str(TREE)),
    ]


def _succeeds(command: list[str]) -> bool:
    return _ask(command, ASK_TIMEOUT_SECONDS).returncode == 0


def _run(command: list[str], timeout_seconds: float = ASK_TIMEOUT_SECONDS) -> str:
    done = _ask(command, timeout_seconds)
    if done.returncode != 0:
        said = [line for line in done.stderr.strip().splitlines() if line.strip()][-20:]
        told = "\n".join(said) or "it said nothing"
        raise ImageFailed(f"{told}\n{command[0]} failed with status {done.returncode}.")
    return done.stdout


def _ask(command: list[str], timeout_seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise ImageFailed(f"{command[0]} took longer than {timeout_seconds:.0f} s.") from None
