"""All figures of one comparison: what `make compare` keeps as results.json and reports on."""

import msgspec
from tests.load.crash import Crash
from tests.load.stage import Outcome


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """PSS of each process in MB."""

    bot: str
    after_sign_up: dict[str, float]
    after_all: dict[str, float]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    commit: str
    machine: dict[str, object]
    day: str
    seed: int
    users: int
    mix: str
    jump_mix: str
    upstream_delay_seconds: float
    upstream_calls_per_second_max: int
    sign_ups: list[Outcome]
    steps: list[Outcome]
    jumps: list[Outcome]
    crashes: list[Crash]
    memory: list[Memory]
