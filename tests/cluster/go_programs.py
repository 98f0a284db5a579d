"""Programs that are built from Go modules of this tree, once, and kept outside of it.

The cache folder of a program is named by the hash of what it was built from: a changed version or
source makes a new folder, an unchanged one is found at once. Tests never start a build, which would
look like a test that hangs.

The build happens in a folder of its own that is renamed into place when whole, under a file lock,
so two runs neither disturb nor repeat each other's work, and a killed build leaves nothing that
could be taken for a good one.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import BinariesMissing

BUILD_JOBS_MAX = 2
"""Compilers at once. Each takes up to a gigabyte, and the machine has other work too."""

BUILD_TIMEOUT_SECONDS = 3600.0
"""The longest first build takes some ten minutes on two free cores, the linking of later ones 20
seconds.
"""


@dataclass(frozen=True)
class GoProgram:
    """One program, and the names it is called by."""

    name: str
    """Of the program, and of its folder in the cache."""
    source: Path
    """The Go module, which pins every version."""
    takes: str
    """How long the first build takes, in words."""
    package: str = "."
    """What of the module, or of what it requires, is the program."""
    links: tuple[str, ...] = ()
    """Other names, for a program that looks at the one it is called by."""
    stamps: tuple[str, ...] = ()
    """Go variables to set, as `import/path.variable=value`."""

    def folder(self, environment: Mapping[str, str] = os.environ) -> Path:
        """Where the built program is, or would be, with its links beside it."""
        return cache_folder(environment) / self.name / self.source_hash()

    def path(self, environment: Mapping[str, str] = os.environ) -> Path:
        """The built program. Raises BinariesMissing when it was not built."""
        program = self.folder(environment) / self.name
        if not program.exists():
            raise BinariesMissing(
                f"{self.name} is not built: run `make controlplane node-programs` once (it needs "
                "Go 1.24 or newer)."
            )
        return program

    def source_hash(self) -> str:
        """Sixteen hex digits that change with anything that changes the built program."""
        digest = hashlib.sha256(" ".join(self._command(Path("program"))).encode())
        files = [self.source / "go.mod", self.source / "go.sum", *self.source.glob("*.go")]
        for file in sorted(files):
            digest.update(f"\n{file.name}\n".encode() + file.read_bytes())
        return digest.hexdigest()[:16]

    def ensure_built(self, environment: Mapping[str, str] = os.environ) -> Path:
        """Builds the program unless it is there, and gives its folder. Raises BinariesMissing when
        there is no Go to build with.
        """
        folder = self.folder(environment)
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _locked(folder.parent / "build.lock"):
                if not folder.is_dir():
                    self._build(folder)
        return folder

    def _command(self, program: Path) -> list[str]:
        ldflags = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in self.stamps)])
        flags = ["-p", str(BUILD_JOBS_MAX), "-trimpath", "-buildvcs=false", "-ldflags", ldflags]
        return ["go", "build", *flags, "-o", str(program), self.package]

    def _build(self, folder: Path) -> None:
        if shutil.which("go") is None:
            raise BinariesMissing(f"Building {self.name} needs Go: install Go 1.24 or newer.")
        sys.stderr.write(f"Building {self.name} into {folder}: once, {self.takes}.\n")
        workshop = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
        try:
            subprocess.run(
                ["nice", "-n", "10", *self._command(workshop / self.name)],
                cwd=self.source,
                env=os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"},
                timeout=BUILD_TIMEOUT_SECONDS,
                check=True,
            )
            for link in self.links:
                (workshop / link).symlink_to(self.name)
            workshop.chmod(0o755)
            workshop.rename(folder)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Purser's cache folder: PURSER_CACHE_DIR, else `purser` in the user's own cache folder."""
    if named := environment.get("PURSER_CACHE_DIR"):
        return Path(named)
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "purser"


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
