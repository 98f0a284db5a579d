"""What can go wrong while a job is worked, named after what to do about it.

WorkerError
├── AttemptTimedOut     counts as a failed try, and needs no trace
├── ClaimLost           stop working the shard at once; somebody else owns it
├── DependencyDown      try again after a pause while the claim holds; not counted as a try
│   ├── NameTaken       another process registered under this worker's name and lives: wait
│   └── TooMuch         ask for less; if that is not possible, try again
├── JobUnknown          forget the job: the inbox has none such in this shard
├── PictureFailed       answer without the picture
├── RepliesRefused      end the job without these replies
└── RequestRefused      counts as a failed try: asking the same again will hardly help

The adapters (`clients`, `pictures`, `postgres`, `stream`) raise these and nothing else of what
their libraries raise; `application.execution` is the one place that decides by them.
"""


class WorkerError(Exception):
    """Whatever this package raises on purpose."""


class AttemptTimedOut(WorkerError):  # noqa: N818 (named like its siblings)
    """One attempt at a job took longer than it may; the message says how long that is."""


class ClaimLost(WorkerError):  # noqa: N818 (named after what the caller should do, like its siblings)
    """A store refused a write because a newer claim of the shard exists."""


class DependencyDown(WorkerError):  # noqa: N818
    """A service, the database or Redis did not answer in time."""

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(f"{dependency}: {reason}")
        self.dependency = dependency
        self.reason = reason


class NameTaken(DependencyDown):
    """A process that started later is the worker of this name; its lease must end first."""


class TooMuch(DependencyDown):
    """The answer was larger than a message may be, or the service had no room for the call."""


class JobUnknown(WorkerError):  # noqa: N818
    """The gateway has no such job in the shard: the stream invented it."""


class PictureFailed(WorkerError):  # noqa: N818
    """A picture could not be drawn, or not in time."""


class RepliesRefused(WorkerError):  # noqa: N818
    """A reply breaks a limit of the gateway; the message names the field."""


class RequestRefused(WorkerError):  # noqa: N818
    """A service understood the request and will not do it."""

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(f"{dependency}: {reason}")
        self.dependency = dependency
        self.reason = reason
