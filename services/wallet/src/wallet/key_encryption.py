"""Who wraps the data keys: the key-encryption key's provider.

`KeyEncryption` is the contract; a cloud's key service can stand behind it. `FileKeyEncryption`
keeps the key in a file of 32 random bytes in base64, readable by its owner alone, or by root and
this process's own group: kubelet writes a Secret so for a pod that is not root (mode 0440, the
group is the pod's fsGroup). A key is named by the first 16 hex digits of a hash over it: enough to
tell keys apart, useless for guessing 256 bits.

A file that is missing, open to others or malformed is a refusal to start, and none of these makes a
new key: a new key over old wallets would lock their owners out for ever. `make_key_file` makes one
when a person asks for it, and never writes over anything.
"""

import base64
import binascii
import hashlib
import os
import stat
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wallet.errors import CannotUnwrap, KeyFileRefused

NONCE_BYTES = 12
_KEY_BYTES = 32
_FILE_BYTES_MAX = 256
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeyEncryption(Protocol):
    """Wraps and unwraps data keys without ever giving the key-encryption key away."""

    @property
    def key_id(self) -> str:
        """The key's name: 16 hex digits."""
        ...

    async def wrap(self, data_key: bytes | bytearray, associated_data: bytes) -> bytes:
        """Encrypt a data key, bound to the associated data."""
        ...

    async def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Decrypt what `wrap` made. Raises CannotUnwrap."""
        ...


class FileKeyEncryption:
    """The provider whose key stands in a file."""

    def __init__(self, path: Path) -> None:
        """Read the key. Raises KeyFileRefused with one sentence that says what to do."""
        key = _read_key(path)
        self._key_id = _key_id(key)
        self._cipher = AESGCM(key)

    @property
    def key_id(self) -> str:
        """The key's name: 16 hex digits."""
        return self._key_id

    async def wrap(self, data_key: bytes | bytearray, associated_data: bytes) -> bytes:
        """Encrypt a data key: nonce, ciphertext, tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data_key, associated_data)

    async def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Decrypt what `wrap` made. Raises CannotUnwrap."""
        try:
            return self._cipher.decrypt(
                wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], associated_data
            )
        except (InvalidTag, ValueError):
            # "from None": the chain would carry nothing but this frame.
            raise CannotUnwrap(self._key_id) from None


def make_key_file(path: Path) -> str:
    """Write a new random key to a file that is not there yet, mode 0600; return the key's id.

    Raises KeyFileRefused when the file exists or cannot be written.
    """
    key = os.urandom(_KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise KeyFileRefused(
            f"{path} exists and is left as it is: a new key would lock the wallets sealed under it"
        ) from None
    except OSError as error:
        raise KeyFileRefused(f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(key) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    # The name must survive a crash as well as the bytes: without it the key would be lost.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return _key_id(key)


def open_to_others(mode: int, owner: int, group: int, own_user: int, own_group: int) -> bool:
    """Say whether somebody whom this process need not trust may touch a file with this mode, owner
    and group.

    The group may read where it is the process's own and the file is root's or the process's own.
    """
    allowed = stat.S_IRGRP if group == own_group and owner in (0, own_user) else 0
    return bool(mode & _OTHERS & ~allowed)


def _read_key(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            mode = found.st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileRefused(f"the key-encryption key {path} is not a file")
            if open_to_others(mode, found.st_uid, found.st_gid, os.geteuid(), os.getegid()):
                raise KeyFileRefused(
                    f"the key-encryption key {path} is open to others "
                    f"(mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}"
                )
            content = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise KeyFileRefused(
            f"the key-encryption key {path} is missing; put it back, or for a database without "
            f"wallets make one: python -m wallet make-key {path}"
        ) from None
    except OSError as error:
        raise KeyFileRefused(
            f"the key-encryption key {path} cannot be read: {error.strerror}"
        ) from None
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES or len(content) > _FILE_BYTES_MAX:
        raise KeyFileRefused(
            f"the key-encryption key {path} is not {_KEY_BYTES} bytes in base64; "
            "put the right file back"
        )
    return key


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"purser.wallet key id\0" + key).hexdigest()[:16]
