"""When what is broken: a plan made of one seed, before anything runs.

A run is a row of cycles, and a cycle has three phases. In the quiet one nothing is done; in the
moving one workers are added and removed, so that shards move and nothing else happens; in the rough
one faults strike. Quiet and moving phases in one run make their figures comparable: what a move
costs those who are not moved is a ratio within a minute of one machine.

Faults come from a bag that holds each kind once and is shuffled when it is empty, so that a run of
some minutes meets all of them. A plan is a list of plain values: it can be printed, kept and run
again.
"""

import random
from collections.abc import Iterator

import msgspec

QUIET_SECONDS, MOVING_SECONDS, ROUGH_SECONDS = 15.0, 20.0, 25.0
CYCLE_SECONDS = QUIET_SECONDS + MOVING_SECONDS + ROUGH_SECONDS
ROUGH_FAULTS = 2
"""Faults of one rough phase: far enough apart to tell what followed from which, near enough to meet
what the one before has left."""
WORKERS_FEWEST, WORKERS_MOST = 2, 4
WORKER = "worker"
"""As a target: one of the workers that own shards when the time has come."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do."""

    at: float
    """Seconds after the load began."""
    kind: str
    """`phase`, `scale`, `kill` (SIGKILL), `restart` (SIGTERM), `freeze` (SIGSTOP, later SIGCONT),
    `flush` (FLUSHALL) or `telegram` (its faults)."""
    target: str = ""
    """A phase's name, or a process's."""
    seconds: float = 0.0
    """How long it is kept up."""
    workers: int = 0
    """The count to scale to."""
    pick: float = 0.0
    """Between 0 and 1: which one, where the target leaves a choice."""


def _bag() -> list[Event]:
    killed = ("worker", "worker", "gateway-0", "gateway-1", "pricing", "wallet", "ledger")
    restarted = ("worker", "gateway-0", "pricing", "wallet", "ledger")
    return [
        *(Event(at=0, kind="kill", target=name) for name in (*killed, "valkey", "postgres")),
        *(Event(at=0, kind="restart", target=name) for name in restarted),
        # A lease lasts 3 s, a gateway's lease of sending 12 s, a call 3 s.
        Event(at=0, kind="freeze", target="worker", seconds=5.0),
        Event(at=0, kind="freeze", target="worker", seconds=9.0),
        Event(at=0, kind="freeze", target="gateway-0", seconds=14.0),
        Event(at=0, kind="freeze", target="ledger", seconds=4.0),
        Event(at=0, kind="freeze", target="pricing", seconds=4.0),
        Event(at=0, kind="freeze", target="postgres", seconds=4.0),
        Event(at=0, kind="flush"),
        Event(at=0, kind="flush"),
        Event(at=0, kind="telegram", seconds=8.0),
        Event(at=0, kind="telegram", seconds=8.0),
    ]


def make_schedule(seed: int, minutes: float) -> list[Event]:
    """Plan a run of about so many minutes; at least one cycle."""
    chance = random.Random(seed)  # must be the same in every run
    faults = _faults(chance)
    events: list[Event] = []
    for cycle in range(max(1, round(minutes * 60 / CYCLE_SECONDS))):
        begin = cycle * CYCLE_SECONDS
        moving, rough = begin + QUIET_SECONDS, begin + QUIET_SECONDS + MOVING_SECONDS
        events.append(Event(at=begin, kind="phase", target="quiet"))
        events.append(Event(at=moving, kind="phase", target="moving"))
        most = chance.randint(WORKERS_FEWEST + 1, WORKERS_MOST)
        fewest = chance.randint(WORKERS_FEWEST, most - 1)
        events.append(Event(at=moving, kind="scale", workers=most))
        events.append(Event(at=moving + MOVING_SECONDS / 2, kind="scale", workers=fewest))
        events.append(Event(at=rough, kind="phase", target="rough"))
        apart = ROUGH_SECONDS / (ROUGH_FAULTS + 1)
        for number in range(ROUGH_FAULTS):
            at = rough + apart * number + chance.uniform(0, apart / 2)
            fault = next(faults)
            events.append(msgspec.structs.replace(fault, at=round(at, 3), pick=chance.random()))
    return events


def _faults(chance: random.Random) -> Iterator[Event]:
    while True:
        bag = _bag()
        chance.shuffle(bag)
        yield from bag


SMALL: list[Event] = [
    Event(at=0.0, kind="phase", target="quiet"),
    Event(at=2.0, kind="phase", target="moving"),
    Event(at=2.0, kind="scale", workers=3),
    Event(at=7.0, kind="phase", target="rough"),
    Event(at=7.0, kind="telegram", seconds=8.0),
    Event(at=7.5, kind="kill", target="worker"),
    Event(at=8.5, kind="kill", target="postgres"),
    # Longer than a lease (3 s).
    Event(at=11.0, kind="freeze", target="worker", seconds=4.5),
    Event(at=11.5, kind="flush"),
    Event(at=12.0, kind="kill", target="ledger"),
    Event(at=12.5, kind="scale", workers=2),
    Event(at=13.0, kind="kill", target="gateway-0"),
    Event(at=14.0, kind="kill", target="pricing"),
    Event(at=15.0, kind="kill", target="valkey"),
    Event(at=16.0, kind="kill", target="wallet"),
    Event(at=17.0, kind="restart", target="ledger"),
]
"""One fault of each kind within half a minute, for the tests of every day."""


def duration(schedule: list[Event]) -> float:
    """How long the load goes on: until the last thing is over, and a little more."""
    return max((event.at + event.seconds for event in schedule), default=0.0) + 1.0
