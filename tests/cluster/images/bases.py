"""The base image where none can be pulled: Debian's own Python 3.11 on Debian's smallest system.

debootstrap makes the system once, some 40 seconds, from the mirror this machine uses; whatever
would tell of that mirror is removed. Two images come of it: one to build in, with Python's venv and
pip's wheel, and one to run on, without them. Manuals, translations and package lists go, like in
the slim images of the registries. Python's own bytecode is compiled anew without time stamps,
because an image's files get new ones and the interpreter would take the old bytecode for stale.

`docker pull python:3.11-slim-bookworm` gives what this stands in for; the Dockerfile runs on both.
"""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cluster.images.errors import ImageFailed

RECIPE_VERSION = 1
"""Raise it with a change of the steps; what they take is counted by itself."""
SUITE = "bookworm"
FOR_RUNNING = ("ca-certificates", "netbase", "python3.11", "tzdata")
FOR_BUILDING = ("binutils", "python3-distutils", "python3.11-venv")
"""What a part's image must not have: how packages get installed, and what strips them."""
NOT_KEPT = (
    "debootstrap",
    "etc/apt/sources.list",
    "etc/hostname",
    "etc/resolv.conf",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache",
    "var/lib/apt/lists",
    "var/log",
)
EMPTY_AFTERWARDS = ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial", "var/log")
DEBOOTSTRAP_TIMEOUT_SECONDS = 900.0
STEP_TIMEOUT_SECONDS = 300.0
SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))
_MIRROR = re.compile(r"^(?:URIs:|deb(?: \[[^]]*])?) *(https?://\S*/debian/?)(?:\s|$)", re.MULTILINE)


def recipe_hash() -> str:
    """Names what is made here."""
    recipe = (RECIPE_VERSION, SUITE, FOR_RUNNING, FOR_BUILDING, NOT_KEPT, EMPTY_AFTERWARDS)
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]


def make_bases(workshop: Path, keep: Callable[[Path, str], None]) -> None:
    """Make both systems in `workshop` and give each to `keep` with its name, `build` then `run`.

    Needs root, as debootstrap does. Raises ImageFailed.
    """
    if shutil.which("debootstrap") is None:
        raise ImageFailed("Making the base image needs debootstrap: apt-get install debootstrap.")
    root = workshop / "root"
    _step(
        [
            "debootstrap",
            "--variant=minbase",
            f"--include={','.join([*FOR_RUNNING, *FOR_BUILDING])}",
            SUITE,
            str(root),
            *mirror(),
        ],
        DEBOOTSTRAP_TIMEOUT_SECONDS,
    )
    _tidy(root)
    keep(root, "build")
    # Whatever neither Debian nor FOR_RUNNING needs goes along with them.
    _step(["chroot", str(root), "sh", "-c", "dpkg-query -Wf '${Package}\\n' | xargs apt-mark auto"])
    _step(["chroot", str(root), "apt-mark", "manual", *FOR_RUNNING])
    removing = ["apt-get", "purge", "--yes", "--auto-remove", *FOR_BUILDING]
    _step(["chroot", str(root), *removing])
    _tidy(root)
    keep(root, "run")


def remove_workshop(workshop: Path) -> None:
    """Remove a folder of `make_bases`, also one whose maker was killed with /proc mounted in it."""
    for name in ("proc", "sys"):
        mounted = workshop / "root" / name
        if mounted.is_mount():
            _step(["umount", "--lazy", str(mounted)])
    shutil.rmtree(workshop)


def mirror(places: tuple[Path, ...] = SOURCES) -> list[str]:
    """The mirror of Debian that this machine installs from; none where debootstrap knows better."""
    files = [
        file
        for place in places
        for file in (sorted(place.iterdir()) if place.is_dir() else [place])
        if file.is_file()
    ]
    for file in files:
        if found := _MIRROR.search(file.read_text(errors="replace")):
            return [found[1]]
    return []


def _tidy(root: Path) -> None:
    for name in NOT_KEPT:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for name in EMPTY_AFTERWARDS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        link = root / "usr/local/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("/usr/bin/python3.11")
    for log in ("var/lib/dpkg/available-old", "var/lib/dpkg/status-old"):
        (root / log).unlink(missing_ok=True)
    compiling = ["-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    _step(["chroot", str(root), "python3.11", *compiling, "/usr/lib/python3.11"])


def _step(command: list[str], timeout_seconds: float = STEP_TIMEOUT_SECONDS) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise ImageFailed(f"{command[0]} took longer than {timeout_seconds:.0f} s.") from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise ImageFailed(f"{command[0]} failed: {said[-1] if said else 'it said nothing'}.")
