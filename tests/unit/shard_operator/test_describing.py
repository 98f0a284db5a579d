"""What is shown of a pool: what needs a person first, within bounds, and nothing unknown as 0."""

import msgspec
import pytest

from shard_operator.describing.cluster import read_declared, seconds_since
from shard_operator.describing.picture import (
    EVENTS_SHOWN_MAX,
    SHARDS_SHOWN_MAX,
    WORKERS_SHOWN_MAX,
    Condition,
    Declared,
    Event,
    Lease,
    Picture,
    Policy,
    Pool,
    Shard,
    Wanted,
    Worker,
    compose_pool,
    limit_pool,
    select_pools,
)
from shard_operator.describing.showing import page

POLICY = Policy(
    users_per_shard=50,
    accept_new_users=True,
    shards_per_worker_max=40,
    drain_timeout_seconds=20,
    written_seconds=60.0,
)


def shard_of(number: int, owner: str | None = "w-0", desired: str | None = "w-0") -> Shard:
    """A shard with seven users."""
    return Shard(
        shard=number,
        epoch=3,
        users=7,
        owner=owner,
        last_owner=owner,
        desired=desired,
        ownerless_seconds=None if owner else 4.0,
    )


def worker_of(name: str, left: float = 2.5) -> Worker:
    """A worker that registered two minutes ago."""
    return Worker(
        name=name,
        incarnation="00000000-0000-0000-0000-000000000000",
        state="alive" if left > 0 else "dead",
        lease_seconds_left=left,
        registered_seconds=125.0,
    )


def show(pool: Pool, width: int = 100, **more: object) -> str:
    """The page of one pool."""
    picture = Picture(pools=(pool,), pools_left_out=0, lease=None, problems=())
    return page(msgspec.structs.replace(picture, **more), Wanted(), width)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), ["a.main", "a.vip", "b.main"]),
        (Wanted(name="main"), ["a.main"]),
        (Wanted(name="main", namespace="b"), ["b.main"]),
        (Wanted(name="b.main"), ["b.main"]),
        (Wanted(name="b.main", namespace="a"), []),
        (Wanted(namespace="a"), ["a.main", "a.vip"]),
        (Wanted(name="other"), []),
    ],
)
def test_a_name_means_a_user_shard_of_the_namespace_or_a_whole_pool(
    wanted: Wanted, expected: list[str]
) -> None:
    """Nothing is guessed: another namespace's pool is meant by its whole name only."""
    assert expected == select_pools(wanted, "a", ["b.main", "a.vip", "a.main"])


def test_work_is_told_per_shard_and_per_worker() -> None:
    """The sums are those of the shards a living worker owns."""
    shards = [shard_of(0), shard_of(1), shard_of(2, owner=None)]
    pool = compose_pool("a.main", POLICY, [worker_of("w-0")], shards, {1: (4, 2.0), 2: (3, 9.5)})

    assert (7, 2, 9.5) == (pool.backlog, pool.busy_shards, pool.oldest_seconds)
    assert (2, 14, 4) == (pool.workers[0].shards, pool.workers[0].users, pool.workers[0].backlog)
    assert [0, 4, 3] == [shard.backlog for shard in pool.shards]
    assert (1, 0) == (pool.ownerless, pool.moving)


def test_an_unknown_backlog_is_never_0() -> None:
    """Neither as a value nor on the page."""
    pool = compose_pool("a.main", POLICY, [worker_of("w-0")], [shard_of(0)], None)

    assert (None, None) == (pool.backlog, pool.oldest_seconds)
    assert (None, None) == (pool.workers[0].backlog, pool.shards[0].backlog)
    text = show(pool)
    assert "Backlog     unknown" in text
    assert "0      3      7      ?        ?       w-0    served" in text


def test_what_needs_a_person_comes_first() -> None:
    """Shards nobody serves, then those on the move, then those with the most work."""
    shards = [
        shard_of(0),
        shard_of(1),
        shard_of(2, desired="w-1"),
        shard_of(3, owner=None),
    ]
    workers = [worker_of("w-10"), worker_of("w-2"), worker_of("w-0", left=-70.0)]
    pool = compose_pool("a.main", POLICY, workers, shards, {1: (4, 2.0)})
    shown = limit_pool(pool, Wanted())

    assert [3, 2, 1, 0] == [shard.shard for shard in shown.shards]
    assert ["w-0", "w-2", "w-10"] == [worker.name for worker in shown.workers]
    text = show(shown)
    assert "Attention   1 without a living owner, 1 on the move" in text
    assert "no owner for 4s; wanted: w-0" in text
    assert "moves to w-1" in text
    assert "over 1m" in text


