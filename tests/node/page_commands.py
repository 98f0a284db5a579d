"""The commands of a page, typed as they stand there: only the namespace is the test's."""

import asyncio
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster.binaries import HELM, component_path
from tests.cluster.operators import TREE
from tests.node.release import Release

from devbox.servers import PostgresServer
from devbox.servers.postgresql import OWNER, postgres_program

BLOCK_SECONDS_MAX = 300.0
_STEP = re.compile(r"^(\d+)\. ")


def steps_of(page: Path, heading: str) -> dict[int, str]:
    """The commands of each numbered step below a heading of a page."""
    section = page.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found: dict[int, list[str]] = {}
    step = 0
    for line in section.splitlines():
        if numbered := _STEP.match(line):
            step = int(numbered[1])
        elif line.startswith(" " * 7):
            found.setdefault(step, []).append(line.strip())
    return {number: "\n".join(lines) for number, lines in found.items()}


def lines_of(page: Path, *beginnings: str) -> str:
    """The page's lines that begin so, each of which is there once."""
    found = []
    for beginning in beginnings:
        (line,) = re.findall(rf"^    ({re.escape(beginning)}.*)$", page.read_text(), re.MULTILINE)
        found.append(line)
    return "\n".join(found)


@dataclass(frozen=True)
class Shell:
    """Somebody at a checkout of the tree whose kubectl and helm reach the release, and
    PostgreSQL's programs, if there is one, the server as its owner.
    """

    release: Release
    folder: Path
    server: PostgresServer | None = None

    async def __call__(self, script: str) -> str:
        """Type it; what it printed. Fails the test with what it said at the first line that
        fails.
        """
        for name in ("charts", "k8s"):
            if not (self.folder / name).exists():
                (self.folder / name).symlink_to(TREE / name)
        words = script.replace("-n purser", f"-n {self.release.namespace}")
        finished = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-euc", words],
            cwd=self.folder,
            env=os.environ | self._environ(),
            capture_output=True,
            text=True,
            timeout=BLOCK_SECONDS_MAX,
            check=False,
        )
        if finished.returncode:
            pytest.fail(f"{words}\n{finished.stdout}{finished.stderr}")
        return finished.stdout

    def _environ(self) -> Mapping[str, str]:
        programs = [component_path("kubectl"), HELM.path(), postgres_program("psql")]
        folders = [str(program.parent) for program in programs]
        environ = {
            "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
            "KUBECONFIG": str(self.release.kubeconfig),
        }
        if self.server is None:
            return environ
        return environ | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.server.port),
            "PGUSER": OWNER,
            "PGPASSWORD": self.server.owner_password,
            "PGSSLMODE": "disable",
            # Without a password: it is an argument.
            "OWNER_URL": f"postgresql://{OWNER}@127.0.0.1:{self.server.port}/purser",
        }
