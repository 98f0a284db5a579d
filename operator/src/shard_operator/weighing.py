"""Evening out weights within a balance by count: exchanges between the heaviest and a light worker.

The exact problem is NP-hard (it is multiprocessor scheduling), so this is a heuristic with bounds:
each exchange takes from the heaviest worker, either a shard for a lighter one or, where counts stay
within one, a shard for none; the best is the one that lowers the pair's larger load most for each
user-visible pause. It ends when the heaviest is near the bound, cannot be helped, or the pace
allows no more. Counts stay within one of another, so the plan by count finds nothing to change in
the result, and planning twice changes nothing.

A shard weighs `SHARD_WEIGHT` plus its users. Users change slowly, by admissions, and every operator
reads the same figure in the database. The backlog would say more about this minute, and would move
shards for it: each move pauses the users who are in a hurry, a queue is drained sooner than a plan,
and what raises all queues (a dependency that is down) is no reason to move any. The number of
workers follows the backlog instead.

Figures that jitter must not move shards. So nothing begins below `BEGIN_ABOVE`, what began goes on
to `END_AT`, and each pause must be worth `GAIN_MIN` of the heaviest shard. It follows that weights
within `EQUAL_WITHIN` of one another never make an exchange. With n and n + 1 equal shards on two
workers the heaviest is at most (1 + 1/n)(1 + EQUAL_WITHIN) above an even share: for n of 5 and more
that is below `BEGIN_ABOVE`; for fewer, an exchange gains at most n * EQUAL_WITHIN of a shard, which
is below `GAIN_MIN`.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

SHARD_WEIGHT = 10
"""What a shard without a user weighs, in users: its stream and its inbox are read either way, and
users will come. An estimate; it keeps empty shards from gathering on one worker."""

BEGIN_ABOVE = 0.25
"""Share above the bound at which exchanging begins. A quarter is what consistent hashing with
bounded loads recommends (Mirrokni, Thorup, Zadimoghaddam 2016): closer costs many more moves."""

END_AT = 0.1
"""Share above the bound at which it ends: far enough below the beginning that a few new users do
not begin it again."""

GAIN_MIN = 1 / 8
"""What each pause must take off the heaviest worker, as a share of the heaviest shard."""

EQUAL_WITHIN = 0.03
"""Weights this close to one another are planned exactly as equal ones."""

PARTNERS_MAX = 8
"""How many of the lightest workers are tried with the heaviest: the lightest nearly always does."""


def weight_of(users: int) -> int:
    """What a shard with so many users weighs."""
    return SHARD_WEIGHT + users


@dataclass(frozen=True, slots=True)
class Movable:
    """A shard that may change places. `home`: where staying pauses nobody, if anywhere."""

    shard: int
    weight: int
    home: str | None

    def pauses_at(self, worker: str) -> int:
        """1 when its users notice that it goes to this worker."""
        return self.home is not None and self.home != worker


@dataclass(slots=True)
class Scales:
    """Each open worker's load, its rank deciding where loads are equal."""

    rank: dict[str, int]
    weights: dict[str, int] = field(init=False)
    counts: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.weights = dict.fromkeys(self.rank, 0)
        self.counts = dict.fromkeys(self.rank, 0)


@dataclass(frozen=True, slots=True)
class _Exchange:
    given: Movable
    taken: Movable | None
    gain: float
    """What it takes off the larger of the two loads."""
    pauses: int
    """How many more users' pauses than without it; may be negative."""

    @property
    def merit(self) -> tuple[float, int, int]:
        return self.gain / max(1, self.pauses), -self.pauses, -self.given.shard


