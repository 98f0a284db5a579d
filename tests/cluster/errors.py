"""Why there is no cluster to test against.

ClusterError
├── BinariesMissing   install or build what the sentence says; a test skips
├── NodeImpossible    install what the sentence says, or end the node that is there; a test skips
└── StartFailed       read the log that the text quotes; a test fails
"""

# ruff: noqa: N818 (errors are named after what the caller should do)


class ClusterError(Exception):
    """Base of what follows."""


class BinariesMissing(ClusterError):
    """The programs are not there and cannot be built here; the text is one sentence on what to
    do.
    """


class NodeImpossible(ClusterError):
    """No node can be here; the text is one sentence on why."""


class StartFailed(ClusterError):
    """A component ended or stayed unready; the text has the end of its log."""
