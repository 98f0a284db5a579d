"""A simulation in words. Pure."""

from chassis.terminal import table
from shard_operator.simulating.outcome import JobsOutcome, Outcome, Step
from shard_operator.simulating.pool_model import PoolFigures

STEPS_SHOWN_MAX = 30
"""Without `--all`: a screen."""

OPEN = """\
Open loop: the backlog is what was recorded, with the workers of that day. With more of them it
would have been shorter, with fewer longer; the times of the steps and their reasons are right, the
age of jobs under these counts is not known. A trace with arrivals can close the loop."""


def tell_outcome(
    outcome: Outcome, figures: PoolFigures | None, width: int, *, everything: bool
) -> str:
    """The summary, then the steps."""
    outs = sum(step.after > step.before for step in outcome.steps)
    counts = [outcome.replicas_before, *(point.replicas for point in outcome.points)]
    average = outcome.replica_seconds / outcome.seconds
    facts = [
        ("time", clock(outcome.seconds)),
        ("steps", f"{outs} out, {len(outcome.steps) - outs} in"),
        ("workers", f"{min(counts)} to {max(counts)}, {average:.2f} on average"),
        ("used", f"{outcome.replica_seconds / 60:,.0f} replica-minutes"),
    ]
    if outcome.unknown_seconds:
        facts.append(("unknown", f"the backlog, for {clock(outcome.unknown_seconds)}"))
    for reason, seconds in sorted(outcome.limited_seconds.items(), key=lambda item: -item[1]):
        facts.append(("limited", f"{reason} for {clock(seconds)}"))
    if outcome.jobs is not None and figures is not None:
        facts += _jobs(outcome.jobs, figures)
    lines = table([(f"{name}:", text) for name, text in facts], width=width)
    if outcome.jobs is None:
        lines += ["", OPEN]
    return "\n".join([*lines, "", *_steps(outcome.steps, width, everything=everything)])


def _jobs(jobs: JobsOutcome, figures: PoolFigures) -> list[tuple[str, str]]:
    share = jobs.late / jobs.accepted if jobs.accepted else 0.0
    late = f"{jobs.late:,} took longer than {figures.late_seconds:g} s ({share:.2%})"
    model = (
        f"a worker begins {figures.rate:g} jobs/s, a job runs {figures.job_seconds:g} s, a pod"
        f" serves after {figures.start_seconds:g} s, {figures.shards} shards"
    )
    return [
        ("jobs", f"{jobs.accepted:,} accepted, {jobs.ended:,} ended, {jobs.left:,} left"),
        ("late", f"{late}, the slowest {jobs.slowest_seconds:.1f} s"),
        ("moves", f"{jobs.moved:,} shards changed hands, {jobs.interrupted:,} jobs interrupted"),
        ("model", model),
    ]


def _steps(steps: list[Step], width: int, *, everything: bool) -> list[str]:
    if not steps:
        return ["The count never changes."]
    shown = steps if everything else steps[:STEPS_SHOWN_MAX]
    rows = [(clock(step.seconds), f"{step.before} to {step.after}", step.why) for step in shown]
    lines = table([("AT", "WORKERS", "WHY"), *rows], width=width)
    if len(shown) < len(steps):
        lines.append(f"… and {len(steps) - len(shown)} more: --all shows all")
    return lines


def clock(seconds: float) -> str:
    """Write a time since the beginning: `1:02:03`, with days before it where there are any."""
    whole = int(seconds)
    days, rest = divmod(whole, 86_400)
    text = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {text}" if days else text
