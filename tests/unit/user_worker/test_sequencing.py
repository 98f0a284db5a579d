"""The order of a shard's jobs, whatever the stream and the inbox do."""

# ruff: noqa: D102 (the rules of the state machine say it by their names)

from itertools import count
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kernel.sharding import ShardKey
from user_worker.domain.jobs import Job, Text
from user_worker.domain.sequencing import USERS_MAX, ShardQueue, Verdict

SHARD = ShardKey("default.main", 3)
ANN, BEN = UUID(int=1), UUID(int=2)
_numbers = count(1000)


def job(user_id: UUID, seq: int, *, key: ShardKey = SHARD, size: int = 10) -> Job:
    """Make a job with an id of its own."""
    return Job(UUID(int=next(_numbers)), key, user_id, seq, 0.0, Text("x"), size=size)


def queue(*, user_jobs: int = 16, waiting_bytes: int = 100_000) -> ShardQueue:
    """Make a queue that has not heard of the inbox."""
    return ShardQueue(SHARD, user_jobs, waiting_bytes)


def primed(**bounds: int) -> ShardQueue:
    """Make a queue whose users all begin at 1."""
    shard = queue(**bounds)
    shard.prime({})
    return shard


def test_nothing_runs_before_the_inbox_has_told_where_users_stand() -> None:
    """A new owner that believed the stream alone might run what had ended."""
    shard = queue()
    first = job(ANN, 1)
    shard.offer(first, b"1-0")

    assert shard.take_ready() is None
    assert shard.prime({ANN: 2}) == [b"1-0"]
    assert shard.take_ready() is None


def test_a_user_runs_one_job_at_a_time_in_order() -> None:
    """The second job waits for the first to end."""
    shard = primed()
    first, second = job(ANN, 1), job(ANN, 2)
    shard.offer(second)
    shard.offer(first)

    assert first == shard.take_ready()
    assert shard.take_ready() is None
    shard.ended(first)
    assert second == shard.take_ready()


def test_users_take_turns() -> None:
    """A user with many jobs goes to the end of the line after each."""
    shard = primed()
    anns = [job(ANN, seq) for seq in (1, 2)]
    ben = job(BEN, 1)
    for some in (*anns, ben):
        shard.offer(some)

    first = shard.take_ready()
    assert anns[0] == first
    shard.ended(anns[0])
    assert ben == shard.take_ready()
    assert anns[1] == shard.take_ready()


def test_a_job_seen_twice_runs_once_and_gives_back_both_entries() -> None:
    """Stream entries of one job are all removed when it ends."""
    shard = primed()
    first = job(ANN, 1)
    verdicts = [shard.offer(first, b"1-0"), shard.offer(first), shard.offer(first, b"2-0")]

    assert [Verdict.KEPT, Verdict.KNOWN, Verdict.KNOWN] == verdicts
    assert first == shard.take_ready()
    assert Verdict.KNOWN is shard.offer(first, b"3-0")
    assert [b"1-0", b"2-0", b"3-0"] == shard.ended(first)
    assert Verdict.ENDED is shard.offer(first, b"4-0")
    assert shard.take_ready() is None


def test_a_hole_is_seen_and_filled_by_the_inbox() -> None:
    """Later jobs wait while an earlier one is missing."""
    shard = primed()
    first, second = job(ANN, 1), job(ANN, 2)
    shard.offer(second, b"2-0")

    before = shard.has_gap
    assert shard.take_ready() is None
    shard.observe_inbox([first, second])
    assert (True, False) == (before, shard.has_gap)
    assert first == shard.take_ready()


def test_the_inbox_moves_a_user_forward_never_back() -> None:
    """Its first undone job ends all before; an answer older than our own work changes nothing."""
    shard = primed()
    jobs = [job(ANN, seq) for seq in (1, 2, 3)]
    shard.offer(jobs[0], b"1-0")

    assert [b"1-0"] == shard.observe_inbox(jobs[1:])
    assert jobs[1] == shard.take_ready()
    shard.ended(jobs[1])
    shard.observe_inbox(jobs)
    assert jobs[2] == shard.take_ready()
    shard.ended(jobs[2])
    assert shard.take_ready() is None


def test_an_invented_job_leaves_its_number_open() -> None:
    """A stream that lies costs a refused Deliver; the real job with that number still runs."""
    shard = primed()
    invented, real = job(ANN, 1), job(ANN, 1)
    shard.offer(invented, b"1-0")
    assert invented == shard.take_ready()
    assert Verdict.DROPPED is shard.offer(real, b"2-0")

    assert [b"1-0"] == shard.unknown(invented)
    shard.observe_inbox([real])
    assert real == shard.take_ready()


