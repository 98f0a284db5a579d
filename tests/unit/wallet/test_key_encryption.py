"""The key-encryption key's file: who may read it, and what is a refusal to start."""

import base64
import os
from pathlib import Path

import pytest

from chassis.errors import CannotStart
from wallet.errors import CannotUnwrap, KeyFileRefused
from wallet.key_encryption import FileKeyEncryption, make_key_file, open_to_others


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A new key in a file of its own."""
    path = tmp_path / "key"
    make_key_file(path)
    return path


async def test_what_was_wrapped_opens_with_the_same_file(key_file: Path) -> None:
    """A restart reads the same key, and the id made with it names it."""
    wrapped = await FileKeyEncryption(key_file).wrap(b"data key", b"binding")

    assert await FileKeyEncryption(key_file).unwrap(wrapped, b"binding") == b"data key"


def test_making_says_the_id_that_reading_says(tmp_path: Path) -> None:
    """The id printed by make-key is the one recorded with each wallet."""
    assert make_key_file(tmp_path / "key") == FileKeyEncryption(tmp_path / "key").key_id


@pytest.mark.parametrize("change", ["binding", "wrapped", "cut", "key"])
async def test_nothing_opens_under_another_key_or_binding(
    change: str, key_file: Path, tmp_path: Path
) -> None:
    """Every byte is authenticated; the error says which key and shows nothing else."""
    right = FileKeyEncryption(key_file)
    wrapped = await right.wrap(b"data key", b"binding")
    if change == "key":
        make_key_file(tmp_path / "other")
        right = FileKeyEncryption(tmp_path / "other")
    altered = {"wrapped": wrapped[:-1] + bytes([wrapped[-1] ^ 1]), "cut": wrapped[:5]}

    with pytest.raises(CannotUnwrap, match=right.key_id) as refusal:
        await right.unwrap(
            altered.get(change, wrapped), b"other" if change == "binding" else b"binding"
        )

    assert refusal.value.__cause__ is None


def test_a_new_key_file_is_open_to_its_owner_only(key_file: Path) -> None:
    """Mode 0600, whatever the umask."""
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_no_key_is_written_over_anything(key_file: Path) -> None:
    """A new key over an old one would lock every wallet: the file stays as it was."""
    before = key_file.read_bytes()

    with pytest.raises(KeyFileRefused, match="left as it is"):
        make_key_file(key_file)

    assert key_file.read_bytes() == before


def test_no_key_is_written_through_a_dangling_link(tmp_path: Path) -> None:
    """A link somebody else left must not decide where the key goes."""
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(KeyFileRefused):
        make_key_file(tmp_path / "key")

    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o604, 0o660, 0o644, 0o610, 0o444, 0o450])
def test_a_file_that_others_may_touch_is_refused_with_the_remedy(mode: int, key_file: Path) -> None:
    """The sentence says what to type."""
    key_file.chmod(mode)

    with pytest.raises(KeyFileRefused, match=f"chmod 600 {key_file}"):
        FileKeyEncryption(key_file)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_0600_and_stricter_is_accepted(mode: int, key_file: Path) -> None:
    """A file mounted read-only is as good."""
    key_file.chmod(mode)

    assert FileKeyEncryption(key_file).key_id


POD = {"own_user": 65532, "own_group": 65532}


@pytest.mark.parametrize("owner", [0, 65532])
@pytest.mark.parametrize("mode", [0o440, 0o640, 0o400, 0o600])
def test_the_process_s_own_group_may_read_what_is_root_s_or_its_own(owner: int, mode: int) -> None:
    """kubelet mounts a Secret for a pod that is not root as 0440, root's, with the pod's group."""
    assert not open_to_others(mode, owner, group=65532, **POD)


@pytest.mark.parametrize(
    ("mode", "owner", "group"),
    [
        (0o440, 0, 0),  # another group
        (0o440, 0, 100),
        (0o440, 1000, 65532),  # somebody else's file: he may change it at any time
        (0o460, 0, 65532),  # the group may write, or execute
        (0o450, 0, 65532),
        (0o444, 0, 65532),  # everybody
        (0o442, 65532, 65532),
    ],
)
def test_anything_wider_is_open_to_others(mode: int, owner: int, group: int) -> None:
    """One right for the group, under one owner; all else stays refused."""
    assert open_to_others(mode, owner, group, **POD)


def test_a_key_mounted_from_a_secret_is_read(key_file: Path) -> None:
    """The same through a real file of this process's own group."""
    os.chown(key_file, -1, os.getegid())
    key_file.chmod(0o440)

    assert FileKeyEncryption(key_file).key_id


def test_a_missing_file_is_a_refusal_and_makes_no_key(tmp_path: Path) -> None:
    """One sentence for a person, and the folder stays empty."""
    with pytest.raises(CannotStart, match="is missing; put it back"):
        FileKeyEncryption(tmp_path / "key")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not base64 !",
        base64.b64encode(os.urandom(31)),
        base64.b64encode(bytes(33)),
        b"A" * 999,
    ],
    ids=["empty", "not base64", "31 bytes", "33 bytes", "too long"],
)
def test_a_malformed_file_is_refused_without_showing_it(content: bytes, key_file: Path) -> None:
    """A wrong file may hold somebody's secret: no byte of it is repeated."""
    key_file.write_bytes(content)

    with pytest.raises(KeyFileRefused, match="not 32 bytes in base64") as refusal:
        FileKeyEncryption(key_file)

    assert refusal.value.__cause__ is None
    assert content == b"" or content.decode() not in str(refusal.value)


def test_a_folder_is_not_a_key(tmp_path: Path) -> None:
    """A wrong path is a sentence, not a stack trace."""
    with pytest.raises(KeyFileRefused):
        FileKeyEncryption(tmp_path)


def test_the_provider_shows_no_key(key_file: Path) -> None:
    """Neither its repr nor its attributes give the bytes away."""
    key = base64.b64decode(key_file.read_bytes())
    provider = FileKeyEncryption(key_file)

    shown = repr(provider) + repr(vars(provider))

    assert key.hex() not in shown
    assert repr(key) not in shown
    assert key_file.read_text().strip() not in shown
