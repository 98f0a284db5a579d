"""Keep secrets out of what is written down: logs and the stack traces in them.

Values are walked, not the finished line: under a name that speaks of a secret everything is hidden,
elsewhere the text is searched for what must never be written wherever it turns up (a bot's token,
64 hexadecimal digits, the password in an address). A false alarm hides a harmless digest; that is
the cheap side to be wrong on.
"""

import re
from typing import Any

from chassis.settings import Secret

HIDDEN = "****"
TEXT_CHARACTERS_MAX = 16_384
"""Of one value; a longer one (a stack trace, a payload) is cut in the middle."""
DEPTH_MAX = 6
_INTEGER_MAX = 2**53
"""Above it readers of JSON begin to round."""
ITEMS_MAX = 100
"""Of one list or mapping inside a log line."""

_SECRET_NAME = re.compile(
    r"password|passwd|passphrase|secret|token|mnemonic|seed|credential|authorization|cookie"
    r"|(?:private|api|encryption|wrapping|data|signing)_?key|^(?:key|pin|totp|otp)$",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"(?P<token>\d{3,}:[A-Za-z0-9_-]{30,})"
    r"|(?P<hex>(?<![0-9A-Za-z])(?:0[xX])?[0-9a-fA-F]{64}(?![0-9A-Za-z]))"
    r"|(?P<scheme>://[^\s:/@]*:)[^\s@]+@"
)


def redact_text(text: str) -> str:
    """Hide bot tokens, 64 hexadecimal digits and passwords in addresses; cut what is too long."""
    if len(text) > TEXT_CHARACTERS_MAX:
        half = TEXT_CHARACTERS_MAX // 2
        # Hide first: a cut through the middle of a secret would make it unrecognisable.
        text = _SECRET_TEXT.sub(_hide, text)
        text = f"{text[:half]} [... {len(text) - 2 * half} characters ...] {text[-half:]}"
    text = _SECRET_TEXT.sub(_hide, text)
    # A lone surrogate has no bytes in UTF-8.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def redact(name: str, value: Any, depth: int = 0) -> Any:
    """Give what may be written for a value of that name: JSON's own types and nothing secret."""
    if isinstance(value, Secret) or (_SECRET_NAME.search(name) and value is not None):
        return HIDDEN
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -_INTEGER_MAX <= value <= _INTEGER_MAX else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth >= DEPTH_MAX:
        return "..."
    if isinstance(value, dict):
        return {
            redact_text(str(key)): redact(str(key), item, depth + 1)
            for key, item in list(value.items())[:ITEMS_MAX]
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact("", item, depth + 1) for item in list(value)[:ITEMS_MAX]]
    try:
        return redact_text(str(value))
    except Exception as error:  # noqa: BLE001 (a log line must not be what brings its caller down)
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _hide(match: re.Match[str]) -> str:
    scheme = match["scheme"]
    return f"{scheme}{HIDDEN}@" if scheme else HIDDEN