def even_out(
    scales: Scales,
    places: MutableMapping[int, str],
    movable: Sequence[Movable],
    bound: float,
    heaviest_shard: int,
    pauses_max: int,
) -> None:
    """Change `places` (and `scales` with them) so that the heaviest worker comes near `bound`.

    At most `pauses_max` more shards than before are taken from where they are served.
    """
    weights = scales.weights
    if max(weights.values()) <= bound * (1 + BEGIN_ABOVE):
        return
    # Of all shards, not of the movable ones: those on their way now must not make the next plan
    # think less of a gain than this one does.
    gain_min = GAIN_MIN * heaviest_shard
    on: dict[str, list[tuple[int, int, Movable]]] = {worker: [] for worker in weights}
    for shard in movable:
        on[places[shard.shard]].append((shard.weight, shard.shard, shard))
    for mine in on.values():
        mine.sort(key=lambda entry: entry[:2])
    order = sorted((weights[worker], scales.rank[worker], worker) for worker in weights)

    # Each exchange lowers the sum of the squared loads; the bound is for whoever reads this.
    for _ in range(len(movable)):
        heaviest = order[-1][2]
        if weights[heaviest] <= bound * (1 + END_AT):
            return
        for _, _, light in order[:PARTNERS_MAX]:
            exchange = _best_exchange(scales, on, heaviest, light, gain_min, pauses_max)
            if exchange is not None:
                break
        else:
            return
        pauses_max -= exchange.pauses
        for worker in (heaviest, light):
            order.pop(bisect_left(order, (weights[worker], scales.rank[worker], worker)))
        _carry_out(exchange, scales, places, on, heaviest, light)
        for worker in (heaviest, light):
            insort(order, (weights[worker], scales.rank[worker], worker))


def _best_exchange(
    scales: Scales,
    on: dict[str, list[tuple[int, int, Movable]]],
    heavy: str,
    light: str,
    gain_min: float,
    pauses_max: int,
) -> _Exchange | None:
    difference = scales.weights[heavy] - scales.weights[light]
    best: _Exchange | None = None
    # By the pauses an exchange would cost: the nearest weight in each group is all one must try.
    takeable = list(_by_pauses(on[light], light, heavy).values())
    weights = [[shard.weight for shard in group] for group in takeable]
    may_give = scales.counts[heavy] > scales.counts[light]
    for given in _one_of_each(_by_pauses(on[heavy], heavy, light)):
        ideal = given.weight - difference / 2
        partners: list[Movable | None] = [None] if may_give else []
        for group, heavier in zip(takeable, weights, strict=True):
            partners += _nearest(group, heavier, ideal)
        for taken in partners:
            shifted = given.weight - (taken.weight if taken else 0)
            gain = min(shifted, difference - shifted)
            pauses = _pauses(given, heavy, light) + (_pauses(taken, light, heavy) if taken else 0)
            if pauses > max(0, pauses_max) or gain <= gain_min * max(1, pauses):
                continue
            exchange = _Exchange(given, taken, gain, pauses)
            if best is None or exchange.merit > best.merit:
                best = exchange
    return best


def _by_pauses(
    mine: Sequence[tuple[int, int, Movable]], before: str, after: str
) -> dict[int, list[Movable]]:
    groups: dict[int, list[Movable]] = {}
    for _, _, shard in mine:
        groups.setdefault(_pauses(shard, before, after), []).append(shard)
    return groups


def _one_of_each(groups: Mapping[int, Sequence[Movable]]) -> Iterator[Movable]:
    """One of those that weigh the same and cost the same: another would do no better."""
    for group in groups.values():
        yield from {shard.weight: shard for shard in reversed(group)}.values()


def _nearest(group: Sequence[Movable], weights: Sequence[int], ideal: float) -> Iterator[Movable]:
    place = bisect_left(weights, ideal)
    yield from group[max(0, place - 1) : place + 1]


def _pauses(shard: Movable, before: str, after: str) -> int:
    return shard.pauses_at(after) - shard.pauses_at(before)


def _carry_out(
    exchange: _Exchange,
    scales: Scales,
    places: MutableMapping[int, str],
    on: dict[str, list[tuple[int, int, Movable]]],
    heavy: str,
    light: str,
) -> None:
    steps = [(exchange.given, heavy, light)]
    if exchange.taken is not None:
        steps.append((exchange.taken, light, heavy))
    for shard, before, after in steps:
        places[shard.shard] = after
        entry = (shard.weight, shard.shard, shard)
        on[before].remove(entry)
        insort(on[after], entry, key=lambda entry: entry[:2])
        scales.weights[before] -= shard.weight
        scales.weights[after] += shard.weight
        scales.counts[before] -= 1
        scales.counts[after] += 1
