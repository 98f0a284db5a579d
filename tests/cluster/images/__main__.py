"""`python -m tests.cluster.images [PART ...]` (`make images`): build what changed, print the sizes.

Builds each part's image unless its archive is there, and leaves the archives in the cache folder
for `python -m tests.cluster.node load` and for anyone's `docker load`. `--paths` prints their paths
only, `--forget` removes archives, base images and the builder's storage.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.images.bench import Bench, bench, building_alone
from tests.cluster.images.errors import ImageFailed
from tests.cluster.images.parts import (
    PARTS,
    Part,
    archive_path,
    base_layers_path,
    forget_older,
    images_folder,
)
from tests.cluster.images.sizes import measure, render

FORGET_TIMEOUT_SECONDS = 300.0


def ensure_images(parts: Sequence[Part] = PARTS) -> list[Path]:
    """Build the images that are not there, one builder at a time; their archives in order.

    Raises ImageFailed.
    """
    with building_alone():
        archives = {part: archive_path(part) for part in parts}
        missing = {part: path for part, path in archives.items() if not path.exists()}
        if missing:
            _say(f"Building {len(missing)} image(s) …")
            with bench() as place:
                _build(missing, place)
    return list(archives.values())


def _build(archives: Mapping[Part, Path], place: Bench) -> None:
    for part, archive in archives.items():
        began = time.monotonic()
        place.builder.build(part, "runtime", place.secrets, part.image)
        unfinished = place.workshop / archive.name
        place.builder.save(part, unfinished)
        if archive_path(part) != archive:
            raise ImageFailed("The tree changed while it was built; build again.")
        base_layers_path(archive).write_text("\n".join(place.base_layers) + "\n")
        unfinished.rename(archive)
        forget_older(part, archive)
        _say(f"{part.image:<24} {time.monotonic() - began:5.1f} s")


def _forget() -> None:
    """Remove what was built; buildah takes down its own storage, which it may have mounted."""
    folder = images_folder()
    storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
    for removing in (["rm", "--all"], ["rmi", "--all", "--force"]):
        subprocess.run(
            ["buildah", *storage, *removing],
            capture_output=True,
            timeout=FORGET_TIMEOUT_SECONDS,
            check=False,
        )
    for file in [*folder.glob("*.tar"), *folder.glob("*.base")]:
        file.unlink()


def main() -> None:
    """Do what was asked, or say in one sentence why not."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.images", description=__doc__)
    names = [part.name for part in PARTS]
    parser.add_argument("part", nargs="*", help=f"one of {', '.join(names)}; all unless said")
    parser.add_argument("--paths", action="store_true", help="print the archives' paths only")
    parser.add_argument("--forget", action="store_true", help="remove everything built here")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.part) - set(names)):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(names)}")
    parts = [part for part in PARTS if not asked.part or part.name in asked.part]
    if asked.forget:
        _forget()
        return
    try:
        archives = ensure_images(parts)
    except ImageFailed as failed:
        sys.exit(str(failed))
    if asked.paths:
        _show("\n".join(map(str, archives)))
    else:
        measured = {
            part.image: measure(archive, base_layers_path(archive).read_text().split())
            for part, archive in zip(parts, archives, strict=True)
        }
        _show(render(measured))


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _show(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
