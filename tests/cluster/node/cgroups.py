"""The node's own root of control groups: in each hierarchy (version 1), or in the one (2)."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.node.places import CGROUPS, NODE_NAME


def make_cgroups() -> None:
    """Make the roots; kubelet makes what is below."""
    for hierarchy in _hierarchies():
        root = hierarchy / NODE_NAME
        root.mkdir(exist_ok=True)
        # A new cpuset is empty, and takes no process until it has processors and memory.
        for inherited in ("cpuset.cpus", "cpuset.mems"):
            if hierarchy.name == "cpuset":
                (root / inherited).write_text((hierarchy / inherited).read_text())


def processes_in_cgroups() -> Iterator[int]:
    """The pids of everything that runs in the node's pods."""
    for group in _cgroups():
        with contextlib.suppress(OSError):
            yield from map(int, (group / "cgroup.procs").read_text().split())


def remove_cgroups() -> None:
    """Remove them; those in which something still runs stay."""
    for group in _cgroups():
        with contextlib.suppress(OSError):
            group.rmdir()


def _hierarchies() -> list[Path]:
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [folder for folder in CGROUPS.iterdir() if (folder / "cgroup.procs").exists()]


def _cgroups() -> list[Path]:
    """All of them, the innermost first."""
    roots = [root for each in _hierarchies() if (root := each / NODE_NAME).is_dir()]
    found = [folder for root in roots for folder in (root, *_below(root))]
    return sorted(found, key=lambda folder: len(folder.parts), reverse=True)


def _below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_dir()]
