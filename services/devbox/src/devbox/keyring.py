"""Passwords and keys of the one-machine run, made once and kept in files that only we may read.

Each secret is one file of the data folder's `secrets/` (0700), named after what it opens, mode 0600
from the moment it exists. It is written beside and renamed, so a kill never leaves half a secret.
Nothing here is printed, and no command line carries one.
"""

import base64
import os
import re
import secrets
from pathlib import Path

from devbox.errors import CannotBegin

SECRET_BYTES = 32
PASSWORD = re.compile(r"[!-~]{1,1024}")
# A configuration file would end the password there, or begin something else.
NOT_IN_A_PASSWORD = frozenset("\"'\\#")


def ensure_secret(folder: Path, name: str) -> str:
    """Return the secret called `name`, making 256 random bits (URL-safe base64) the first time."""
    path = ensure_secret_file(folder, name, secrets.token_urlsafe(SECRET_BYTES))
    return path.read_text().strip()


def ensure_key_file(folder: Path, name: str) -> Path:
    """Return the file of a 256-bit key in standard base64, made the first time.

    Losing it loses all that it wraps: whoever keeps the data keeps a copy of this file elsewhere.
    """
    key = base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    return ensure_secret_file(folder, name, key)


def ensure_secret_file(folder: Path, name: str, content: str) -> Path:
    """Return the path of a secret's file, holding `content` if there was none yet."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / name
    if not path.exists():
        beside = folder / f"{name}.new"
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    if not path.read_text().strip():
        raise CannotBegin(f"The secret in {path} is empty: put it back from a copy.")
    return path


def read_password(path: Path) -> str:
    """Read a password somebody else put into a file, such as a mounted Secret's.

    Raises CannotBegin, without the password, when there is none that every server takes as it is.
    """
    try:
        text = path.read_text(encoding="ascii").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not plain text"
        raise CannotBegin(f"The password in {path} cannot be read: {why}.") from None
    if not PASSWORD.fullmatch(text) or NOT_IN_A_PASSWORD & set(text):
        raise CannotBegin(
            f"The password in {path} must be 1 to 1024 visible ASCII characters without quotes, "
            "backslashes and #."
        )
    return text
