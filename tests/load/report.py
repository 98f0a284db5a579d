"""Writes docs/report from the figures of a comparison; every number in it comes from them."""

from collections.abc import Iterable
from pathlib import Path
from statistics import mean

import msgspec
from tests.load.charts import Axis, Line, chart
from tests.load.crash import CRASH_AFTER_SECONDS, TIMELINE_SECONDS
from tests.load.results import Memory, Results
from tests.load.stage import DRAIN_SECONDS, Outcome
from tests.load.watching import DRIVER, P99_SECONDS_MAX

BOTS = ("baseline", "Purser")
MILLISECONDS_MAX = 100_000.0

REPORT = """\
# The single-process bot and Purser under the same load

Commit `{results.commit}`, {results.day}, {machine[cores]} cores ({machine[cpu]}), Python
{machine[python]}; seed {results.seed}. `make compare` writes this page;
[results.json](results.json) has every figure.

## How it was measured

- {results.users} users of each bot. Mix: {results.mix}. At the price jump: {results.jump_mix}.
- The load is open: when each message is sent is fixed in advance, and a latency counts from the
  intended moment to the answer's arrival at the simulated Telegram. A button is pressed 0.7 s
  after its card; its latency counts from then.
- The baseline is one process as a competent developer writes it first (`tests/load/baseline`):
  aiogram, SQLite in WAL mode, a price call per request, one Fernet key. Its portfolio is text;
  Purser's comes with a picture.
- Prices come from a fake exchange that takes {delay_ms} ms to answer and answers 429 above
  {results.upstream_calls_per_second_max} calls a second, each bot its own. Purser asks two.
- Both bots were up all the time and loaded in turn (A B B A). **Driver, simulated Telegram, fake
  exchanges and both bots shared the cores**; Purser, which takes more of them, loses most by that.
- Not measured: the real Telegram and its limits, real exchanges, a network, a cluster, several
  machines, days of running.

## Rising rate

![p50 and p99 by rate](latency.svg)

{steps}

An interval is the bootstrap's 95 %. A bot whose queue grew was spared higher rates. "Others" are
cores that were used by processes of neither side: where that is not near 0, the figures beside it
are worse than they need be.

The highest rate of these at which a bot kept up, in updates a second:

{kept}

What broke first:

{broke}

![upstream calls by rate](upstream.svg)

## Everybody at once

When the price jumps by a tenth, each user sends one message in the same moment.

{jumps}

## A crash in the middle

`kill -9` after {crash_after} s of purchases and price questions. Lost: not answered within {drain}
s after the last message, or not in the books. Purser has several processes; each that stands on the
way of a trade is killed once.

![answers per second around the crash](crash.svg)

{crashes}

## Memory

PSS; the simulated Telegram and the driver are not in it.

{memory}

## Processor time of an update

{processor}
"""


