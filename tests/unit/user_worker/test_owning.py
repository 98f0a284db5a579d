"""How a worker comes to own shards, keeps them, and gives them up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from tests.unit.user_worker.fake_services import FakeServices
from tests.unit.user_worker.fakes import ANN, BEN, POOL, SHARD, FakePreferences, job_of, until
from tests.unit.user_worker.fakes_work import FakeAttempts, FakeInbox, FakePlacement, FakeStream

from kernel.sharding import Claim, ShardKey
from user_worker.application.execution import Execution, Tries
from user_worker.application.owning import Owner, OwnershipPace
from user_worker.application.reading import (
    EntryClearer,
    InboxPace,
    InboxReader,
    StreamPace,
    StreamReader,
)
from user_worker.application.shards import QueueBounds, Shards
from user_worker.conversation.book import Conversation
from user_worker.conversation.context import Context
from user_worker.domain.jobs import Command
from user_worker.domain.ownership import OrphanRule, ShardSeen
from user_worker.domain.pauses import Pauses
from user_worker.domain.replies import Reply, SendText
from user_worker.errors import DependencyDown
from user_worker.ports import StreamEntry

ME, OTHER = "purser-user-worker-0", "purser-user-worker-1"
SOON = Pauses(0.002, 0.005)


class Beside:
    """What goes on beside the jobs: tells what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.when_lost: dict[Claim, Callable[[], None]] = {}

    def begin(self, claim: Claim, when_lost: Callable[[], None]) -> None:
        """Begin with a shard."""
        self.told.append(("begin", claim.epoch))
        self.when_lost[claim] = when_lost

    def stop(self, claim: Claim) -> None:
        """Drop what is under way."""
        self.told.append(("stop", claim.epoch))

    async def finish(self, claim: Claim, timeout_seconds: float) -> int:
        """Let what is under way go on."""
        assert 0 <= timeout_seconds
        self.told.append(("finish", claim.epoch))
        return 0


class House:
    """A worker wired as in main, on a world in memory, with a handler that can be held back."""

    def __init__(self, lease_seconds: float = 5.0, stream: FakeStream | None = None) -> None:
        self.placement = FakePlacement()
        self.inbox = FakeInbox()
        self.stream = stream or FakeStream()
        self.gate = asyncio.Event()
        self.gate.set()
        self.started: list[int] = []
        self.beside = Beside()
        clearer = EntryClearer(self.stream, 100)
        self.shards = Shards(
            Execution(
                Conversation(FakeServices().as_services(), commands={"do": self._do}),
                self.inbox,
                FakeAttempts(),
                asyncio.Semaphore(8),
                Tries(3, 5.0, SOON, SOON),
            ),
            FakePreferences(),
            QueueBounds(16, 100_000),
            clearer.clear,
            self.beside,
        )
        pace = OwnershipPace(
            lease_seconds=lease_seconds,
            lease_margin_seconds=lease_seconds * 0.3,
            heartbeat_seconds=0.05,
            poll_seconds=0.02,
            gather_seconds=0.001,
            claims_at_once_max=4,
            orphans=OrphanRule(3.0, 10.0, 4),
            after_outage=SOON,
        )
        self.owner = Owner(ME, self.placement, self.shards, pace)
        self.work = (
            StreamReader(self.stream, self.shards, StreamPace(0.01, 10, 30.0, 0.05, SOON)).run,
            InboxReader(self.inbox, self.shards, InboxPace(0.05, 0.001, 100)).run,
            clearer.run,
        )

    async def _do(self, context: Context, command: Command) -> list[Reply]:
        self.started.append(context.job.user_seq)
        await self.gate.wait()
        return [SendText(command.arguments or "done")]

    def accept(self, seq: int = 1, *, pushed: bool = True, user: int = 1) -> None:
        """Put a job into the inbox, and on the stream unless told not to."""
        job = job_of(Command("do"), seq=seq, user_id=ANN if user == 1 else BEN)
        self.inbox.accepted.append(job)
        if pushed:
            self.stream.push(job)

    @property
    def answered(self) -> list[int]:
        """The user_seqs answered, in order."""
        return [delivery.job.user_seq for delivery in self.inbox.deliveries]


