"""Named limits: Telegram's own, as documented for the Bot API, and the simulator's.

Telegram's are constants, since a bot cannot change them. The simulator's are the fields of
`Limits`; they bound its memory and set the waits a test may want shorter.
"""

from dataclasses import dataclass

TEXT_CHARACTERS_MAX = 4096
"""Characters of a message's text after the markup was parsed away."""

CAPTION_CHARACTERS_MAX = 1024
"""Characters of a caption after the markup was parsed away."""

CALLBACK_DATA_BYTES_MAX = 64
"""Bytes (UTF-8) of a button's callback data; at least one."""

CALLBACK_ANSWER_CHARACTERS_MAX = 200
"""Characters of the text that answers a click."""

UPDATES_PER_POLL_MAX = 100
"""Updates one getUpdates returns; a larger `limit` is lowered to it."""

POLL_SECONDS_MAX = 50
"""The longest a getUpdates waits; a longer `timeout` is lowered to it."""

PHOTO_BYTES_MAX = 10 * 1024 * 1024
FILE_BYTES_MAX = 50 * 1024 * 1024
"""Largest upload by a bot: pictures, and everything else."""

DOWNLOAD_BYTES_MAX = 20 * 1024 * 1024
"""Largest file getFile hands out."""

WEBHOOK_CONNECTIONS_MAX = 100
WEBHOOK_CONNECTIONS_DEFAULT = 40
WEBHOOK_SECRET_CHARACTERS_MAX = 256

COMMANDS_MAX = 100
COMMAND_CHARACTERS_MAX = 32
COMMAND_DESCRIPTION_CHARACTERS_MAX = 256

KEYBOARD_BUTTONS_MAX = 100
"""Buttons in one inline keyboard."""

DELETE_MESSAGES_MAX = 100
"""Message ids in one deleteMessages."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the simulator bounds by itself."""

    update_age_seconds_max: float = 24 * 3600.0
    """An update nobody acknowledged is forgotten after this time, as Telegram does."""

    pending_updates_max: int = 100_000
    """Unacknowledged updates kept. At the limit the control API refuses new ones (503), so that a
    test notices; 100,000 are some 60 MB and three minutes of the largest load run."""

    callback_answer_seconds: float = 30.0
    """A click can be answered this long, then "query is too old". Telegram names no figure; a
    real client stops its spinner well before this."""

    webhook_retry_first_seconds: float = 1.0
    webhook_retry_seconds_max: float = 60.0
    """Pause after a failed webhook call: the first, doubled each time, up to the largest."""

    webhook_timeout_seconds: float = 60.0
    """How long a webhook may take to answer."""

    reorder_hold_seconds: float = 0.2
    """How long the reordering fault holds an update back for another user's to overtake it."""

    control_wait_seconds_max: float = 60.0
    """Longest `wait` of the control API; a longer one is lowered to it."""

    users_max: int = 100_000
    """Users (and chats) the simulator makes before it refuses more."""

    chat_messages_max: int = 500
    """Messages kept in a chat (some 1.5 kB each); the oldest are forgotten beyond it."""

    clicks_max: int = 100_000
    """Clicks remembered with their answers; the oldest are forgotten beyond it."""

    files_bytes_max: int = 256 * 1024 * 1024
    """Uploaded bytes kept; the oldest files are forgotten beyond it."""
