"""GroupCommit against a real PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.runtime.database import Connection, Pool
from services.runtime.errors import DatabaseUnavailable, DeadlinePassed, InternalError, ServiceError
from services.runtime.group_commit import GroupCommit
from services.runtime.ids import new_id
from tests.runtime.toy_unit import SCHEMA, LabelRude, PutBox, Shelf, ShelfRefused, boxes


@pytest.fixture(autouse=True)
async def _schema(pool: Pool) -> None:
    await pool.execute(SCHEMA)


async def stored(pool: Pool) -> dict[object, int]:
    return {row["box_id"]: row["seq"] for row in await pool.fetch("select box_id, seq from box order by seq")}


async def outcomes_of(group: GroupCommit[PutBox, int], commands: Sequence[PutBox]) -> list[int | BaseException]:
    async with asyncio.timeout(60):
        return await asyncio.gather(*(group.submit(command) for command in commands), return_exceptions=True)


def backend_killer(pool: Pool, *, on_attempt: int = 1):
    async def kill(connection: Connection, attempt: int) -> None:
        if attempt == on_attempt:
            await pool.execute("select pg_terminate_backend($1)", connection.get_server_pid())

    return kill


@asynccontextmanager
async def blocked_shelf(pool: Pool) -> AsyncIterator[None]:
    """Holds the lock row, so that the group in flight waits."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select from shelf for update")
        yield


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.001)


async def until_a_group_is_in_flight(shelf: Shelf) -> None:
    while not shelf.groups:
        await asyncio.sleep(0.001)


async def test_submit_many_callers_at_once_share_commits_in_their_order(pool: Pool) -> None:
    shelf, commands = Shelf(), boxes(200)
    async with GroupCommit(pool, shelf) as group:
        outcomes = await outcomes_of(group, commands)
    assert outcomes == list(range(1, 201))
    assert [len(part) for part in shelf.groups] == [200]
    assert await stored(pool) == {command.box_id: seq for seq, command in enumerate(commands, start=1)}


async def test_submit_while_a_group_commits_gathers_for_the_next(pool: Pool) -> None:
    shelf, commands = Shelf(), boxes(30)
    async with GroupCommit(pool, shelf, group_max=20) as group:
        async with blocked_shelf(pool):
            first = asyncio.create_task(group.submit(commands[0]))
            await until_a_group_is_in_flight(shelf)
            rest = [asyncio.create_task(group.submit(command)) for command in commands[1:]]
            await asyncio.sleep(0.01)
            assert [len(part) for part in shelf.groups] == [1]
        assert await asyncio.gather(first, *rest) == list(range(1, 31))
    assert [len(part) for part in shelf.groups] == [1, 20, 9]


async def test_submit_refused_command_leaves_the_others_alone(pool: Pool) -> None:
    commands = boxes(5)
    commands[2] = PutBox(new_id(), label="unwanted")
    async with GroupCommit(pool, Shelf()) as group:
        outcomes = await outcomes_of(group, commands)
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [1, 2, 3, 4]
    assert isinstance(outcomes[2], ShelfRefused)


async def test_submit_callers_are_answered_only_after_the_commit(pool: Pool) -> None:
    """C-1: an answer OK is durable."""
    (command,) = boxes(1)
    async with GroupCommit(pool, Shelf()) as group, pool.acquire() as other:
        await group.submit(command)
        assert await other.fetchval("select count(*) from box") == 1


async def test_submit_violated_constraint_halving_finds_the_guilty_and_keeps_the_order(pool: Pool) -> None:
    shelf, commands = Shelf(), boxes(16)
    commands[11] = PutBox(new_id(), label="rude")
    async with GroupCommit(pool, shelf) as group:
        outcomes = await outcomes_of(group, commands)
    guilty = outcomes.pop(11)
    assert isinstance(guilty, LabelRude)
    assert outcomes == list(range(1, 16))
    assert [len(part) for part in shelf.groups] == [16, 8, 8, 4, 2, 2, 1, 1, 4]


@pytest.mark.parametrize("bad", [{"weight": 0}, {"label": "nul \0 byte"}, {"weight": 2**40}])
async def test_submit_data_without_a_named_error_is_internal_for_the_guilty_alone(pool: Pool, bad: dict) -> None:
    commands = boxes(4) + boxes(1, **bad) + boxes(3)
    async with GroupCommit(pool, Shelf()) as group:
        outcomes = await outcomes_of(group, commands)
    assert isinstance(outcomes.pop(4), InternalError)
    assert outcomes == list(range(1, 8))


