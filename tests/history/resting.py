"""Orders that wait for a price: each triggers at most once, and once its price stayed crossed.

Outside one sees samples of prices and samples of placement, so only a crossing that was plain
counts: beyond the trigger by a margin, in every sample of `LONG_ENOUGH_SECONDS`, while nothing was
being broken and the shard kept its owner. Crossings in the middle of faults may be missed (a price
that came back while nobody owned the shard triggers nothing) and are not judged.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal

from tests.history.books import Books, Resting
from tests.history.records import Placed, Quoted, Record, Struck

LONG_ENOUGH_SECONDS = 10.0
"""A trigger takes milliseconds; a limit order that is crossed is looked at again each second."""
AFTERMATH_SECONDS = 20.0
"""How long a fault may be felt: a lease, an orphan's wait, a gateway's lease of sending."""
SAMPLES_APART_SECONDS_MAX = 3.0
"""Between two samples further apart anything may have happened to the price."""
MARGINS = {"limit": Decimal("0.01"), "stop": Decimal("0.001"), "take-profit": Decimal("0.001")}
"""How far beyond its price an order must be crossed. A limit order triggers only when the venue
would execute it within the limit: spread and slippage come off."""


def resting_orders_trigger_once(books: Books) -> Iterator[str]:
    """A triggered one is one order; one that did not trigger is none."""
    orders = Counter(order.order_id for order in books.orders)
    accepted = Counter(step.order_id for step in books.steps if step.step == "accept")
    for resting in books.resting:
        wanted = 1 if resting.state == "triggered" else 0
        for name, counts in (("orders", orders), ("acceptances", accepted)):
            found = counts[resting.order_id]
            if found != wanted:
                yield f"{resting.order_id} is {resting.state} with {found} {name}"


def resting_orders_trigger_when_crossed(records: Sequence[Record], books: Books) -> Iterator[str]:
    """Nothing waits whose price was plainly crossed for long enough."""
    quotes: defaultdict[str, list[Quoted]] = defaultdict(list)
    moves: defaultdict[int, list[float]] = defaultdict(list)
    troubled = []
    for record in records:
        match record:
            case Quoted():
                quotes[record.symbol].append(record)
            case Placed():
                moves[record.shard].append(record.at)
            case Struck():
                troubled.append((record.at, record.over_at + AFTERMATH_SECONDS))
    calm: dict[tuple[int, str], list[tuple[Quoted, bool]]] = {}
    for resting in books.resting:
        if resting.placed_at is None or resting.expires_at is None:
            continue
        key = (resting.shard, resting.symbol)
        if key not in calm:
            troubles = [*troubled, *((at, at + AFTERMATH_SECONDS) for at in moves[resting.shard])]
            calm[key] = [(q, _is_calm(q.at, troubles)) for q in quotes[resting.symbol]]
        since = _plainly_crossed(resting, calm[key])
        if since is not None:
            yield (
                f"{resting.order_id} ({resting.kind}) is {resting.state}, and its price had been "
                f"crossed for {LONG_ENOUGH_SECONDS:.0f} s since {since:.3f}"
            )


def _plainly_crossed(resting: Resting, quotes: list[tuple[Quoted, bool]]) -> float | None:
    """Since when it was crossed for long enough with nothing in the way; None when it never was."""
    assert resting.placed_at is not None
    assert resting.expires_at is not None
    # Whatever ended its waiting, until then it should have triggered.
    until = min(resting.ended_at or resting.expires_at, resting.expires_at)
    since: float | None = None
    before = resting.placed_at
    for quote, is_calm in quotes:
        if not resting.placed_at < quote.at < until:
            continue
        is_gap, before = quote.at - before > SAMPLES_APART_SECONDS_MAX, quote.at
        if not is_calm or not _is_beyond(resting, quote.price):
            since = None
        elif since is None or is_gap:
            since = quote.at
        elif quote.at - since >= LONG_ENOUGH_SECONDS:
            return since
    return None


def _is_calm(at: float, troubles: list[tuple[float, float]]) -> bool:
    return not any(begin <= at <= end for begin, end in troubles)


def _is_beyond(resting: Resting, price: Decimal) -> bool:
    margin = resting.trigger_price * MARGINS[resting.kind]
    if resting.is_below:
        return price <= resting.trigger_price - margin
    return price >= resting.trigger_price + margin
