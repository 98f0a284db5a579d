"""Where the control loop and the libraries of the run log to: a file, since the terminal is for
sentences."""

import logging
from pathlib import Path

import structlog


def log_to(path: Path) -> None:
    """Append what is logged in this process to a file, for the rest of its life."""
    file = path.open("a", buffering=1)
    logging.basicConfig(stream=file, level=logging.WARNING, force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file),
    )