@pytest.mark.parametrize("moment", ["before_load", "before_write"])
async def test_submit_connection_killed_in_the_middle_runs_the_group_again(pool: Pool, moment: str) -> None:
    """K-1: once, whatever the number of attempts."""
    shelf, commands = Shelf(**{moment: backend_killer(pool)}), boxes(50)
    async with GroupCommit(pool, shelf) as group:
        outcomes = await outcomes_of(group, commands)
    assert outcomes == list(range(1, 51))
    assert len(await stored(pool)) == 50
    assert len(shelf.groups) == 2


async def test_submit_answer_of_the_commit_lost_gives_the_first_result_again(pool: Pool) -> None:
    """K-2: the rows are there although COMMIT raised; only the same ids tell."""

    class CommitsAndVanishes(Shelf):
        async def commit_group(self, connection: Connection, commands: Sequence[PutBox]) -> list[int | ServiceError]:
            outcomes = await super().commit_group(connection, commands)
            if len(self.groups) == 1:
                await connection.execute("commit")
                await pool.execute("select pg_terminate_backend($1)", connection.get_server_pid())
            return outcomes

    shelf, commands = CommitsAndVanishes(), boxes(5)
    async with GroupCommit(pool, shelf) as group:
        outcomes = await outcomes_of(group, commands)
    assert outcomes == [1, 2, 3, 4, 5]
    assert len(shelf.groups) == 2
    assert len(await stored(pool)) == 5


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_submit_transaction_thrown_away_runs_the_group_again(pool: Pool, sqlstate: str) -> None:
    async def fail_twice(connection: Connection, attempt: int) -> None:
        if attempt <= 2:
            await connection.execute(f"do $$ begin raise exception using errcode = '{sqlstate}'; end $$")

    shelf = Shelf(before_write=fail_twice)
    async with GroupCommit(pool, shelf) as group:
        assert await outcomes_of(group, boxes(3)) == [1, 2, 3]
    assert len(shelf.groups) == 3


async def test_submit_transaction_thrown_away_every_time_is_unavailable_after_three_more(pool: Pool) -> None:
    async def fail(connection: Connection, attempt: int) -> None:
        await connection.execute("do $$ begin raise exception using errcode = '40001'; end $$")

    shelf = Shelf(before_write=fail)
    async with GroupCommit(pool, shelf) as group:
        outcomes = await outcomes_of(group, boxes(3))
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable] * 3
    assert len(shelf.groups) == 4


async def test_submit_lost_race_loads_and_decides_again(pool: Pool) -> None:
    command = PutBox(new_id())

    async def be_faster(connection: Connection, attempt: int) -> None:
        if attempt == 1:
            await pool.execute("insert into box values ($1, 77, 'theirs', 1)", command.box_id)

    shelf = Shelf(before_write=be_faster)
    async with GroupCommit(pool, shelf) as group:
        assert await outcomes_of(group, [*boxes(1), command]) == [1, 77]
    assert len(shelf.groups) == 2


async def test_submit_race_lost_for_ever_ends_for_the_guilty_alone(pool: Pool) -> None:
    await pool.execute("create unique index box_weight_is_unique on box (weight)")
    await pool.execute("insert into box values ($1, 0, 'first', 13)", new_id())
    commands = [PutBox(new_id(), weight=weight) for weight in (10, 11, 12, 13, 14)]
    async with GroupCommit(pool, Shelf()) as group:
        outcomes = await outcomes_of(group, commands)
    assert isinstance(outcomes.pop(3), InternalError)
    assert outcomes == [1, 2, 3, 4]


async def test_submit_anything_else_is_unavailable_for_all_and_the_next_group_works(pool: Pool) -> None:
    async def fail_once(connection: Connection, attempt: int) -> None:
        if attempt == 1:
            await connection.execute("select * from no_such_table")

    shelf = Shelf(before_write=fail_once)
    async with GroupCommit(pool, shelf) as group:
        outcomes = await outcomes_of(group, boxes(3))
        assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable] * 3
        assert len(shelf.groups) == 1
        assert await outcomes_of(group, boxes(2)) == [1, 2]


