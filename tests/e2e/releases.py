"""Two releases side by side: the tree of the version before, and which of both a program runs as.

The version before is checked out beside, with the modules its own protos give. A run is told by a
link which release its programs are of. `sitecustomize` in a folder on their path follows the link
once, when a program starts, and puts that tree's sources before all others; so a program stays of
the release it was started as, whatever it imports later, and one that is started again after the
link was turned is of the new release. That is what replacing pods does, with processes.

Both run on today's locked dependencies.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

TREE = Path(__file__).parents[2]
SOURCES = ("protos", "services/*/src", "operator/src")
LINK_VARIABLE = "RELEASE_OF_THE_RUN"
MIGRATIONS = ("services/*/migrations/*.sql", "operator/migrations/*.sql")
PROGRAM_TIMEOUT_SECONDS = 60.0

_FOLLOW_THE_LINK = f'''
"""Puts the sources of the release that the link names before all others, and says so."""

import contextlib
import glob
import os
import sys

_link = os.environ["{LINK_VARIABLE}"]
_root = os.path.realpath(_link)
sys.path[:0] = [p for pattern in {SOURCES!r} for p in sorted(glob.glob(f"{{_root}}/{{pattern}}"))]
with contextlib.suppress(OSError), open(f"{{_link}}-of-{{os.getpid()}}", "w") as _file:
    _file.write(_root)
'''


def find_version_before() -> str:
    """The newest release; while there is none, the commit before the newest migration, or that of
    the newest one where it was changed, as before a first release it may be. Empty where there is
    no history to look into.
    """
    tag = _git("describe", "--tags", "--abbrev=0", "--match", "v*")
    if tag:
        return tag
    newest = _git("log", "--format=%H", "-1", "--", *MIGRATIONS)
    before = _git("rev-parse", "--verify", f"{newest}^") if newest else ""
    if not before:
        return ""
    changed = _git("diff", "--name-only", "--diff-filter=MDRT", before, "--", *MIGRATIONS)
    return newest if changed else before


@contextlib.asynccontextmanager
async def checked_out(commit: str, folder: Path) -> AsyncIterator[Path]:
    """A tree of that commit, with its protos' modules; the repository forgets it at the end."""
    await _run("git", "-C", str(TREE), "worktree", "add", "--detach", str(folder), commit)
    try:
        protos = folder / "protos"
        await _generate_protos(protos, _sources_of(protos))
        yield folder
    finally:
        await _run("git", "-C", str(TREE), "worktree", "remove", "--force", str(folder))


class Release:
    """Which release a run's programs are of when they are started."""

    def __init__(self, folder: Path) -> None:
        """Keep the link in a folder of its own."""
        folder.mkdir()
        self._link, self._path = folder / "release", folder / "path"
        self._path.mkdir()
        (self._path / "sitecustomize.py").write_text(_FOLLOW_THE_LINK)

    def turn_to(self, tree: Path) -> None:
        """Whatever starts from now on is of that tree."""
        beside = self._link.with_suffix(".new")
        beside.symlink_to(tree)
        beside.rename(self._link)

    def of(self, pid: int) -> Path:
        """The tree whose sources a running program found first when it was started."""
        return Path(self._link.with_name(f"{self._link.name}-of-{pid}").read_text())

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a run whose programs follow the link."""
        return {LINK_VARIABLE: str(self._link), "PYTHONPATH": str(self._path)}


def _sources_of(root: Path) -> list[str]:
    return sorted(str(path) for path in root.glob("purser/**/*.proto"))


async def _generate_protos(root: Path, sources: Sequence[str]) -> None:
    outputs = (f"-I{root}", f"--python_out={root}", f"--grpc_python_out={root}")
    await _run(sys.executable, "-m", "grpc_tools.protoc", *outputs, *sources)


def _git(*arguments: str) -> str:
    """What git says; empty when it has nothing to say or is not there."""
    try:
        asked = subprocess.run(
            ["git", "-C", str(TREE), *arguments],
            capture_output=True,
            check=False,
            timeout=PROGRAM_TIMEOUT_SECONDS,
            text=True,
        )
    except FileNotFoundError:
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PROGRAM_TIMEOUT_SECONDS):
        said, _ = await process.communicate()
    assert process.returncode == 0, f"{command[0]}: {said.decode()}"
