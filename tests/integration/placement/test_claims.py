"""Who may own a shard when: claims, releases, leases, and the rule for shards without an owner."""

import asyncio
import random
import uuid
from typing import Any

import asyncpg
import pytest

POOL = "default.main"
SHORT_LEASE_SECONDS = 0.3


async def owner_of(stage: Any, shard: int = 0) -> tuple[str | None, int]:
    """The owner's name and the epoch."""
    row = await stage.owner.fetchrow(
        "SELECT owner, epoch FROM placement.shards WHERE pool = $1 AND shard = $2", POOL, shard
    )
    return row["owner"], row["epoch"]


async def test_the_desired_owner_claims_a_free_shard_at_once(stage: Any) -> None:
    """And nobody else does within the orphan's time."""
    await stage.make_shards(1)
    await stage.desire(0, "w-1")
    first, second = await stage.run_of("w-0"), await stage.run_of("w-1")

    assert await first.claim(0) is None
    assert await second.claim(0) == 1
    assert await owner_of(stage) == ("w-1", 1)


async def test_a_shard_nobody_owns_for_three_seconds_is_anybodys(stage: Any) -> None:
    """The data plane never waits for the operator."""
    await stage.make_shards(1)
    await stage.desire(0, "gone-7")
    run = await stage.run_of("w-0")

    assert await run.claim(0) is None
    await stage.backdate(0, 3.1)
    assert await run.claim(0) == 1


async def test_a_living_owner_keeps_its_shard_whatever_is_desired(stage: Any) -> None:
    """The desired owner waits for the release or for the end of the lease."""
    await stage.make_shards(1)
    await stage.desire(0, "w-0")
    first, second = await stage.run_of("w-0"), await stage.run_of("w-1")
    assert await first.claim(0) == 1

    await stage.desire(0, "w-1")
    assert await second.claim(0) is None
    assert await first.release(0, 1)
    assert await second.claim(0) == 2


async def test_a_dead_owners_shard_goes_to_the_desired_owner_at_once_and_to_others_later(
    stage: Any,
) -> None:
    """Dead is a lease that is over, counted from its end."""
    await stage.make_shards(2)
    dead = await stage.run_of("w-0")
    for shard in (0, 1):
        await stage.desire(shard, "w-0")
        assert await dead.claim(shard) == 1
    await dead.register(SHORT_LEASE_SECONDS)
    for shard in (0, 1):
        await stage.desire(shard, "w-1")
    heir, stranger = await stage.run_of("w-1"), await stage.run_of("w-2")

    assert await heir.claim(0) is None
    await asyncio.sleep(SHORT_LEASE_SECONDS + 0.05)

    assert await heir.claim(0) == 2
    assert await stranger.claim(1, orphan_seconds=60) is None
    assert await stranger.claim(1, orphan_seconds=0.01) == 2


async def test_a_lease_that_is_over_cannot_be_extended(stage: Any) -> None:
    """The worker must drop its shards and register anew: somebody may have them by now."""
    run = await stage.run_of("w-0", registered=False)
    await run.register(SHORT_LEASE_SECONDS)
    assert await run.heartbeat(SHORT_LEASE_SECONDS)

    await asyncio.sleep(SHORT_LEASE_SECONDS + 0.05)

    assert not await run.heartbeat()
    assert await run.claim(0) is None


async def test_a_younger_run_of_the_same_name_ends_the_older(stage: Any) -> None:
    """A restarted pod needs not wait for its own former lease."""
    await stage.make_shards(1)
    await stage.desire(0, "w-0")
    old = await stage.run_of("w-0")
    assert await old.claim(0) == 1

    young = await stage.run_of("w-0")

    assert not await old.heartbeat()
    assert await young.claim(0) == 2
    assert not await old.release(0, 1)


async def test_claiming_what_one_owns_changes_nothing(stage: Any) -> None:
    """The epoch stays: writes under way are not made stale by a repeated call."""
    await stage.make_shards(1)
    await stage.desire(0, "w-0")
    run = await stage.run_of("w-0")
    assert await run.claim(0) == 1

    assert await run.claim(0) is None
    assert await owner_of(stage) == ("w-0", 1)


async def test_a_draining_worker_claims_nothing(stage: Any) -> None:
    """Not even what it is desired for."""
    await stage.make_shards(1)
    await stage.desire(0, "w-0")
    run = await stage.run_of("w-0")

    await run.drain()

    assert await run.claim(0) is None


async def test_a_release_under_an_older_epoch_is_no_release(stage: Any) -> None:
    """It is about a claim that is over."""
    await stage.make_shards(1)
    await stage.desire(0, "w-0")
    run = await stage.run_of("w-0")
    assert await run.claim(0) == 1
    assert await run.release(0, 1)
    assert await run.claim(0) == 2

    assert not await run.release(0, 1)
    assert await owner_of(stage) == ("w-0", 2)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 61.0, float("nan"), float("inf"), None])
