"""Group commit: batches, bounds, cancellation and closing, in virtual time."""

# ruff: noqa: D102, D103 (a test's name is its claim)

import asyncio
from collections.abc import Sequence

import pytest
from tests.unit.chassis import virtual_time

from chassis.errors import LimitReached, TryAgain
from chassis.micro_batch import MicroBatcher


class Book:
    """Writes a batch in one second, remembers it, doubles each item; refuses negative ones."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def write(self, items: list[int]) -> Sequence[int | Exception]:
        await asyncio.sleep(1)
        self.batches.append(items)
        return [item * 2 if item >= 0 else ValueError(item) for item in items]


def test_while_one_batch_is_written_the_next_gathers() -> None:
    async def scenario() -> None:
        book = Book()
        async with MicroBatcher(
            book.write, entries_max=3, wait_milliseconds=0, queue_max=10
        ) as batcher:
            first = asyncio.create_task(batcher.submit(0))
            await asyncio.sleep(0.5)
            rest = await asyncio.gather(*(batcher.submit(item) for item in range(1, 6)))
            assert (await first, rest) == (0, [2, 4, 6, 8, 10])
        assert book.batches == [[0], [1, 2, 3], [4, 5]]
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)

    virtual_time.run(scenario())


def test_the_first_item_waits_for_company_but_not_longer_than_named() -> None:
    async def scenario() -> None:
        book = Book()
        async with MicroBatcher(
            book.write, entries_max=2, wait_milliseconds=200, queue_max=9
        ) as batcher:
            one = asyncio.create_task(batcher.submit(1))
            await asyncio.sleep(0.1)
            other = asyncio.create_task(batcher.submit(2))
            await asyncio.gather(one, other)
            assert asyncio.get_running_loop().time() == pytest.approx(1.1), (
                "a full batch waits no longer"
            )
            await batcher.submit(3)
            assert asyncio.get_running_loop().time() == pytest.approx(2.3)
        assert book.batches == [[1, 2], [3]]

    virtual_time.run(scenario())


def test_each_item_gets_its_own_answer() -> None:
    async def scenario() -> None:
        book = Book()
        async with MicroBatcher(
            book.write, entries_max=9, wait_milliseconds=0, queue_max=9
        ) as batcher:
            results = await asyncio.gather(
                batcher.submit(1), batcher.submit(-1), batcher.submit(2), return_exceptions=True
            )
        assert results[0] == 2
        assert isinstance(results[1], ValueError)
        assert results[2] == 4

    virtual_time.run(scenario())


def test_a_failed_write_fails_its_batch_and_the_next_goes_on() -> None:
    async def scenario() -> None:
        async def write(items: list[int]) -> Sequence[int | Exception]:
            if 0 in items:
                raise TryAgain
            return items

        async with MicroBatcher(write, entries_max=2, wait_milliseconds=0, queue_max=9) as batcher:
            results = await asyncio.gather(
                *(batcher.submit(item) for item in range(4)), return_exceptions=True
            )
        assert [type(result) for result in results] == [TryAgain, TryAgain, int, int]

    virtual_time.run(scenario())


def test_an_answer_of_the_wrong_length_is_nobodys_answer() -> None:
    async def scenario() -> None:
        async def write(items: list[int]) -> Sequence[int | Exception]:
            return items[1:]

        async with MicroBatcher(write, entries_max=2, wait_milliseconds=0, queue_max=9) as batcher:
            results = await asyncio.gather(
                batcher.submit(1), batcher.submit(2), return_exceptions=True
            )
        assert [type(result) for result in results] == [RuntimeError, RuntimeError]

    virtual_time.run(scenario())


def test_a_full_queue_is_refused_at_once() -> None:
    async def scenario() -> None:
        book = Book()
        async with MicroBatcher(
            book.write, entries_max=1, wait_milliseconds=0, queue_max=2
        ) as batcher:
            tasks = [asyncio.create_task(batcher.submit(item)) for item in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(LimitReached):
                await batcher.submit(99)
            assert await asyncio.gather(*tasks) == [0, 2]

    virtual_time.run(scenario())


def test_a_cancelled_caller_disturbs_nobody() -> None:
    async def scenario() -> None:
        book = Book()
        async with MicroBatcher(
            book.write, entries_max=9, wait_milliseconds=0, queue_max=9
        ) as batcher:
            tasks = [asyncio.create_task(batcher.submit(item)) for item in range(3)]
            await asyncio.sleep(0.5)
            tasks[1].cancel()  # its batch is being written
            late = asyncio.create_task(batcher.submit(7))
            await asyncio.sleep(0)
            late.cancel()  # its batch has not begun
            assert (await tasks[0], await tasks[2]) == (0, 4)
        assert book.batches == [[0, 1, 2]]

    virtual_time.run(scenario())


def test_closing_writes_what_was_accepted_and_takes_no_more() -> None:
    async def scenario() -> None:
        book = Book()
        batcher = MicroBatcher(book.write, entries_max=2, wait_milliseconds=60_000, queue_max=9)
        tasks = [asyncio.create_task(batcher.submit(item)) for item in range(3)]
        await asyncio.sleep(0)
        await batcher.aclose()
        assert await asyncio.gather(*tasks) == [0, 2, 4]
        with pytest.raises(TryAgain):
            await batcher.submit(4)
        await batcher.aclose()

    virtual_time.run(scenario())