async def test_submit_command_that_trips_a_bug_is_internal_for_it_alone(pool: Pool) -> None:
    class Superstitious(Shelf):
        async def commit_group(self, connection: Connection, commands: Sequence[PutBox]) -> list[int | ServiceError]:
            if any(command.weight == 13 for command in commands):
                raise ZeroDivisionError
            return await super().commit_group(connection, commands)

    commands = boxes(5) + boxes(1, weight=13) + boxes(2)
    async with GroupCommit(pool, Superstitious()) as group:
        outcomes = await outcomes_of(group, commands)
    assert isinstance(outcomes.pop(5), InternalError)
    assert outcomes == list(range(1, 8))


async def test_submit_unit_with_a_bug_leaves_nobody_waiting(pool: Pool) -> None:
    class Forgetful(Shelf):
        async def commit_group(self, connection: Connection, commands: Sequence[PutBox]) -> list[int | ServiceError]:
            return (await super().commit_group(connection, commands))[1:]

        def error_for_constraint(self, constraint: str, command: PutBox) -> ServiceError | None:
            raise KeyError(constraint)

    async with GroupCommit(pool, Forgetful()) as group:
        too_few = await outcomes_of(group, boxes(2))
        no_name = await outcomes_of(group, boxes(2, label="rude"))
    assert [type(outcome) for outcome in too_few] == [InternalError] * 2
    assert [type(outcome) for outcome in no_name] == [DatabaseUnavailable] * 2
    assert await stored(pool) == {}


async def test_submit_caller_gone_before_the_load_is_dropped_but_never_an_undo(pool: Pool) -> None:
    shelf = Shelf()
    first, wish, undo = PutBox(new_id()), PutBox(new_id()), PutBox(new_id(), must_run=True)
    async with GroupCommit(pool, shelf) as group:
        async with blocked_shelf(pool):
            in_flight = asyncio.create_task(group.submit(first))
            await until_a_group_is_in_flight(shelf)
            gone = [asyncio.create_task(group.submit(command)) for command in (wish, undo)]
            await asyncio.sleep(0)
            for task in gone:
                task.cancel()
            await asyncio.wait(gone)
        assert await in_flight == 1
    assert shelf.groups == [[first], [undo]]
    assert set(await stored(pool)) == {first.box_id, undo.box_id}


async def test_submit_caller_gone_during_the_commit_takes_nothing_back(pool: Pool) -> None:
    shelf, commands = Shelf(), boxes(3)
    async with GroupCommit(pool, shelf) as group:
        async with blocked_shelf(pool):
            tasks = [asyncio.create_task(group.submit(command)) for command in commands]
            await until_a_group_is_in_flight(shelf)
            tasks[0].cancel()
        assert await asyncio.gather(*tasks[1:]) == [2, 3]
    assert tasks[0].cancelled()
    assert len(await stored(pool)) == 3


async def test_submit_deadline_passed_before_the_load_is_dropped_but_never_an_undo(pool: Pool) -> None:
    shelf, late, undo = Shelf(), PutBox(new_id()), PutBox(new_id(), must_run=True)
    now = asyncio.get_running_loop().time()
    async with GroupCommit(pool, shelf) as group:
        with pytest.raises(DeadlinePassed):
            await group.submit(late, deadline=now - 0.001)
        assert await group.submit(undo, deadline=now - 0.001) == 1
        assert await group.submit(PutBox(new_id()), deadline=now + 60) == 2
    assert late.box_id not in await stored(pool)


async def test_submit_deadline_passed_between_attempts_is_not_tried_again(pool: Pool) -> None:
    async def fail_slowly(connection: Connection, attempt: int) -> None:
        await asyncio.sleep(0.05)
        await connection.execute("do $$ begin raise exception using errcode = '40001'; end $$")

    shelf = Shelf(before_write=fail_slowly)
    async with GroupCommit(pool, shelf) as group:
        with pytest.raises(DeadlinePassed):
            await group.submit(PutBox(new_id()), deadline=asyncio.get_running_loop().time() + 0.04)
    assert len(shelf.groups) == 1


async def test_submit_many_stays_together_and_answers_each(pool: Pool) -> None:
    shelf = Shelf()
    commands = [*boxes(4), PutBox(new_id(), label="unwanted"), PutBox(new_id(), label="rude"), *boxes(4)]
    async with GroupCommit(pool, shelf, group_max=3) as group:
        outcomes = await group.submit_many(commands)
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == list(range(1, 9))
    assert isinstance(outcomes[4], ShelfRefused)
    assert isinstance(outcomes[5], LabelRude)
    assert shelf.groups[0] == commands


