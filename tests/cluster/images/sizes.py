"""How large an image is: the bytes of its layers as they are unpacked, read from its archive."""

import json
import posixpath
import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of an image: what comes with the base, and what a part adds."""

    base: int
    beyond: int


def measure(archive: Path, base_layers: Collection[str]) -> Size:
    """Measure an archive as `docker save` writes it; `base_layers` are ids of the base's layers."""
    with tarfile.open(archive) as tar:
        manifest = _read(tar, "manifest.json")[0]
        ids = _read(tar, manifest["Config"])["rootfs"]["diff_ids"]
        base = beyond = 0
        for layer, name in zip(ids, manifest["Layers"], strict=True):
            if layer in base_layers:
                base += _size(tar, name)
            else:
                beyond += _size(tar, name)
    return Size(base, beyond)


def render(sizes: dict[str, Size]) -> str:
    """Give a table in megabytes of a million bytes."""
    lines = [f"{'image':<14}{'MB':>8}{'base':>8}{'beyond the base':>18}"]
    for name, size in sizes.items():
        total = size.base + size.beyond
        figures = [total / MEGABYTE, size.base / MEGABYTE, size.beyond / MEGABYTE]
        lines.append(f"{name:<14}{figures[0]:8.1f}{figures[1]:8.1f}{figures[2]:18.1f}")
    return "\n".join(lines)


def _size(tar: tarfile.TarFile, name: str) -> int:
    """Follow links: Docker's archives hold a layer once, under another image's name."""
    member = tar.getmember(name)
    while member.issym():
        member = tar.getmember(
            posixpath.normpath(f"{posixpath.dirname(member.name)}/{member.linkname}")
        )
    return member.size


def _read(tar: tarfile.TarFile, name: str) -> Any:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is no file"
    return json.load(file)
