"""At most one worker's writes are accepted for a shard: judged by epochs.

Every step of an order is written with the epoch of the claim it was made under, in a transaction
that holds the shard's lock against claims and takes its time inside it. So in the order of time
epochs never fall, and once a claim of a newer epoch has been seen no step of an older one follows.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.history.books import Books, Step
from tests.history.records import Placed, Record


def an_epoch_has_one_owner(records: Sequence[Record]) -> Iterator[str]:
    """Whoever claims raises the epoch, so no two incarnations own a shard in the same one."""
    owners: dict[tuple[int, int], str] = {}
    newest: dict[int, int] = {}
    for record in records:
        if not isinstance(record, Placed):
            continue
        if record.epoch < newest.get(record.shard, 0):
            yield f"shard {record.shard}: epoch {record.epoch} after {newest[record.shard]}"
        newest[record.shard] = max(record.epoch, newest.get(record.shard, 0))
        if record.incarnation is None:
            continue
        key = (record.shard, record.epoch)
        if owners.setdefault(key, record.incarnation) != record.incarnation:
            yield f"shard {record.shard}, epoch {record.epoch}: {owners[key]}, {record.incarnation}"


def no_stale_write_is_accepted(records: Sequence[Record], books: Books) -> Iterator[str]:
    """No step was recorded under an epoch older than one that was already there."""
    seen: defaultdict[int, list[Placed]] = defaultdict(list)
    for record in records:
        if isinstance(record, Placed):
            seen[record.shard].append(record)
    steps: defaultdict[int, list[Step]] = defaultdict(list)
    for step in sorted(books.steps, key=lambda step: step.at):
        steps[step.shard].append(step)
    for shard, written in steps.items():
        newest = 0
        for step in written:
            newest = max(newest, step.epoch)
            what = f"shard {shard}: {step.step} of order {step.order_id}, epoch {step.epoch}"
            if step.epoch < newest:
                yield f"{what}, was written after one of epoch {newest}"
            since = _first_seen_above(seen[shard], step.epoch)
            if since is not None and step.at > since:
                late = step.at - since
                yield f"{what}, was written {late:.3f} s after a newer claim was seen"


def _first_seen_above(seen: list[Placed], epoch: int) -> float | None:
    """When a newer epoch had certainly been claimed."""
    return next((p.seen_by or p.at for p in seen if p.epoch > epoch), None)