async def test_submit_many_of_nothing_answers_nothing(pool: Pool) -> None:
    async with GroupCommit(pool, Shelf()) as group:
        assert list(await group.submit_many([])) == []


async def test_submit_two_lanes_work_at_once(pool: Pool) -> None:
    both = asyncio.Barrier(2)

    async def meet(connection: Connection, attempt: int) -> None:
        await both.wait()

    async with GroupCommit(pool, Shelf(before_load=meet), group_max=1, inflight_max=2) as group:
        assert sorted(await outcomes_of(group, boxes(2))) == [1, 2]


class Lanes:
    """Groups that last until they are let go; a command's weight is its lane."""

    def __init__(self) -> None:
        self.groups: list[list[PutBox]] = []
        self.may_end = asyncio.Event()

    async def commit_group(self, connection: Connection, commands: Sequence[PutBox]) -> list[int]:
        self.groups.append(list(commands))
        await self.may_end.wait()
        return [command.weight for command in commands]

    def error_for_constraint(self, constraint: str, command: PutBox) -> None:
        return None

    def lanes(self) -> list[set[int]]:
        return [{command.weight for command in group} for group in self.groups]


def weighed(*weights: int) -> list[PutBox]:
    return [PutBox(new_id(), weight=weight) for weight in weights]


def weight_of(command: PutBox) -> int:
    return command.weight


async def test_submit_many_goes_different_lanes_at_once_and_is_answered_when_all_are_done(pool: Pool) -> None:
    unit, commands = Lanes(), weighed(1, 2, 3, 1, 2, 3, 4)
    async with GroupCommit(pool, unit, inflight_max=3, lane_of=weight_of) as group:
        answer = group.begin_many(commands)
        await until(lambda: len(unit.groups) == 3)
        assert sorted(sorted(lane) for lane in unit.lanes()) == [[1, 4], [2], [3]]
        assert not answer.done()
        unit.may_end.set()
        assert await answer == [1, 2, 3, 1, 2, 3, 4]


async def test_submit_to_a_busy_lane_waits_in_order_while_the_others_go_on(pool: Pool) -> None:
    unit = Lanes()
    async with GroupCommit(pool, unit, inflight_max=2, lane_of=weight_of) as group:
        first = weighed(1)
        tasks = [asyncio.create_task(group.submit(command)) for command in first]
        await until(lambda: len(unit.groups) == 1)
        later = weighed(1, 2, 1)
        tasks += [asyncio.create_task(group.submit(command)) for command in later]
        await until(lambda: len(unit.groups) == 2)
        assert unit.lanes() == [{1}, {2}]
        unit.may_end.set()
        assert await asyncio.gather(*tasks) == [1, 1, 2, 1]
    assert unit.groups[2] == [later[0], later[2]]


async def test_submit_few_commands_share_a_transaction_whatever_their_lanes(pool: Pool) -> None:
    unit = Lanes()
    async with GroupCommit(pool, unit, inflight_max=4, lane_of=weight_of, lane_min=3) as group:
        answers = [group.begin_many([command]) for command in weighed(0, 1, 2, 3)]
        await until(lambda: len(unit.groups) == 1)
        # While that one runs: too few wait in lane 0, enough in lane 5 % 4, which is busy.
        answers += [group.begin_many([command]) for command in weighed(0, 5, 5, 5)]
        await asyncio.sleep(0.01)
        assert unit.lanes() == [{0, 1, 2, 3}]
        unit.may_end.set()
        await asyncio.gather(*answers)
    assert sorted(sorted(lane) for lane in unit.lanes()[1:]) == [[0], [5]]


async def test_submit_a_lane_with_enough_does_not_wait_for_the_shared_transaction(pool: Pool) -> None:
    unit = Lanes()
    async with GroupCommit(pool, unit, inflight_max=2, lane_of=weight_of, lane_min=3) as group:
        answers = [group.begin_many(weighed(0))]
        await until(lambda: len(unit.groups) == 1)
        answers.append(group.begin_many(weighed(1, 1)))
        await asyncio.sleep(0.01)
        assert unit.lanes() == [{0}]
        answers.append(group.begin_many(weighed(1)))
        await until(lambda: len(unit.groups) == 2)
        assert unit.lanes() == [{0}, {1}]
        unit.may_end.set()
        await asyncio.gather(*answers)