def write(results: Results, folder: Path) -> None:
    """Write the report, the raw figures and the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = msgspec.json.format(msgspec.json.encode(results), indent=1)
    (folder / "results.json").write_bytes(raw + b"\n")
    (folder / "latency.svg").write_text(_latency(results))
    (folder / "upstream.svg").write_text(_upstream(results))
    (folder / "crash.svg").write_text(_crash(results))
    (folder / "report.md").write_text(render(results))


def render(results: Results) -> str:
    """Write the report as Markdown."""
    return REPORT.format(
        results=results,
        machine=results.machine,
        delay_ms=f"{results.upstream_delay_seconds * 1000:g}",
        steps=_steps(results.steps),
        kept=_kept(results.steps),
        broke="\n".join(_broke(results.steps)),
        jumps=_jumps(results.jumps),
        crash_after=f"{CRASH_AFTER_SECONDS:g}",
        drain=f"{DRAIN_SECONDS:g}",
        crashes=_crashes(results),
        memory=_memory(results.memory),
        processor=_processor(results.steps),
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _steps(steps: list[Outcome]) -> str:
    return _table(
        [
            "updates/s",
            "bot",
            "updates",
            "right answers",
            "refused",
            "right/s",
            "p50 ms",
            "p99 ms (interval)",
            "upstream calls (429)",
            "others, cores",
        ],
        (
            [
                step.load.removesuffix("/s"),
                step.bot,
                step.updates,
                step.answered,
                step.refused,
                step.answers_per_second,
                f"{step.p50:.0f}",
                f"{step.p99:.0f} ({step.p99_interval[0]:.0f}-{step.p99_interval[1]:.0f})",
                f"{step.upstream_calls} ({step.upstream_refused})",
                f"{step.cores_strangers:.2f}",
            ]
            for step in steps
        ),
    )


def _kept(steps: list[Outcome]) -> str:
    def highest(bot: str, milliseconds_max: float) -> str:
        kept = 0.0
        for rate in _rates(steps):
            own = [step for step in steps if step.bot == bot and _rate(step) == rate]
            if not own or any(
                step.answered < step.updates or step.p99 > milliseconds_max for step in own
            ):
                break
            kept = rate
        return f"{kept:g}" if kept else "-"

    goal = P99_SECONDS_MAX * 1000
    rows = [
        [
            bot,
            highest(bot, MILLISECONDS_MAX),
            highest(bot, 1000),
            highest(bot, goal),
        ]
        for bot in BOTS
    ]
    return _table(["bot", "all answered rightly", "and p99 ≤ 1 s", f"and p99 ≤ {goal:g} ms"], rows)


def _broke(steps: list[Outcome]) -> list[str]:
    lines = []
    for bot in BOTS:
        own = [step for step in steps if step.bot == bot]
        broken = next((step for step in own if not step.keeps_up), None)
        goal = f"everything answered rightly, p99 within {P99_SECONDS_MAX * 1000:g} ms"
        if broken is None:
            lines.append(f"- {bot}: nothing, up to {own[-1].load} ({goal}).")
        else:
            lines.append(f"- {bot}, at {broken.load} (goal: {goal}): {broken.broke}.")
    return lines


def _jumps(jumps: list[Outcome]) -> str:
    return _table(
        ["bot", "updates", "right answers", "refused", "p50 ms", "p99 ms", "last ms", "upstream"],
        (
            [
                jump.bot,
                jump.updates,
                jump.answered,
                jump.refused,
                f"{jump.p50:.0f}",
                f"{jump.p99:.0f}",
                f"{jump.worst:.0f}",
                f"{jump.upstream_calls} ({jump.upstream_refused})",
            ]
            for jump in jumps
        ),
    )


def _crashes(results: Results) -> str:
    return _table(
        [
            "bot",
            "killed",
            "updates",
            "lost",
            "answered twice",
            "orders",
            "refused",
            "lost",
            "doubled",
            "told wrongly",
            "silent s",
            "slowest answer s",
        ],
        (
            [
                crash.bot,
                crash.killed,
                crash.updates,
                crash.updates_lost,
                crash.answered_twice,
                crash.orders,
                crash.orders_refused,
                crash.orders_lost,
                crash.orders_doubled,
                crash.orders_misreported,
                crash.silent_seconds,
                crash.slowest_seconds,
            ]
            for crash in results.crashes
        ),
    )


def _memory(memory: list[Memory]) -> str:
    rows = [
        [
            found.bot,
            f"{sum(found.after_sign_up.values()):.0f}",
            f"{sum(found.after_all.values()):.0f}",
            ", ".join(f"{name} {size:.0f}" for name, size in found.after_all.items()),
        ]
        for found in memory
    ]
    head = ["bot", "after sign-up, MB", "after everything, MB", "each process then"]
    return _table(head, rows)


def _processor(steps: list[Outcome]) -> str:
    names = {name for step in steps for name in step.processor_milliseconds}
    rows = []
    for bot in BOTS:
        loaded = [step for step in steps if step.bot == bot]
        highest = max(map(_rate, loaded))
        own = [step.processor_milliseconds for step in loaded if _rate(step) == highest]
        spent = {name: mean(step.get(name, 0.0) for step in own) for name in names}
        order = sorted(spent.items(), key=lambda item: -item[1])
        told = [f"{name} {value:.1f}" for name, value in order if value >= 0.05]
        total = sum(value for name, value in spent.items() if name != DRIVER)
        rows.append([bot, f"{total:.1f}", ", ".join(told)])
    return _table(
        ["bot", "ms without driver", "by process, at the highest rate it was put under"], rows
    )


def _rates(steps: list[Outcome]) -> list[float]:
    return sorted({_rate(step) for step in steps})


def _rate(step: Outcome) -> float:
    return float(step.load.removesuffix("/s"))


def _by_rate(results: Results, bot: str, figure: str) -> list[tuple[float, float]]:
    found = []
    for rate in _rates(results.steps):
        own = [
            getattr(step, figure)
            for step in results.steps
            if step.bot == bot and _rate(step) == rate
        ]
        if own:
            found.append((rate, mean(own)))
    return found


def _latency(results: Results) -> str:
    lines = [
        Line(f"{bot} {name}", _by_rate(results, bot, name), colour, is_dashed=name == "p50")
        for colour, bot in enumerate(BOTS)
        for name in ("p50", "p99")
    ]
    return chart(
        "Latency from the intended moment",
        Axis("updates/s", 0, max(_rates(results.steps))),
        Axis("ms", 10, MILLISECONDS_MAX, is_logarithmic=True),
        lines,
    )


def _upstream(results: Results) -> str:
    lines = [
        Line(bot, _by_rate(results, bot, "upstream_calls"), colour)
        for colour, bot in enumerate(BOTS)
    ]
    highest = max((value for line in lines for _, value in line.points), default=1.0)
    return chart(
        "Upstream calls that were answered, in ten seconds of load",
        Axis("updates/s", 0, max(_rates(results.steps))),
        Axis("calls", 0, max(10.0, -(-highest // 100) * 100)),
        lines,
    )


def _crash(results: Results) -> str:
    lines = [
        Line(
            crash.bot if crash.bot == "baseline" else crash.killed.removeprefix("purser-"),
            [(float(second), float(count)) for second, count in enumerate(crash.timeline)],
            number,
        )
        for number, crash in enumerate(results.crashes)
    ]
    highest = max((value for line in lines for _, value in line.points), default=1.0)
    return chart(
        f"Answers in each second; kill -9 at {CRASH_AFTER_SECONDS:g} s",
        Axis("s", 0, TIMELINE_SECONDS),
        Axis("answers/s", 0, -(-highest // 10) * 10),
        lines,
    )