@asynccontextmanager
async def living(house: House) -> AsyncIterator[asyncio.Event]:
    """Let the worker live for the length of the block."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(run()) for run in house.work]
    owner = asyncio.create_task(house.owner.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        house.gate.set()
        await asyncio.wait_for(owner, 10)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await house.shards.close()


async def test_a_wished_for_shard_is_claimed_and_its_users_answered_in_order() -> None:
    """Placement, stream and inbox together, from the first wish to an empty stream."""
    house = House()
    house.placement.wish(0, ME)
    for seq in (1, 2, 3):
        house.accept(seq)
    async with living(house):
        await until(lambda: house.answered == [1, 2, 3])
        await until(lambda: house.stream.entries[SHARD] == [])


async def test_without_any_redis_users_are_answered_all_the_same() -> None:
    """The inbox is the truth; the stream costs only latency."""
    house = House()
    house.stream.failures = [DependencyDown("redis", "down") for _ in range(100_000)]
    house.placement.wish(0, ME)
    async with living(house):
        for seq in (1, 2, 3):
            house.accept(seq, pushed=False)
        await until(lambda: house.answered == [1, 2, 3])


async def test_behind_a_flood_another_user_is_still_found_in_the_stream() -> None:
    """What was dropped is read anew only from the end: a long stream is read to its end first."""
    house = House()
    pace = StreamPace(0.01, 10, 30.0, 0.0, SOON)
    house.work = (StreamReader(house.stream, house.shards, pace).run, *house.work[1:])
    house.gate.clear()
    house.placement.wish(0, ME)
    for seq in range(1, 201):
        house.accept(seq)
    house.accept(1, user=2)
    async with living(house), asyncio.timeout(3):  # before the held job would be tried again
        await until(lambda: house.started == [1, 1])


async def test_a_flood_is_worked_as_fast_as_its_user_can_be_answered() -> None:
    """A hundred jobs of one user, of whom sixteen are kept at a time, the inbox asked seldom."""
    house = House()
    slowly = InboxReader(house.inbox, house.shards, InboxPace(30.0, 0.001, 100))
    pace = StreamPace(0.01, 200, 30.0, 30.0, SOON)
    house.work = (
        StreamReader(house.stream, house.shards, pace).run,
        slowly.run,
        house.work[2],
    )
    house.placement.wish(0, ME)
    for seq in range(1, 101):
        house.accept(seq)
    async with living(house):
        await until(lambda: house.answered == list(range(1, 101)))


async def test_an_inbox_too_full_for_one_answer_is_read_in_smaller_ones() -> None:
    """A message has a limit; a backlog above it must not stop the shards behind it."""
    house = House()
    house.inbox.jobs_per_answer_max = 3
    for shard in range(4):
        house.placement.wish(shard, ME)
    for seq in range(1, 21):
        house.accept(seq, pushed=False)
    async with living(house):
        await until(lambda: house.answered == list(range(1, 21)))


async def test_entries_nobody_can_use_leave_the_stream() -> None:
    """No job, a foreign job, an invented job: the depth one scales on stays honest."""
    house = House()
    house.placement.wish(0, ME)
    house.stream.push(None)
    house.stream.push(job_of(Command("do"), key=ShardKey(POOL, 5)), key=SHARD)
    house.stream.push(job_of(Command("do")))
    house.accept(1)
    async with living(house):
        await until(lambda: house.answered == [1])
        await until(lambda: house.stream.entries[SHARD] == [])


async def test_a_shard_wished_for_elsewhere_is_drained_before_its_release() -> None:
    """What runs may finish, nothing new starts."""
    house = House()
    house.placement.wish(0, ME)
    house.gate.clear()
    house.accept(1)
    house.accept(2)
    async with living(house):
        await until(lambda: house.started == [1])
        house.placement.wish(0, OTHER)
        await until(house.shards.all()[0].draining.is_set)
        assert [] == house.placement.released
        house.gate.set()
        await until(lambda: house.placement.released)
    assert [1] == house.answered
    assert [1] == house.started


async def test_a_drain_ends_at_its_bound() -> None:
    """A job that hangs is left to the next owner."""
    house = House()
    house.placement.wish(0, ME)
    house.gate.clear()
    house.accept(1)
    async with living(house):
        await until(lambda: house.started == [1])
        house.placement.wish(0, OTHER)
        await until(lambda: house.placement.released)
        assert [] == house.answered


async def test_an_unanswered_heartbeat_ends_everything_at_the_deadline() -> None:
    """The worker stops by itself before anybody else may begin, and registers anew."""
    house = House(lease_seconds=1.0)
    house.placement.wish(0, ME)
    house.gate.clear()
    house.accept(1)
    async with living(house):
        await until(lambda: house.started == [1])
        first = house.owner.incarnation
        began = asyncio.get_running_loop().time()
        house.placement.failures = [DependencyDown("database", "down") for _ in range(1000)]
        await until(lambda: house.shards.all() == [])
        assert asyncio.get_running_loop().time() - began < 1.0
        house.placement.failures = []
        house.gate.set()
        await until(lambda: house.answered == [1])
        assert house.owner.incarnation not in (None, first)


async def test_a_refused_heartbeat_drops_all_shards_at_once() -> None:
    """Another run of the same name has registered, or the lease was over."""
    house = House()
    house.placement.wish(0, ME)
    async with living(house):
        await until(house.shards.all)
        house.placement.lives = False
        await until(lambda: len(house.placement.registered) == 2)
        await until(lambda: [s.claim.epoch for s in house.shards.all()] == [2])


async def test_a_stale_claim_drops_the_shard_and_its_job_runs_elsewhere() -> None:
    """Deliver's word is enough; nothing is answered under the old epoch."""
    house = House()
    house.placement.wish(0, ME)
    async with living(house):
        await until(house.shards.all)
        house.inbox.epochs[SHARD] = 99
        house.placement.shards[SHARD] = ShardSeen(SHARD, 99, OTHER, None, None, OTHER, True)
        house.accept(1)
        await until(lambda: house.shards.all() == [])
    assert [] == house.answered


