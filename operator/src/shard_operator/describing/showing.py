"""The page a person reads. Pure.

Each pool: what it is, what is wrong first (conditions that are not as they should be), workers,
shards, the last events. Unknown is written as `?`, what does not apply as `-`.
"""

import textwrap

from chassis.terminal import age, printable, table
from shard_operator.describing.picture import Declared, Event, Lease, Picture, Pool, Shard, Wanted
from shard_operator.describing.picture import Worker as WorkerSeen

_LABEL = 12


def page(picture: Picture, wanted: Wanted, width: int) -> str:
    """Everything that was seen, at most `width` columns wide where words can be wrapped."""
    parts = [_wrapped(f"! {printable(problem)}", width) for problem in picture.problems]
    if picture.problems:
        parts.append("")
    for pool in picture.pools:
        parts += [*_pool(pool, wanted, width), ""]
    if not picture.pools:
        parts += ["There is no pool: no UserShard was ever served here.", ""]
    if picture.pools_left_out:
        parts += [f"{picture.pools_left_out} more pools: --all shows them", ""]
    if picture.lease is not None:
        parts.append(_wrapped(_lease(picture.lease), width, 2))
    return "\n".join(parts).rstrip()


def _pool(pool: Pool, wanted: Wanted, width: int) -> list[str]:
    lines = [f"POOL {pool.name}"]
    for label, text in _facts(pool):
        lines.append(_wrapped(f"  {label:<{_LABEL}}{text}", width, _LABEL + 2))
    if pool.declared is not None and pool.declared.conditions:
        lines += ["", "  CONDITIONS", *_conditions(pool.declared, width)]
    lines += ["", f"  WORKERS{_of(len(pool.workers), pool.workers_total)}"]
    lines += _table([_WORKER_HEAD, *map(_worker, pool.workers)], width)
    lines += ["", f"  SHARDS{_of(len(pool.shards), pool.shards_total)}"]
    lines += _table([_SHARD_HEAD, *map(_shard, pool.shards)], width)
    if pool.events is not None and not (wanted.shards or wanted.worker):
        lines += ["", "  EVENTS, the last first"]
        lines += _table([_EVENT_HEAD, *map(_event, pool.events)], width)
    return lines


def _facts(pool: Pool) -> list[tuple[str, str]]:
    facts = []
    if pool.declared is not None:
        facts.append(("UserShard", _declared(pool.declared)))
    if pool.target is not None:
        updating = ", a rolling update is under way" if pool.target.updating else ""
        facts.append(
            (
                "StatefulSet",
                f"{pool.target.name}: {pool.target.ready} of {pool.target.asked} ready{updating}",
            )
        )
    elif pool.declared is not None and pool.declared.problem is None:
        facts.append(("StatefulSet", f"{pool.declared.target_name}: not to be seen"))
    facts.append(("Policy", _policy(pool)))
    facts.append(("Users", f"{pool.users:,} in {_many(pool.shards_total, 'shard')}"))
    facts.append(("Workers", f"{pool.workers_alive} with a living lease"))
    facts.append(("Backlog", _backlog(pool)))
    if pool.ownerless or pool.moving:
        what = f"{pool.ownerless} without a living owner, {pool.moving} on the move"
        facts.append(("Attention", what))
    return facts


def _declared(declared: Declared) -> str:
    name = f"{declared.namespace}/{declared.name}"
    if declared.problem is not None:
        return f"{name}: cannot be read: {printable(declared.problem)}"
    text = f"{name}, generation {declared.generation}"
    if declared.observed_generation != declared.generation:
        text += f" (the operator has seen {_known(declared.observed_generation)})"
    if declared.pinned is not None:
        text += f", pinned at {declared.pinned}"
    if declared.paused != "None":
        text += f", paused: {declared.paused}"
    if declared.last_scaled_seconds is not None:
        text += f", last scaled {age(declared.last_scaled_seconds)} ago"
    return text


def _policy(pool: Pool) -> str:
    policy = pool.policy
    if policy is None:
        return "none in PostgreSQL: no operator has served it yet"
    return (
        f"{policy.users_per_shard} users a shard,"
        f" {'admits' if policy.accept_new_users else 'admits no'} new users,"
        f" {policy.shards_per_worker_max} shards a worker,"
        f" {policy.drain_timeout_seconds} s to drain; written {age(policy.written_seconds)} ago"
    )


