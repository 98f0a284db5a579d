"""The bench images are built at: one builder at a time, with what every build needs."""

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.images.bases import remove_workshop
from tests.cluster.images.builders import Builder, choose_builder
from tests.cluster.images.parts import images_folder
from tests.cluster.images.pip_settings import write_build_secrets


@dataclass(frozen=True)
class Bench:
    """What a build works with."""

    builder: Builder
    base_layers: list[str]
    """The ids of the base image's layers, lowest first."""
    secrets: Mapping[str, Path]
    workshop: Path
    """A folder for unfinished work, beside the archives; gone with the bench."""


@contextlib.contextmanager
def building_alone() -> Iterator[None]:
    """Wait until nobody else builds, and sweep up what a killed build left."""
    images_folder().mkdir(parents=True, exist_ok=True)
    with (images_folder() / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in [*images_folder().glob("building-*"), *images_folder().glob("base-*")]:
            remove_workshop(left)
        yield


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Choose the builder and have its base; only while `building_alone`. Raises ImageFailed."""
    with contextlib.closing(choose_builder()) as builder:
        base_layers = builder.ensure_base()
        with tempfile.TemporaryDirectory(dir=images_folder(), prefix="building-") as workshop:
            secrets = write_build_secrets(Path(workshop))
            yield Bench(builder, base_layers, secrets, Path(workshop))