def test_the_page_is_bounded_and_says_so() -> None:
    """However many there are; `everything` shows all."""
    events = tuple(
        Event(seconds=float(n), type="Normal", reason="ScaledOut", message="…", count=1)
        for n in range(50)
    )
    pool = compose_pool(
        "a.main",
        POLICY,
        [worker_of(f"w-{n}") for n in range(300)],
        [shard_of(n) for n in range(20_000)],
        {},
    )
    pool = msgspec.structs.replace(pool, events=events)
    shown = limit_pool(pool, Wanted())

    sizes = (SHARDS_SHOWN_MAX, WORKERS_SHOWN_MAX, EVENTS_SHOWN_MAX)
    assert sizes == (len(shown.shards), len(shown.workers), len(shown.events or ()))
    text = show(shown)
    assert f"SHARDS ({SHARDS_SHOWN_MAX} of 20,000; --all shows all)" in text
    assert "Users       140,000 in 20,000 shards" in text
    assert 20_000 == len(limit_pool(pool, Wanted(everything=True)).shards)


def test_one_shard_is_shown_with_the_workers_it_is_about() -> None:
    """The one that serves it and the one that shall."""
    shards = [shard_of(0), shard_of(1, desired="w-1"), shard_of(2)]
    workers = [worker_of(f"w-{n}") for n in range(3)]
    shown = limit_pool(compose_pool("a.main", POLICY, workers, shards, {}), Wanted(shards=(1,)))

    assert [1] == [shard.shard for shard in shown.shards]
    assert ["w-0", "w-1"] == [worker.name for worker in shown.workers]


def test_one_worker_is_shown_with_the_shards_it_has_and_shall_have() -> None:
    """What leaves it and what comes to it, too."""
    shards = [shard_of(0), shard_of(1, desired="w-1"), shard_of(2, owner="w-2", desired="w-2")]
    workers = [worker_of(f"w-{n}") for n in range(3)]
    shown = limit_pool(compose_pool("a.main", POLICY, workers, shards, {}), Wanted(worker="w-1"))

    assert [1] == [shard.shard for shard in shown.shards]
    assert ["w-1"] == [worker.name for worker in shown.workers]


@pytest.mark.parametrize("width", [80, 120])
def test_words_are_wrapped_into_the_width(width: int) -> None:
    """A condition's message goes on below itself; nothing is lost."""
    message = "20 would do, scaleDownStabilizationSeconds (120) keeps 30: " * 4
    condition = Condition(
        type="ScalingLimited",
        status="True",
        reason="ScaleDownStabilized",
        message=message.strip(),
        seconds=3.0,
    )
    declared = Declared(
        namespace="a",
        name="main",
        generation=4,
        observed_generation=3,
        target_name="purser-user-worker",
        pinned=3,
        paused="ScaleIn",
        last_scaled_seconds=7200.0,
        conditions=(condition,),
    )
    pool = msgspec.structs.replace(
        compose_pool("a.main", POLICY, [], [shard_of(0)], {}), declared=declared
    )
    text = show(pool, width)

    assert max(map(len, text.splitlines())) <= width
    assert message.strip() in " ".join(text.split())
    assert "the operator has seen 3" in " ".join(text.split())


def test_what_could_steer_a_terminal_is_escaped() -> None:
    """An event's message is somebody else's words."""
    event = Event(seconds=1.0, type="Normal", reason="X", message="\x1b[2Jgone\n", count=2)
    pool = msgspec.structs.replace(compose_pool("a.main", POLICY, [], [], {}), events=(event,))

    assert r"\x1b[2Jgone\n (x2)" in show(pool)


def test_the_lease_says_who_leads_and_whether_anybody_does() -> None:
    """A holder that was silent for longer than the Lease runs is no longer there."""
    lease = Lease(
        namespace="a",
        name="purser-operator",
        holder="operator-1",
        renewed_seconds=2.0,
        acquired_seconds=3700.0,
        duration_seconds=15,
        transitions=4,
    )
    pool = compose_pool("a.main", POLICY, [], [], {})

    assert "held by operator-1 for 1h, renewed 2 s ago" in show(pool, 160, lease=lease)
    silent = msgspec.structs.replace(lease, renewed_seconds=16.0)
    assert "it ran out; no operator is alive" in show(pool, 200, lease=silent)
    empty = msgspec.structs.replace(lease, holder="")
    assert "given up; nobody leads" in show(pool, lease=empty)


def test_an_object_that_cannot_be_read_is_shown_with_its_problem() -> None:
    """describe must not fall over what the operator itself only reports."""
    body = {"metadata": {"namespace": "a", "name": "main"}, "spec": {"usersPerShard": 0}}
    declared = read_declared(body)

    assert declared.problem
    pool = msgspec.structs.replace(compose_pool("a.main", None, [], [], {}), declared=declared)
    text = " ".join(show(pool).split())
    assert f"a/main: cannot be read: {declared.problem}" in text
    assert "no operator has served it yet" in text


@pytest.mark.parametrize("moment", [None, "", "yesterday", "2026-11-26T12:00:00"])
def test_a_time_that_cannot_be_read_is_unknown(moment: str | None) -> None:
    """Also one without a zone: it could be hours off."""
    assert seconds_since(moment) is None
