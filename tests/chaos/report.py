"""The tables that a run prints."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.chaos.figures import Figures, percentile
from tests.history.checker import MONEY_PROMISES, PROMISES, Violation

NAMED_MAX = 5
"""Violations of one promise that are printed; the history has all."""


def render(
    figures: Figures, violations: Sequence[Violation], others: Iterable[tuple[str, str]]
) -> str:
    """Everything, as plain text; `others` are further figures, named and said."""
    return "\n\n".join(
        (
            _table("operations and answers", _operations(figures)),
            _table("faults", [(name, str(n)) for name, n in sorted(figures.faults.items())]),
            _table("violations", _violations(violations)),
            _table("figures", [*_figures(figures), _money(figures, violations), *others]),
        )
    )


def _money(figures: Figures, violations: Sequence[Violation]) -> tuple[str, str]:
    wrong = sum(violation.promise in MONEY_PROMISES for violation in violations)
    return "money effects lost or doubled (goal 0)", f"{wrong} of {figures.trades} trades"


def _operations(figures: Figures) -> list[tuple[str, str]]:
    return [
        *((f"{name} sent", str(count)) for name, count in sorted(figures.operations.items())),
        ("messages of the bot", str(figures.messages_heard)),
        ("of these sent more than once", str(figures.sent_again)),
        ("trades executed", str(figures.trades)),
        *((f"orders that waited: {name}", str(n)) for name, n in sorted(figures.resting.items())),
        *((f"orders by a {name}", str(count)) for name, count in sorted(figures.by_rule.items())),
    ]


def _violations(violations: Sequence[Violation]) -> list[tuple[str, str]]:
    counts = Counter(violation.promise for violation in violations)
    lines = [(promise, str(counts[promise])) for promise in PROMISES]
    shown: Counter[str] = Counter()
    for violation in violations:
        shown[violation.promise] += 1
        if shown[violation.promise] <= NAMED_MAX:
            lines.append(("  !", violation.what))
    return lines


def _figures(figures: Figures) -> list[tuple[str, str]]:
    quiet, moving = figures.unmoved_seconds["quiet"], figures.unmoved_seconds["moving"]
    lines = [
        (f"answers in {phase} phases", _milliseconds(seconds))
        for phase, seconds in figures.answer_seconds.items()
    ]
    return [
        *lines,
        ("pause of a moved shard, release to claim (goal 200 ms)", _milliseconds(figures.pauses)),
        ("  release to the first waiting job's end", _milliseconds(figures.until_worked)),
        ("unmoved shards, quiet", _milliseconds(quiet)),
        ("unmoved shards while others move", _milliseconds(moving)),
        ("  p99 to p99 (goal 1.1)", _ratio(percentile(moving, 0.99), percentile(quiet, 0.99))),
        ("a killed worker's shards claimed (goal 5 s)", _milliseconds(figures.taken_over)),
        ("a frozen worker's shards claimed (goal 5 s)", _milliseconds(figures.thawed_over)),
        ("after FLUSHALL until nothing was held up", _milliseconds(figures.flushes)),
    ]


def _milliseconds(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    p50, p99 = (percentile(seconds, share) or 0.0 for share in (0.5, 0.99))
    most = max(seconds)
    return (
        f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, most {most * 1000:.0f} ms "
        f"({len(seconds)})"
    )


def _ratio(above: float | None, below: float | None) -> str:
    return f"{above / below:.2f}" if above is not None and below else "none"


def _table(title: str, lines: Sequence[tuple[str, str]]) -> str:
    width = max((len(name) for name, _ in lines if len(name) > 3), default=0)
    body = [f"  {name:<{width}}  {value}" for name, value in lines] or ["  none"]
    return "\n".join([title, *body])
