"""What is made of a comparison's figures: orders counted, pictures drawn, a page written."""

import math
import xml.etree.ElementTree as ET  # reads our own text
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
from tests.load.bots import Purchases
from tests.load.charts import Axis, Line, chart
from tests.load.crash import Crash, count_orders, silence, timeline
from tests.load.crowd import Ask, Load
from tests.load.mix import Kind
from tests.load.report import write
from tests.load.results import Memory, Results
from tests.load.stage import Outcome


def order(cents: int, answered: float | None, *, is_refused: bool = False) -> Ask:
    """A confirmed purchase of 20 USDT and so many cents by the crowd's first user."""
    return Ask(0, Kind.CONFIRM, 0.0, "BTC", cents, answered, is_refused)


def test_an_order_is_lost_only_when_nobody_answers_for_it() -> None:
    """Done and told, done and not told, refused, lost, doubled, and told otherwise than done."""
    load = Load(0.0)
    load.asks = [
        order(0, 1.0),
        order(1, None),
        order(2, 1.0, is_refused=True),
        order(3, None),
        order(4, 1.0),
        order(5, 1.0),
        order(6, 1.0, is_refused=True),
    ]
    user = 10_000
    bought: Purchases = Counter({(user, Decimal(20)): 1, (user, Decimal("20.01")): 1})
    bought[user, Decimal("20.04")] = 2
    bought[user, Decimal("20.06")] = 1

    found = count_orders(load, bought)
    assert {"done": 2, "refused": 1, "lost": 1, "doubled": 1, "misreported": 2} == found


def test_silence_and_timeline_are_of_answers() -> None:
    """The longest gap; the answers of each second from the begin."""
    load = Load(10.0)
    load.asks = [order(n, at) for n, at in enumerate((10.5, 10.9, 14.0, 14.5))] + [order(9, None)]
    assert silence(load) == 14.0 - 10.9
    assert timeline(load)[:6] == [2, 0, 0, 0, 2, 0]


def test_a_chart_is_well_formed_and_stays_inside() -> None:
    """Whatever the figures are: NaN is left out, what lies outside is put on the border."""
    across, up = Axis("1/s", 0, 100), Axis("ms", 10, 1000, is_logarithmic=True)
    lines = [Line("a & b", [(0, 5.0), (50, math.nan), (200, 1e9)]), Line("none", [])]
    drawn = chart("p50 < p99", across, up, lines)
    root = ET.fromstring(drawn)  # noqa: S314  # our own text
    assert "nan" not in drawn
    assert root.find("{*}title") is not None
    assert [10, 100, 1000] == up.ticks()
    assert (0.0, 1.0, 0.5) == (up.share(1), up.share(1e9), up.share(100))


def outcome(bot: str, load: str, p99: float) -> Outcome:
    """A load's outcome with this p99."""
    return Outcome(
        bot=bot,
        load=load,
        users=5,
        updates=100,
        answered=100 if p99 < 250 else 98,
        refused=0 if p99 < 250 else 2,
        unasked=0,
        answers_per_second=9.8,
        p50=p99 / 2,
        p50_interval=(p99 / 3, p99),
        p99=p99,
        p99_interval=(p99 - 1, p99 + 1),
        worst=p99 + 7,
        keeps_up=p99 < 250,
        late_sends=0,
        upstream_calls=71,
        upstream_refused=3,
        cores_used={"bot": 0.5},
        processor_milliseconds={"bot": 12.0},
        cores_strangers=0.0,
        broke="nothing" if p99 < 250 else "p99 too long",
        refusals={},
    )


def test_the_report_states_the_figures_and_what_was_not_measured(tmp_path: Path) -> None:
    """And its raw data give the same results back."""
    bots = ("baseline", "Purser")
    killed = {"baseline": "bot", "Purser": "ledger"}
    crashes = [
        Crash(
            bot=bot,
            killed=killed[bot],
            updates=300,
            updates_lost=4,
            answered_twice=0,
            orders=70,
            orders_refused=1,
            orders_lost=3,
            orders_misreported=0,
            orders_doubled=0,
            silent_seconds=2.5,
            slowest_seconds=3.5,
            timeline=[1] * 30,
        )
        for bot in bots
    ]
    results = Results(
        commit="abc1234",
        machine={"cores": 2, "cpu": "some", "python": "3.11"},
        day="2026-01-01",
        seed=1,
        users=5,
        mix="day",
        jump_mix="jump",
        upstream_delay_seconds=0.2,
        upstream_calls_per_second_max=50,
        sign_ups=[],
        steps=[outcome(bot, f"{rate}/s", rate * 10.0) for rate in (10, 30) for bot in bots],
        jumps=[outcome(bot, "price jump", 900.0) for bot in bots],
        crashes=crashes,
        memory=[Memory(bot=bot, after_sign_up={"a": 50}, after_all={"a": 60}) for bot in bots],
    )
    write(results, tmp_path)

    page = (tmp_path / "report.md").read_text()
    for told in (
        "Commit `abc1234`",
        "| 30 | Purser | 100 | 98 | 2 | 9.8 | 150 | 300 (299-301) | 71 (3) | 0.00 |",
        "| Purser | 10 | 10 | 10 |",
        "- baseline, at 30/s (goal: everything answered rightly, p99 within 250 ms): p99 too long.",
        "| Purser | ledger | 300 | 4 | 0 | 70 | 1 | 3 | 0 | 0 | 2.5 | 3.5 |",
        "shared the cores",
        "Not measured: the real Telegram",
    ):
        assert told in page
    for picture in ("latency", "upstream", "crash"):
        assert f"({picture}.svg)" in page
        ET.parse(tmp_path / f"{picture}.svg")  # noqa: S314  # our own text
    assert results == msgspec.json.decode((tmp_path / "results.json").read_bytes(), type=Results)
