"""What an image installs is what the tests ran with, and no more than its part asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from tests.cluster.images.parts import PARTS, TREE, Part

LOCK, DEVELOPING = TREE / "requirements.txt", TREE / "requirements-dev.txt"
IN_NO_OTHER_IMAGE = {"aiogram": "gateway", "cryptography": "wallet", "kopf": "operator"}


def read_lock(file: Path) -> dict[str, str]:
    """Package name -> its whole entry, hashes included."""
    text = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("#"))
    entries = re.split(r"\n(?=\S)", text.strip())
    return {re.split(r"[=\[ ;]", entry, maxsplit=1)[0]: entry for entry in entries}


def named_by(member: str) -> dict[str, str]:
    """Package name -> pinned version, of a member and of the members it names."""
    project = tomllib.loads((TREE / member / "pyproject.toml").read_text())["project"]
    named: dict[str, str] = {}
    for dependency in project["dependencies"]:
        if dependency.startswith("purser-"):
            below = {"purser-protos": "protos", "purser-chassis": "services/chassis"}[dependency]
            named |= named_by(below)
        else:
            name, _, version = dependency.partition("==")
            named[name.partition("[")[0].lower().replace(".", "-")] = version
    return named


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_an_image_holds_a_subset_of_the_lock(part: Part) -> None:
    """Byte for byte, hashes included: an image cannot have another version than the tests."""
    lock = read_lock(DEVELOPING if part.name == "devbox" else LOCK)
    of_part = read_lock(TREE / "requirements" / f"{part.name}.txt")
    assert of_part.items() <= lock.items()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_an_image_has_every_package_its_part_names(part: Part) -> None:
    """A forgotten `make lock` shows here."""
    of_part = read_lock(TREE / "requirements" / f"{part.name}.txt")
    for name, version in named_by(part.member).items():
        assert name in of_part
        assert of_part[name].startswith(f"{name}=={version}")


def test_the_build_tools_are_the_locked_ones() -> None:
    """Generated code is made by the compiler the tests ran with."""
    build = read_lock(TREE / "requirements" / "build.txt")
    assert build.items() <= read_lock(DEVELOPING).items()
    assert {"hatchling", "grpcio-tools", "mypy-protobuf"} <= build.keys()


@pytest.mark.parametrize(("package", "only"), IN_NO_OTHER_IMAGE.items())
def test_a_package_of_one_part_is_in_no_other_image(package: str, only: str) -> None:
    """A wallet with the Bot API's client or a gateway with a signer would be a wider door."""
    holders = [
        part.name
        for part in PARTS
        if package in read_lock(TREE / "requirements" / f"{part.name}.txt")
    ]
    assert holders == [only]


def test_no_lock_names_an_index() -> None:
    """Where packages come from is each machine's own matter."""
    for file in (TREE / "requirements").iterdir():
        assert "://" not in file.read_text()