def test_the_inbox_displaces_an_invented_job_that_waits() -> None:
    """Of two jobs with one number the inbox's is the true one."""
    shard = primed()
    shard.offer(job(ANN, 1), b"1-0")
    real = job(ANN, 1)
    shard.observe_inbox([real])

    assert real == shard.take_ready()


def test_another_shards_job_is_refused() -> None:
    """An entry in the wrong stream can go; its own shard's inbox has it."""
    shard = primed()

    assert Verdict.FOREIGN is shard.offer(job(ANN, 1, key=ShardKey("default.main", 4)), b"1-0")
    assert Verdict.FOREIGN is shard.offer(job(ANN, 0), b"2-0")


def test_a_flood_is_dropped_but_never_a_users_next_job() -> None:
    """One user's flood takes a bounded number of copies and no other user's turn."""
    shard = primed(user_jobs=4, waiting_bytes=40)
    flood = [shard.offer(job(ANN, seq, size=10)) for seq in range(1, 10)]
    ben = job(BEN, 1, size=50)

    assert [Verdict.KEPT] * 4 + [Verdict.DROPPED] * 5 == flood
    assert shard.has_dropped
    assert Verdict.KEPT is shard.offer(ben)
    assert not shard.has_room
    assert 5 == shard.waiting_jobs


def test_the_nearest_copies_are_the_ones_kept() -> None:
    """One far ahead would hold its place until its turn, and the user's line would crawl."""
    shard = primed(user_jobs=3)
    for seq in (9, 8, 7, 3, 2, 1):
        assert Verdict.KEPT is shard.offer(job(ANN, seq), b"%d-0" % seq)
    assert shard.has_dropped

    done = []
    while (ready := shard.take_ready()) is not None:
        done.append(ready.user_seq)
        shard.ended(ready)
    assert [1, 2, 3] == done


def test_a_line_that_has_worked_its_copies_misses_the_dropped_ones() -> None:
    """The inbox is asked at once, not when its second is over."""
    shard = primed(user_jobs=2)
    for seq in range(1, 5):
        shard.offer(job(ANN, seq))
    for seq in (1, 2):
        assert not shard.has_gap_of(ANN)
        ready = shard.take_ready()
        assert ready is not None
        assert seq == ready.user_seq
        shard.ended(ready)

    assert shard.has_gap_of(ANN)
    assert shard.has_gap
    assert not shard.has_gap_of(BEN)
    shard.observe_inbox([job(ANN, 3), job(ANN, 4)])
    assert not shard.has_gap_of(ANN)


def test_invented_users_take_bounded_memory() -> None:
    """Only a stream that lies can name more users than a shard has."""
    shard = primed()
    for number in range(USERS_MAX):
        shard.offer(job(UUID(int=number + 10), 2))

    assert Verdict.DROPPED is shard.offer(job(ANN, 1))


def test_what_is_left_over_of_a_user_who_moved_goes_when_the_inbox_does_not_know_it() -> None:
    """His first job never comes, and his entries are to be removed."""
    shard = queue()
    left = [job(ANN, 7), job(ANN, 8)]
    for number, each in enumerate(left):
        shard.offer(each, f"{number}-0".encode())
    assert shard.strangers(10) == []

    shard.prime({BEN: 4})
    assert left == shard.strangers(10)
    assert left[:1] == shard.strangers(1)
    assert [b"0-0"] == shard.turn_away(left[0])
    assert [] == shard.turn_away(left[0])
    assert [b"1-0"] == shard.turn_away(left[1])
    assert [] == shard.strangers(10)
    assert 0 == shard.waiting_jobs
    assert not shard.has_gap


def test_a_user_whom_the_inbox_has_named_is_no_stranger() -> None:
    """By a cursor, among its undone jobs, or when it was asked about one of his."""
    shard = queue()
    shard.prime({ANN: 2})
    shard.offer(job(ANN, 5), b"1-0")
    assert [] == shard.strangers(10)

    third = UUID(int=3)
    shard.observe_inbox([job(BEN, 4)])
    shard.offer(job(BEN, 6), b"2-0")
    shard.offer(unsure := job(third, 3), b"3-0")
    assert [unsure] == shard.strangers(10)
    shard.let_in(unsure)
    assert [] == shard.strangers(10)
    assert shard.has_gap_of(third)