def _backlog(pool: Pool) -> str:
    if pool.backlog is None:
        return "unknown"
    if not pool.backlog:
        return "no job waits or runs"
    oldest = "?" if pool.oldest_seconds is None else f"{pool.oldest_seconds:.1f} s"
    shards = _many(pool.busy_shards or 0, "shard")
    return f"{_many(pool.backlog, 'job')} in {shards}, the oldest {oldest}"


def _conditions(declared: Declared, width: int) -> list[str]:
    rows = [
        (
            printable(condition.type),
            printable(condition.status),
            printable(condition.reason),
            "?" if condition.seconds is None else age(condition.seconds),
            printable(condition.message),
        )
        for condition in declared.conditions
    ]
    return _table([("TYPE", "STATUS", "REASON", "FOR", "MESSAGE"), *rows], width)


_WORKER_HEAD = ("NAME", "STATE", "LEASE", "REGISTERED", "SHARDS", "USERS", "BACKLOG")


def _worker(worker: WorkerSeen) -> tuple[str, ...]:
    left = worker.lease_seconds_left
    return (
        printable(worker.name),
        worker.state,
        f"{left:.1f} s" if worker.state != "dead" else f"over {age(-left)}",
        age(worker.registered_seconds),
        str(worker.shards),
        str(worker.users),
        _known(worker.backlog),
    )


_SHARD_HEAD = ("SHARD", "EPOCH", "USERS", "BACKLOG", "OLDEST", "OWNER", "STATE")


def _shard(shard: Shard) -> tuple[str, ...]:
    oldest = (
        "-"
        if not shard.backlog or shard.oldest_seconds is None
        else f"{shard.oldest_seconds:.1f} s"
    )
    return (
        str(shard.shard),
        str(shard.epoch),
        str(shard.users),
        _known(shard.backlog),
        "?" if shard.backlog is None else oldest,
        printable(shard.owner or "-"),
        _state(shard),
    )


def _state(shard: Shard) -> str:
    desired = printable(shard.desired or "nobody")
    if shard.owner is None:
        since = "?" if shard.ownerless_seconds is None else age(shard.ownerless_seconds)
        last = f", was {printable(shard.last_owner)}" if shard.last_owner else ""
        return f"no owner for {since}{last}; wanted: {desired}"
    if shard.is_moving:
        return f"moves to {desired}"
    return "served" if shard.desired else "served, assigned to nobody"


_EVENT_HEAD = ("AGE", "TYPE", "REASON", "MESSAGE")


def _event(event: Event) -> tuple[str, ...]:
    times = f" (x{event.count})" if event.count > 1 else ""
    return (
        "?" if event.seconds is None else age(event.seconds),
        printable(event.type),
        printable(event.reason),
        printable(event.message) + times,
    )


def _lease(lease: Lease) -> str:
    held = f"LEASE {lease.namespace}/{lease.name}: "
    if not lease.holder:
        return held + "given up; nobody leads"
    renewed = lease.renewed_seconds
    text = f"{held}held by {printable(lease.holder)}"
    if lease.acquired_seconds is not None:
        text += f" for {age(lease.acquired_seconds)}"
    text += f", renewed {'?' if renewed is None else f'{renewed:.0f} s'} ago"
    text += f" (runs {lease.duration_seconds} s, changed hands {lease.transitions} times)"
    if renewed is not None and renewed > lease.duration_seconds:
        text += ": it ran out; no operator is alive, workers go on by themselves"
    return text


def _table(rows: list[tuple[str, ...]], width: int) -> list[str]:
    return table(rows, indent=4, width=width) if len(rows) > 1 else ["    none"]


def _of(shown: int, total: int) -> str:
    return "" if shown == total else f" ({shown} of {total:,}; --all shows all)"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)


def _wrapped(text: str, width: int, indent: int = 2) -> str:
    # Not fill(): its own handling of leading blanks would eat the first indent.
    return "\n".join(
        textwrap.wrap(
            text,
            width,
            subsequent_indent=" " * indent,
            drop_whitespace=True,
            break_on_hyphens=False,
            break_long_words=False,
            replace_whitespace=False,
        )
    )