async def test_leaving_hands_over_everything_and_deregisters() -> None:
    """SIGTERM: no more shards, drained, released, gone."""
    house = House()
    for shard in range(3):
        house.placement.wish(shard, ME)
    async with living(house) as stop:
        await until(lambda: len(house.shards.all()) == 3)
        stop.set()
        await until(lambda: house.placement.is_deregistered)
    assert house.placement.is_draining
    assert {0, 1, 2} == {claim.shard for claim in house.placement.released}


async def test_a_claim_nobody_here_works_under_is_released_and_made_anew() -> None:
    """Its answer was lost; without this nobody would serve the shard while this run lives."""
    house = House()
    async with living(house):
        await until(lambda: house.owner.incarnation)
        house.placement.shards[SHARD] = ShardSeen(
            SHARD, 7, ME, house.owner.incarnation, None, ME, True
        )
        await until(lambda: [s.claim.epoch for s in house.shards.all()] == [8])


async def test_a_redis_whose_ids_began_again_is_read_from_its_start() -> None:
    """After an outage another server may answer; its entries must not stay behind unseen."""
    house = House()
    house.placement.wish(0, ME)
    house.accept(1)
    async with living(house):
        await until(lambda: house.answered == [1])
        await until(lambda: house.stream.entries[SHARD] == [])
        house.stream.failures = [DependencyDown("redis", "down")]
        house.accept(2, pushed=False)
        house.stream.entries[SHARD] = [(b"000000000-1", house.inbox.accepted[-1])]
        await until(lambda: house.answered == [1, 2])
        await until(lambda: house.stream.entries[SHARD] == [])


