"""What can go wrong in the operator, named after what its caller should do.

    OperatorError
    ├── InvalidUserShard     show the sentence to the person who wrote the object; wait for an edit
    ├── TryLater             keep the last placement, reconcile again at the next poll
    │   ├── PlacementAway    PostgreSQL did not answer
    │   └── ApiAway          the Kubernetes API did not answer, or asked for patience
    ├── ApiRefused           the Kubernetes API said no: a right or an object is missing
    ├── PoolUnknown          tell the person who named it which ones there are
    ├── MalformedTrace       tell them the line
    ├── ArgumentsClash       tell them which of their arguments do not fit together
    └── LeadershipLost       end this process: another one may be acting already

The reconcile loop is the door where all of them become a condition and a log line; none of them
ends the process but `LeadershipLost`.
"""

# ruff: noqa: N818 (errors are named after what the caller should do)

from collections.abc import Sequence


class OperatorError(Exception):
    """Anything this package raises on purpose."""


class InvalidUserShard(OperatorError):
    """The object says something that cannot be meant; `problem` is a sentence for its author."""

    def __init__(
        self, namespace: str, name: str, problem: str, *, uid: str = "", generation: int = 0
    ) -> None:
        super().__init__(f"UserShard {namespace}/{name}: {problem}")
        self.namespace = namespace
        self.name = name
        self.problem = problem
        self.uid = uid
        self.generation = generation


class TryLater(OperatorError):
    """Something is away that will come back; nothing was decided."""


class PlacementAway(TryLater):
    """PostgreSQL cannot be asked who owns what."""


class ApiAway(TryLater):
    """The Kubernetes API cannot be asked."""


class ApiRefused(OperatorError):
    """The Kubernetes API answered with a refusal."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class PoolUnknown(OperatorError):
    """Neither PostgreSQL nor the Kubernetes API knows the pool; `known` are those there are."""

    def __init__(self, known: Sequence[str], problems: Sequence[str]) -> None:
        super().__init__("there is no such pool")
        self.known = known
        self.problems = problems
        """A sentence for each part that could not be asked: what is not known may be there."""


class MalformedTrace(OperatorError):
    """The file is not a trace; the message is a sentence with the line."""


class ArgumentsClash(OperatorError):
    """The arguments do not fit together; the message is a sentence for who typed them."""


class LeadershipLost(OperatorError):
    """The Lease is another's, or could not be renewed in time."""
