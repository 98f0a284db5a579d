"""What can keep the one-machine run from going on, named after what a person should do.

::

    DevboxError                 one sentence for a person; never a stack trace
    ├── PortTaken               choose another port with the named variable
    ├── AlreadyRunning          use the run that is there, or stop it
    ├── ServerFailed            read the log named in the sentence
    └── CannotBegin             change what the sentence says (a variable, a folder, a right)
"""

# ruff: noqa: N818  # errors are named after what the caller should do


class DevboxError(Exception):
    """Its text is one whole sentence, fit to be shown as it is."""


class PortTaken(DevboxError):
    """Another program listens on the port that was asked for, or it is not ours to take."""

    def __init__(self, port: int, variable: str, why: str = "taken by another program") -> None:
        super().__init__(f"Port {port} is {why}; choose another one with {variable}=…")
        self.port = port


class AlreadyRunning(DevboxError):
    """A run of this data folder is alive."""


class ServerFailed(DevboxError):
    """An embedded server ended or did not get ready in time."""


class CannotBegin(DevboxError):
    """The machine or the environment lacks something."""
