"""GatheredReads: callers that come together share a query, and nobody is answered from one begun before he came."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from services.runtime.gathering import KEYS_MAX, GatheredReads


class Table:
    """Answers each key with its number in the order of reads; a read lasts until it is let go."""

    def __init__(self) -> None:
        self.reads: list[list[int]] = []
        self.may_end = asyncio.Event()
        self.value = 0

    async def read(self, keys: Sequence[int]) -> list[tuple[int, int]]:
        self.reads.append(list(keys))
        value = self.value
        await self.may_end.wait()
        if -1 in keys:
            raise asyncpg.CharacterNotInRepertoireError("no such letter")
        if -2 in keys:
            raise OSError("gone")
        return [(key, value) for key in keys]


async def begun(read: GatheredReads[int, tuple[int, int]], *callers: Sequence[int]) -> list[asyncio.Task]:
    tasks = [asyncio.create_task(read(keys)) for keys in callers]
    await asyncio.sleep(0.01)
    return tasks


async def test_read_while_another_runs_gathers_for_the_next() -> None:
    table = Table()
    read = GatheredReads(table.read)
    tasks = await begun(read, [1])
    tasks += await begun(read, [2, 3], [1], [])
    assert table.reads == [[1]]
    table.may_end.set()
    assert [await task for task in tasks] == [[(1, 0)], [(2, 0), (3, 0)], [(1, 0)], []]
    assert table.reads == [[1], [2, 3, 1]]


async def test_read_sees_what_was_written_before_its_caller_came() -> None:
    table = Table()
    read = GatheredReads(table.read)
    tasks = await begun(read, [1])
    table.value = 1
    tasks += await begun(read, [1])
    table.may_end.set()
    assert [await task for task in tasks] == [[(1, 0)], [(1, 1)]]


async def test_read_of_many_keys_does_not_keep_others_waiting() -> None:
    table = Table()
    read = GatheredReads(table.read)
    many = list(range(KEYS_MAX))
    tasks = await begun(read, many, [1], many)
    assert table.reads in ([many, many, [1]], [many, [1], many])
    table.may_end.set()
    assert [len(await task) for task in tasks] == [KEYS_MAX, 1, KEYS_MAX]


async def test_read_of_a_key_that_can_never_be_asked_for_fails_alone() -> None:
    table = Table()
    read = GatheredReads(table.read)
    tasks = await begun(read, [0], [1], [-1], [2])
    table.may_end.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers.pop(2), asyncpg.CharacterNotInRepertoireError)
    assert answers == [[(0, 0)], [(1, 0)], [(2, 0)]]


async def test_read_without_a_database_fails_for_all_at_once_and_goes_on_later() -> None:
    table = Table()
    read = GatheredReads(table.read)
    tasks = await begun(read, [0])
    tasks += await begun(read, [1], [-2])
    table.may_end.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[0] == [(0, 0)]
    assert [type(answer) for answer in answers[1:]] == [OSError, OSError]
    assert table.reads == [[0], [1, -2]]
    assert await read([3]) == [(3, 0)]


async def test_read_whose_caller_has_gone_is_not_asked_for() -> None:
    table = Table()
    read = GatheredReads(table.read)
    tasks = await begun(read, [0])
    tasks += await begun(read, [1], [2])
    tasks[1].cancel()
    await asyncio.sleep(0)
    table.may_end.set()
    assert [await task for task in (tasks[0], tasks[2])] == [[(0, 0)], [(2, 0)]]
    assert table.reads == [[0], [2]]
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