async def test_submit_many_failure_in_one_lane_leaves_the_others_alone(pool: Pool) -> None:
    commands = [*boxes(6), PutBox(new_id(), label="rude"), PutBox(new_id(), label="unwanted"), *boxes(6)]
    async with GroupCommit(pool, Shelf(), inflight_max=4, lane_of=lambda box: box.box_id.int) as group:
        outcomes = await group.submit_many(commands)
    assert isinstance(outcomes[6], LabelRude)
    assert isinstance(outcomes[7], ShelfRefused)
    accepted = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert sorted(accepted) == list(range(1, 13))
    assert len(await stored(pool)) == 12


async def test_submit_many_past_its_deadline_runs_only_undos_of_every_lane(pool: Pool) -> None:
    unit = Lanes()
    async with GroupCommit(pool, unit, inflight_max=2, lane_of=weight_of) as group:
        blockers = [group.begin_many(weighed(number)) for number in (0, 1)]
        await until(lambda: len(unit.groups) == 2)
        late = [*weighed(0, 1), PutBox(new_id(), weight=1, must_run=True)]
        answer = group.begin_many(late, deadline=asyncio.get_running_loop().time() + 0.01)
        await asyncio.sleep(0.02)
        unit.may_end.set()
        outcomes = await answer
        await asyncio.gather(*blockers)
    assert [type(outcome) for outcome in outcomes] == [DeadlinePassed, DeadlinePassed, int]
    assert unit.groups[2:] == [[late[2]]]


async def test_close_waits_for_what_every_lane_has_taken(pool: Pool) -> None:
    unit = Lanes()
    group = GroupCommit(pool, unit, inflight_max=3, lane_of=weight_of, lane_min=2)
    answers = [group.begin_many(weighed(*weights)) for weights in ((0,), (1, 1), (2,), (0, 1, 2))]
    closing = asyncio.create_task(group.close())
    await until(lambda: bool(unit.groups))
    assert not closing.done()
    unit.may_end.set()
    async with asyncio.timeout(60):
        await closing
    assert [answer.result() for answer in answers] == [[0], [1, 1], [2], [0, 1, 2]]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=12),
    lanes=st.integers(1, 5),
    lane_min=st.integers(1, 6),
    group_max=st.integers(1, 8),
)
async def test_submit_any_requests_each_key_is_committed_once_and_in_order(
    pool: Pool, requests: list[list[int]], lanes: int, lane_min: int, group_max: int
) -> None:
    unit, asked = Lanes(), [weighed(*weights) for weights in requests]
    unit.may_end.set()
    options = {"inflight_max": lanes, "lane_min": lane_min, "group_max": group_max}
    async with GroupCommit(pool, unit, lane_of=weight_of, **options) as group:
        answers = await asyncio.gather(*(group.begin_many(commands) for commands in asked))
    assert answers == requests
    for key in range(6):
        came = [command for commands in asked for command in commands if command.weight == key]
        assert [command for done in unit.groups for command in done if command.weight == key] == came


async def test_close_answers_everybody_and_takes_no_more(pool: Pool) -> None:
    shelf = Shelf()
    group = GroupCommit(pool, shelf, group_max=2)
    tasks = [asyncio.create_task(group.submit(command)) for command in boxes(9)]
    await until_a_group_is_in_flight(shelf)
    await group.close()
    assert [task.result() for task in tasks] == list(range(1, 10))
    with pytest.raises(DatabaseUnavailable):
        await group.submit(PutBox(new_id()))


async def test_submit_backends_killed_all_the_time_nothing_is_lost_or_doubled(pool: Pool) -> None:
    """C-1, K-1: whoever was answered OK is there once, and asking again with the same id converges."""

    async def put_until_known(command: PutBox) -> int:
        while True:
            try:
                return await group.submit(command)
            except DatabaseUnavailable:
                await asyncio.sleep(0.01)

    async def kill_again_and_again() -> None:
        others = (
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = current_user and state <> 'idle'"
        )
        while not is_over.is_set():
            await asyncio.sleep(0.015)
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                await pool.execute(f"{others} and pid <> pg_backend_pid()")

    is_over = asyncio.Event()
    commands = boxes(600)
    async with GroupCommit(pool, Shelf(), group_max=5) as group, asyncio.timeout(60):
        killer = asyncio.create_task(kill_again_and_again())
        answers = await asyncio.gather(*(put_until_known(command) for command in commands))
        is_over.set()
        await killer
    # The last signals may reach connections that are back in the pool.
    await pool.expire_connections()
    rows = await stored(pool)
    assert [rows[command.box_id] for command in commands] == answers
    assert sorted(answers) == list(range(1, 601))