async def test_a_lease_has_bounds(stage: Any, seconds: float | None) -> None:
    """A day's lease would keep a dead worker's shards from everybody for a day."""
    run = await stage.run_of("w-0")

    with pytest.raises(asyncpg.InvalidParameterValueError):
        await run.register(seconds)
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await run.heartbeat(seconds)


async def test_nobody_can_do_anothers_part(stage: Any) -> None:
    """Each role reaches its own functions, and no table it could write past them."""
    forbidden = {
        "purser_operator": [
            "SELECT placement.claim_shard('p.p', 0, 'w', gen_random_uuid(), 3)",
            "SELECT placement.fence('p.p', 0, 1)",
            "UPDATE placement.shards SET epoch = 9",
            "DELETE FROM placement.workers",
            "DELETE FROM placement.pools",
        ],
        "purser_worker": [
            "SELECT placement.assign_shard('p.p', 0, NULL, 'w')",
            "UPDATE placement.shards SET owner = 'w'",
            "UPDATE placement.workers SET lease_until = 'infinity'",
        ],
        "purser_ledger": [
            "SELECT placement.claim_shard('p.p', 0, 'w', gen_random_uuid(), 3)",
            "SELECT epoch FROM placement.shards",
        ],
        "purser_gateway": ["INSERT INTO placement.shards (pool, shard) VALUES ('p.p', 0)"],
    }
    for role, statements in forbidden.items():
        connection = await stage.connect(role)
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


LIVES_MAX = 20


class Liar:
    """A worker that lives, dies, drains, restarts and writes as the dice fall.

    After a restart it goes on writing under the claims of its former run: a zombie.
    """

    def __init__(self, run: Any, dice: random.Random, shards: int) -> None:
        self.run = run
        self.dice = dice
        self.shards = shards
        self.held: dict[int, int] = {}
        self.claims: list[tuple[int, int]] = []
        self.refused = 0

    async def live(self) -> None:
        """Sixty things in a row."""
        acts = (self.restart, self.claim, self.claim, self.write, self.write, self.release)
        for _ in range(60):
            await self.dice.choice(acts)()
            if self.dice.random() < 0.2:
                await asyncio.sleep(self.dice.random() / 20)

    async def restart(self) -> None:
        """A new run with a short lease."""
        self.run.incarnation = uuid.uuid4()
        await self.run.register(0.02)

    async def claim(self) -> None:
        """Whatever is free."""
        await self.run.heartbeat(0.02)
        shard = self.dice.randrange(self.shards)
        async with self.run.connection.transaction():
            epoch = await self.run.claim(shard, orphan_seconds=0.0)
            if epoch is not None:
                await self._note(shard, epoch, "claim")
        if epoch is not None:
            self.claims.append((shard, epoch))
            self.held[shard] = epoch

    async def write(self) -> None:
        """Under a claim that may be over by now."""
        if not self.held:
            return
        shard, epoch = self.dice.choice(sorted(self.held.items()))
        try:
            async with self.run.connection.transaction():
                await self.run.connection.execute(
                    "SELECT placement.fence($1, $2, $3)", POOL, shard, epoch
                )
                await asyncio.sleep(self.dice.random() / 30)  # room for a claim
                await self._note(shard, epoch, "write")
        except asyncpg.PostgresError as error:
            if error.sqlstate != "PF001":
                raise
            self.refused += 1
            del self.held[shard]

    async def release(self) -> None:
        """The claim made last."""
        if self.held:
            shard, epoch = self.held.popitem()
            await self.run.release(shard, epoch)

    async def _note(self, shard: int, epoch: int, what: str) -> None:
        await self.run.connection.execute(
            "INSERT INTO public.effects (shard, epoch, note) VALUES ($1, $2, $3)",
            shard,
            epoch,
            what,
        )


async def test_under_random_interleavings_epochs_only_rise_and_writes_follow_them(
    stage: Any,
) -> None:
    """At most one owner, whatever four workers do at the same time.

    Claims and writes leave a row in one table while they hold the shard's lock, so the rows' order
    is the order in which they took effect: per shard the epoch never falls, and no epoch is given
    twice.
    """
    seed, shards = random.randrange(2**32), 3
    await stage.make_shards(shards)
    liars = [
        Liar(await stage.run_of(f"w-{n}", registered=False), random.Random(seed + n), shards)
        for n in range(4)
    ]

    for _ in range(LIVES_MAX):
        await asyncio.gather(*(liar.live() for liar in liars))
        claims = [claim for liar in liars for claim in liar.claims]
        refused = sum(liar.refused for liar in liars)
        # On a busy machine a lease is often over before its holder can claim.
        if len(claims) > 10 and refused:
            break

    for shard in range(shards):
        rows = await stage.owner.fetch(
            "SELECT epoch FROM public.effects WHERE shard = $1 ORDER BY id", shard
        )
        epochs = [row["epoch"] for row in rows]
        assert sorted(epochs) == epochs, f"seed {seed}"
    assert len(set(claims)) == len(claims), f"seed {seed}"
    assert len(claims) > 10, f"seed {seed}: too little happened"
    assert refused > 0, f"seed {seed}: no stale write was tried"
