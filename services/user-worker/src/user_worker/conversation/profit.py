"""/profit: how trading went, in figures of the ledger, each explained in a line."""

from datetime import timedelta

from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, send
from user_worker.conversation.texts import Texts
from user_worker.conversation.valuing import Valuation, valued
from user_worker.domain.jobs import Command
from user_worker.domain.marking import Span, gain_ever, gain_since
from user_worker.domain.performance import Performance
from user_worker.domain.replies import Button, Reply

KIND = "profit"
SPANS = {
    "24h": Span(timedelta(days=1), 15, 1),
    "7d": Span(timedelta(days=7), 60, 1),
    "30d": Span(timedelta(days=30), 240, 1),
}
FEES_SHOWN_MAX = 6


async def answer(context: Context, _command: Command) -> list[Reply]:
    """Show the figures."""
    valuation = await valued(context, list(SPANS.values()), may_be_old=True)
    texts, performance = context.texts, valuation.performance
    paragraphs = [
        "\n".join(_overall(texts, performance)),
        "\n".join(_by_span(texts, valuation)),
        "\n".join(_closed(texts, performance)),
    ]
    notes = []
    if valuation.without_price:
        symbols = ", ".join(valuation.without_price)
        notes.append(texts.html("portfolio-without-price", symbols=symbols))
    if valuation.oldest_seconds > context.services.stale_quote_seconds:
        notes.append(texts.html("prices-old", ago=texts.ago(valuation.oldest_seconds)))
    if valuation.is_simulated:
        notes.append(texts.html("simulated-prices"))
    paragraphs += ["\n".join(notes)] if notes else []
    paragraphs.append(texts.html("profit-legend"))
    buttons = (
        Button(texts.plain("button-portfolio"), "do:portfolio"),
        Button(texts.plain("button-history"), "do:history"),
    )
    return send(context, Page(KIND, "\n\n".join(paragraphs), (buttons,)))


def _overall(texts: Texts, performance: Performance) -> list[str]:
    gain, unrealised = gain_ever(performance), performance.unrealised_pnl
    unknown = texts.plain("unknown")
    return [
        texts.html("profit-title"),
        texts.html(
            "profit-gain-unknown" if gain is None else "profit-gain",
            change="" if gain is None else texts.change(gain),
            currency=performance.currency,
            deposits=texts.value(performance.net_deposits),
        ),
        texts.html("profit-realised", change=texts.change(performance.realised_pnl)),
        texts.html(
            "profit-unrealised",
            change=unknown if unrealised is None else texts.change(unrealised),
        ),
    ]


def _by_span(texts: Texts, valuation: Valuation) -> list[str]:
    lines = []
    for name, points in zip(SPANS, valuation.spans, strict=True):
        gain = gain_since(valuation.performance, points[0])
        change = texts.plain("unknown") if gain is None else texts.change(gain)
        lines.append(texts.html("profit-span", span=texts.plain(f"span-{name}"), change=change))
    return lines


def _closed(texts: Texts, performance: Performance) -> list[str]:
    lines = [texts.html("profit-trades", count=str(performance.trades))]
    if performance.winning_trades + performance.losing_trades + performance.even_trades:
        lines.append(
            texts.html(
                "profit-closed",
                won=str(performance.winning_trades),
                lost=str(performance.losing_trades),
                even=str(performance.even_trades),
            )
        )
    if performance.win_rate is not None:
        lines.append(texts.html("profit-win-rate", rate=texts.percent(performance.win_rate, 1)))
    if performance.profit_factor is not None:
        lines.append(texts.html("profit-factor", factor=texts.value(performance.profit_factor)))
    if performance.expectancy is not None:
        lines.append(texts.html("profit-expectancy", change=texts.change(performance.expectancy)))
    if performance.max_drawdown_ratio is not None:
        lines.append(
            texts.html(
                "profit-drawdown",
                value=texts.value(performance.max_drawdown),
                ratio=texts.percent(performance.max_drawdown_ratio, 1),
            )
        )
    fees = [f"{texts.about(f.value)} {f.symbol}" for f in performance.fees if f.value]
    if fees:
        lines.append(texts.html("profit-fees", fees=", ".join(fees[:FEES_SHOWN_MAX])))
    return lines
