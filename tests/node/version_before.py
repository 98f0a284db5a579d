"""The version an upgrade begins with: PURSER_TEST_UPGRADE_FROM names its tag or commit.

Its chart is installed with images built from its own tree, under a tag of their own beside today's.
Unset, today's chart is installed and an upgrade replaces every pod by the same again.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.images.parts import TAG as TODAY
from tests.cluster.node.containers import load_image, loaded_images, name_image
from tests.cluster.operators import TREE

VARIABLE = "PURSER_TEST_UPGRADE_FROM"
TAG = "before"
BUILD_TIMEOUT_SECONDS = 1800.0


@contextmanager
def version_before(folder: Path) -> Iterator[Path | None]:
    """Check it out for as long as the context lasts; give its charts, None without one.

    The node gets its images; today's are to be loaded afterwards.
    """
    version = os.environ.get(VARIABLE)
    if not version:
        yield None
        return
    git = ["git", "-C", str(TREE), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), version], check=True)
    try:
        _load_its_images(folder)
        yield folder / "charts"
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def _load_its_images(tree: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "tests.cluster.images", "--paths"],
        cwd=tree,
        stdout=subprocess.PIPE,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS,
        check=True,
    )
    for archive in built.stdout.split():
        load_image(Path(archive))
    for name in loaded_images():
        if name.endswith(f":{TODAY}"):
            name_image(name, f"{name.removesuffix(TODAY)}{TAG}")