async def test_dropped_copies_are_read_again() -> None:
    """A flood beyond the bound of memory is worked to its end, its entries removed."""
    house = House()
    house.placement.wish(0, ME)
    house.gate.clear()
    for seq in range(1, 41):
        house.accept(seq)
    house.accept(1, user=2)
    async with living(house):
        await until(lambda: len(house.started) == 2)
        assert house.shards.all()[0].queue.waiting_jobs <= 16
        house.gate.set()
        await until(lambda: len(house.answered) == 41)
        await until(lambda: house.stream.entries[SHARD] == [])
    anns = [d.job.user_seq for d in house.inbox.deliveries if d.job.user_id == ANN]
    assert list(range(1, 41)) == anns


async def test_what_goes_on_beside_the_jobs_lives_as_long_as_the_claim() -> None:
    """Begun with it, finished in a drain, stopped with a drop."""
    house = House()
    house.placement.wish(0, ME)
    house.placement.wish(1, ME)
    async with living(house):
        await until(lambda: len(house.shards.all()) == 2)
        assert [("begin", 1)] * 2 == house.beside.told
        house.placement.wish(0, OTHER)
        await until(lambda: house.placement.released)
        assert ("finish", 1) == house.beside.told[2]
        house.placement.lives = False
        await until(lambda: ("stop", 1) in house.beside.told)


async def test_an_order_that_finds_a_newer_claim_drops_its_shard() -> None:
    """But not the same shard claimed anew since."""
    house = House()
    house.placement.wish(0, ME)
    async with living(house):
        await until(house.shards.all)
        (claim,) = house.beside.when_lost
        house.beside.when_lost[claim]()
        assert [] == house.shards.all()
        house.shards.open(Claim(claim.pool, claim.shard, 7))
        house.beside.when_lost[claim]()
        assert [7] == [shard.claim.epoch for shard in house.shards.all()]
        house.shards.drop(SHARD, "over")


async def test_a_stopping_worker_serves_on_until_its_shards_are_assigned() -> None:
    """A shard pauses for a move, not for the operator's decision; the others go at the bound."""
    house = House()
    house.placement.wish(0, ME)
    house.placement.wish(1, ME)
    async with living(house) as stop:
        await until(lambda: len(house.shards.all()) == 2)
        stop.set()
        await until(lambda: house.placement.is_draining)
        assert house.placement.released == []
        house.placement.wish(0, OTHER)
        house.owner.wake.set()
        await until(lambda: [0] == [claim.shard for claim in house.placement.released])
        assert not house.placement.is_deregistered
        await until(lambda: house.placement.is_deregistered)
    assert [0, 1] == [claim.shard for claim in house.placement.released]


class OneLongRead(FakeStream):
    """Reads shard 0 alone for as long as it likes, as Redis may."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[int]] = []

    async def read(
        self, positions: Mapping[ShardKey, bytes], wait_seconds: float, entries_max: int
    ) -> Sequence[StreamEntry]:
        """Note what is read."""
        shards = sorted(key.shard for key in positions)
        self.reads.append(shards)
        if shards == [0]:
            await asyncio.sleep(30)
        return await super().read(positions, wait_seconds, entries_max)


async def test_a_shard_opened_while_the_streams_are_waited_for_is_read_beside() -> None:
    """The read under way does not know it and may wait for a while yet."""
    house = House(stream=(stream := OneLongRead()))
    house.placement.wish(0, ME)
    async with living(house):
        await until(lambda: stream.reads == [[0]])
        house.placement.wish(1, ME)
        await until(lambda: stream.reads[1:] and stream.reads[-1] == [1])
    assert [0, 1] not in stream.reads
