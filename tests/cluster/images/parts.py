"""Which images there are, and what each is made from.

An image's archive is named by the hash of all it is built from, so an unchanged tree finds its
archives made, and a changed one can never be taken for the other. The version before is kept for a
while: a roll-back wants it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.go_programs import cache_folder
from tests.cluster.images.bases import recipe_hash

TREE = Path(__file__).parents[3]
TAG = "dev"
ARCHIVES_PER_PART_MAX = 4
"""This tree's, the version before, and what other working trees of this machine have just built;
each takes some 200 MB."""

SHARED = ("Dockerfile", ".dockerignore", "requirements/build.txt", "protos", "services/chassis")
_GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi", ".pyc")


@dataclass(frozen=True, slots=True)
class Part:
    """One image: its name, its member of the workspace, its Python package."""

    name: str
    member: str
    package: str

    @property
    def image(self) -> str:
        """The name the chart asks for."""
        return f"purser/{self.name}:{TAG}"


PARTS = (
    Part("gateway", "services/gateway", "gateway"),
    Part("user-worker", "services/user-worker", "user_worker"),
    Part("pricing", "services/pricing", "pricing"),
    Part("wallet", "services/wallet", "wallet"),
    Part("ledger", "services/ledger", "ledger"),
    Part("operator", "operator", "shard_operator"),
    Part("devbox", "services/devbox", "devbox"),
)


def images_folder() -> Path:
    """Where archives and the builder's storage are: outside the tree."""
    return cache_folder() / "images"


def archive_path(part: Part) -> Path:
    """The archive of this tree's image, there or not."""
    return images_folder() / f"{part.name}-{source_hash(part)}.tar"


def base_layers_path(archive: Path) -> Path:
    """The file beside an archive that names the layers of the base it was built on."""
    return archive.with_suffix(".base")


def archives() -> list[Path]:
    """This tree's archives that are there, in the order of PARTS."""
    return [path for path in map(archive_path, PARTS) if path.exists()]


def source_hash(part: Part, tree: Path = TREE) -> str:
    """Sixteen hex digits that change with anything the image is built from."""
    digest = hashlib.sha256(f"{part}\n{TAG}\n{recipe_hash()}\n".encode())
    for place in (*SHARED, f"requirements/{part.name}.txt", part.member):
        for file in _files(tree / place):
            name = file.relative_to(tree).as_posix()
            mode = "x" if file.stat().st_mode & 0o100 else "-"
            digest.update(f"\n{name} {mode} {file.stat().st_size}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def forget_older(part: Part, kept: Path) -> None:
    """Remove a part's archives beyond the newest ARCHIVES_PER_PART_MAX; `kept` always stays."""
    others = [
        path
        for path in images_folder().glob(f"{part.name}-*.tar")
        if path != kept and _is_archive_of(path, part)
    ]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[ARCHIVES_PER_PART_MAX - 1 :]:
        for file in (path, base_layers_path(path)):
            file.unlink(missing_ok=True)


def _is_archive_of(path: Path, part: Part) -> bool:
    return path.stem.rpartition("-")[0] == part.name


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    else:
        for path in sorted(place.rglob("*")):
            hidden = "__pycache__" in path.parts or path.suffix == ".egg-info"
            if path.is_file() and not hidden and not path.name.endswith(_GENERATED):
                yield path
