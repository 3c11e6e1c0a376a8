"""A shelf of boxes: the smallest unit that has all that GroupCommit must cope with."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.runtime.database import Connection
from services.runtime.errors import FailedPrecondition, InvalidArgument, ServiceError
from services.runtime.ids import new_id

SCHEMA = """
drop table if exists box, shelf;
create table shelf (shelf_id int primary key, next_seq bigint not null);
insert into shelf values (1, 1);
create table box (
    box_id uuid primary key,
    seq    bigint not null,
    label  text not null constraint box_label_is_polite check (label <> 'rude'),
    weight int not null constraint box_weight_is_positive check (weight > 0)
);
"""


@dataclass(eq=False)
class ShelfRefused(FailedPrecondition):
    reason = "SHELF_REFUSED"
    text = "box {box_id} is not wanted"
    box_id: UUID


@dataclass(eq=False)
class LabelRude(InvalidArgument):
    reason = "LABEL_RUDE"
    text = "box {box_id} has a rude label"
    box_id: UUID


@dataclass(frozen=True)
class PutBox:
    box_id: UUID
    label: str = "plain"
    weight: int = 1
    must_run: bool = False


Hook = Callable[[Connection, int], Awaitable[None]]


async def _nothing(connection: Connection, attempt: int) -> None:
    pass


class Shelf:
    """Puts boxes in order. `before_load` and `before_write` let a test in; they get the number of the attempt."""

    def __init__(self, before_load: Hook = _nothing, before_write: Hook = _nothing) -> None:
        self.groups: list[list[PutBox]] = []
        self._before_load = before_load
        self._before_write = before_write

    async def commit_group(self, connection: Connection, commands: Sequence[PutBox]) -> list[int | ServiceError]:
        self.groups.append(list(commands))
        attempt = len(self.groups)
        await self._before_load(connection, attempt)
        seq = await connection.fetchval("select next_seq from shelf where shelf_id = 1 for update")
        rows = await connection.fetch(
            "select box_id, seq from box where box_id = any($1)", [command.box_id for command in commands]
        )
        there = {row["box_id"]: row["seq"] for row in rows}
        outcomes: list[int | ServiceError] = []
        new = []
        for command in commands:
            if command.label == "unwanted":
                outcomes.append(ShelfRefused(box_id=command.box_id))
                continue
            if command.box_id not in there:
                there[command.box_id] = seq
                new.append((command.box_id, seq, command.label, command.weight))
                seq += 1
            outcomes.append(there[command.box_id])
        await self._before_write(connection, attempt)
        await connection.executemany("insert into box values ($1, $2, $3, $4)", new)
        await connection.execute("update shelf set next_seq = $1", seq)
        return outcomes

    def error_for_constraint(self, constraint: str, command: PutBox) -> ServiceError | None:
        return LabelRude(box_id=command.box_id) if constraint == "box_label_is_polite" else None


def boxes(count: int, **fields: object) -> list[PutBox]:
    return [PutBox(new_id(), **fields) for _ in range(count)]  # type: ignore[arg-type]