def test_a_newcomer_who_can_run_is_no_stranger() -> None:
    """Who came since the claim begins at 1, and nobody has to be asked."""
    shard = primed()
    shard.offer(first := job(ANN, 1), b"1-0")
    shard.offer(job(ANN, 2), b"2-0")
    assert [] == shard.strangers(10)
    assert first == shard.take_ready()
    assert [] == shard.strangers(10)


class AnyInterleaving(RuleBasedStateMachine):
    """Streams that lose, repeat, reorder and invent; inbox answers that come late and cut short."""

    users = st.sampled_from([ANN, BEN, UUID(int=3)])
    places = st.integers(min_value=0, max_value=1_000)

    @initialize(ended_before=st.integers(0, 3))
    def claim(self, ended_before: int) -> None:
        """Begin with some jobs that the previous owner ended, their entries still in the stream."""
        self.queue = queue(user_jobs=3, waiting_bytes=60)
        self.inbox: dict[UUID, list[Job]] = {}
        self.ended: dict[UUID, int] = {}
        self.entries: list[tuple[bytes, Job]] = []
        self.answers: list[list[Job]] = []
        self.running: list[Job] = []
        self.cursors: dict[UUID, int] = {}
        for _ in range(ended_before):
            self.accept(ANN, pushed=True)
            self.ended[ANN] += 1
            self.cursors[ANN] = self.ended[ANN] + 1

    @rule(user=users, pushed=st.booleans())
    def accept(self, user: UUID, pushed: bool) -> None:
        line = self.inbox.setdefault(user, [])
        self.ended.setdefault(user, 0)
        line.append(job(user, len(line) + 1))
        if pushed:
            self.entries.append((f"{next(_numbers)}-0".encode(), line[-1]))

    @rule()
    def prime(self) -> None:
        if not self.queue.is_primed:
            self.queue.prime(self.cursors)

    @precondition(lambda self: self.entries)
    @rule(place=places, repeated=st.booleans())
    def push(self, place: int, repeated: bool) -> None:
        entry_id, pushed = self.entries[place % len(self.entries)]
        self.queue.offer(pushed, entry_id)
        if not repeated:
            self.entries.remove((entry_id, pushed))

    @precondition(lambda self: self.entries)
    @rule(place=places)
    def lose(self, place: int) -> None:
        self.entries.pop(place % len(self.entries))

    @rule(user=users, seq=st.integers(1, 12))
    def invent(self, user: UUID, seq: int) -> None:
        self.queue.offer(job(user, seq), b"9-9")

    @rule(jobs_max=st.integers(1, 5))
    def ask_about_strangers(self, jobs_max: int) -> None:
        for stranger in self.queue.strangers(jobs_max):
            if stranger in self.undone():
                self.queue.let_in(stranger)
            else:
                self.queue.turn_away(stranger)

    @rule(jobs_max=st.integers(1, 5))
    def ask(self, jobs_max: int) -> None:
        self.answers.append(self.undone()[:jobs_max])

    @precondition(lambda self: self.answers)
    @rule()
    def answer(self) -> None:
        self.queue.observe_inbox(self.answers.pop(0))

    @rule()
    def start(self) -> None:
        started = self.queue.take_ready()
        if started is None:
            return
        assert started.user_id not in {running.user_id for running in self.running}
        if self.is_real(started):
            assert self.ended[started.user_id] + 1 == started.user_seq
        self.running.append(started)

    @precondition(lambda self: self.running)
    @rule(place=places)
    def end(self, place: int) -> None:
        ending = self.running.pop(place % len(self.running))
        if self.is_real(ending):
            self.ended[ending.user_id] += 1
            self.queue.ended(ending)
        else:
            self.queue.unknown(ending)

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.running) == self.queue.running_jobs
        assert {j.job_id for j in self.running} == {j.job_id for j in self.queue.running()}
        # Beside each user's next job, the bounds hold.
        assert self.queue.waiting_jobs <= 60 // 10 + 3

    def teardown(self) -> None:
        """With the inbox alone, every job comes to its end."""
        if not hasattr(self, "queue"):
            return
        self.prime()
        for _ in range(200):
            self.answers = [self.undone()[:2]]
            if not self.answers[0] and not self.running:
                break
            self.answer()
            self.start()
            if self.running:
                self.end(0)
        assert [] == self.undone()

    def undone(self) -> list[Job]:
        jobs = [j for user, line in self.inbox.items() for j in line[self.ended[user] :]]
        return sorted(jobs, key=lambda j: j.job_id)

    def is_real(self, some: Job) -> bool:
        return some in self.inbox.get(some.user_id, [])


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
