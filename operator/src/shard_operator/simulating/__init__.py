"""`python -m shard_operator simulate trace.csv`: what the scaler would have done with a recorded
backlog; `… record` writes such a trace.

`trace` reads the file; `scaler` is the real `scaling.plan_replicas` over time; `replay` feeds it
either what was recorded (open loop) or what a model of the pool comes to under its decisions
(closed loop: `pool_model`); `outcome` is what came of it, `telling` says it in words, `drawing` as
a picture. Only `doing` and `recording` touch anything outside.
"""

from shard_operator.simulating.arguments import add_verbs

__all__ = ["add_verbs"]
