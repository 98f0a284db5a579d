"""A worker that believes in no lease: put on the path of a run, to see what the fence is worth.

Python imports this module at its start when its folder is on `PYTHONPATH`. Of the processes of a
run only workers are changed: such a one thinks that its lease never ends, takes a refused heartbeat
for a granted one, and gives up no shard because placement knows a newer claim. It is what a frozen
process is to the others, for as long as it lives.
"""

import sys
from typing import Any


def _never_give_up() -> None:
    from user_worker.application import owning
    from user_worker.domain import lease, ownership
    from user_worker.postgres import placement

    plan, heartbeat = ownership.plan_ownership, placement.PostgresPlacement.heartbeat

    def plan_without_drops(*arguments: Any) -> list[ownership.Action]:
        return [action for action in plan(*arguments) if not isinstance(action, ownership.Drop)]

    async def always_granted(*arguments: Any) -> bool:
        await heartbeat(*arguments)
        return True

    for owner, name, lie in (
        (owning, "plan_ownership", plan_without_drops),
        (placement.PostgresPlacement, "heartbeat", always_granted),
        (lease.Lease, "is_over", lambda self, now: False),
        (lease.Lease, "remaining", lambda self, now: 60.0),
    ):
        setattr(owner, name, lie)


if "user_worker" in sys.orig_argv:
    _never_give_up()
