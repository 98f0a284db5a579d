"""Why there is no cluster to test against.

ClusterError
├── BinariesMissing   install or build what the sentence says; a test skips
└── StartFailed       read the log that the text quotes; a test fails
"""

# ruff: noqa: N818 (errors are named after what the caller should do)


class ClusterError(Exception):
    """Base of what follows."""


class BinariesMissing(ClusterError):
    """The programs are not there and cannot be built here; the text is one sentence on what to
    do.
    """


class StartFailed(ClusterError):
    """A component ended or stayed unready; the text has the end of its log."""
