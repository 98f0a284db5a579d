"""What `make cluster` prints: the few commands worth trying, ready to paste.

Each ends by itself with status 0; a test reads them from what was printed and runs them all, in
their order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

PEOPLE = "$(seq 5001 5040)"
INDENT = "  "

WAIT = "kubectl wait ush/main --timeout=180s"
UNPIN = """kubectl patch ush main --type=merge -p '{"spec":{"replicas":null}}'"""


@dataclass(frozen=True)
class Step:
    """One thing to try."""

    why: str
    commands: Sequence[str]


def steps(chat_url: str, wallet_pid: int) -> list[Step]:
    """All of them."""
    body = """'{"user_id": '$user', "text": "/start"}'"""
    say = f"curl -sS -o /dev/null -H 'Content-Type: application/json' -d {body}"
    write = f"{say} {chat_url}/sim/messages"
    return [
        Step(
            "what there is, why the count is what it is, and what one can write",
            [
                "kubectl get ush -o wide",
                "kubectl describe ush main",
                "kubectl explain ush.spec.scaling",
                "kubectl purser describe main",
            ],
        ),
        Step(
            "hold the count by hand, see it reached, let the backlog decide again",
            [
                "kubectl scale ush main --replicas=3",
                f"{WAIT} --for=jsonpath='{{.status.readyReplicas}}'=3",
                "kubectl get ush,statefulset,pods",
                UNPIN,
            ],
        ),
        Step(
            "take a worker away: its shards are served by others within seconds",
            ["kubectl delete pod purser-user-worker-0", f"{WAIT} --for=condition=Ready"],
        ),
        Step(
            "renew all pods: shards move to those that are new",
            [
                "kubectl rollout restart statefulset purser-user-worker",
                "kubectl rollout status statefulset purser-user-worker --timeout=180s",
            ],
        ),
        Step(
            "stop autoscaling during an incident, and go on",
            [
                _merge('{"spec":{"scaling":{"paused":"All"}}}'),
                _merge('{"spec":{"scaling":{"paused":"None"}}}'),
            ],
        ),
        Step(
            "make a backlog: the wallet stands still while forty people write /start",
            [
                f"kill -STOP {wallet_pid}",
                f"for user in {PEOPLE}; do for _ in 1 2 3; do {write}; done; done",
                f"{WAIT} --for=jsonpath='{{.status.replicas}}'=4",
                "kubectl get ush main -o wide",
                f"kill -CONT {wallet_pid}",
            ],
        ),
        Step(
            "it drains, and the workers go as they came; what was decided, and why",
            [
                f"{WAIT} --for=jsonpath='{{.status.replicas}}'=2",
                "kubectl events --for ush/main",
            ],
        ),
    ]


def exports(variables: Mapping[str, str]) -> Iterator[str]:
    """Lines that make a shell ready."""
    for name, value in variables.items():
        yield f"export {name}={value}"


def rendered(found: Sequence[Step]) -> Iterator[str]:
    """The steps as lines: why, and below it the commands."""
    for step in found:
        yield f"# {step.why}"
        yield from (f"{INDENT}{command}" for command in step.commands)


def _merge(patch: str) -> str:
    return f"kubectl patch ush main --type=merge -p '{patch}'"
