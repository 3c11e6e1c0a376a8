"""Migrations against a real PostgreSQL, in a database that starts empty each time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest

from services.runtime.migrations import (
    MigrationError,
    State,
    main,
    migrate_down,
    migrate_up,
    migration_status,
    read_migrations,
)

ROLE = "ledger_app"
FILES = {
    "0001_boxes.up.sql": "create table box (box_id int primary key); grant select on box to {app_role};",
    "0001_boxes.down.sql": "drop table box;",
    "0002_labels.up.sql": "alter table box add label text not null default '{not a placeholder}';",
    "0002_labels.down.sql": "alter table box drop label;",
}
SCHEMA = """
select table_name, column_name, data_type, is_nullable from information_schema.columns
where table_schema = 'public' order by 1, 2
"""
GRANTS = "select table_name, privilege_type from information_schema.role_table_grants where grantee = 'ledger_app'"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_files(changes: dict[str, str] | None = None) -> Path:
        for name, text in {**FILES, **(changes or {})}.items():
            (tmp_path / name).write_text(text)
        return tmp_path

    return write_files


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    await opened.execute("drop schema public cascade; create schema public; grant usage on schema public to public")
    yield opened
    await opened.close()


async def test_up_down_up_leaves_the_same_schema(
    database_url: str, connection: asyncpg.Connection, write: Write
) -> None:
    migrations = read_migrations(write())
    assert await migrate_up(database_url, migrations, ROLE) == ["0001_boxes", "0002_labels"]
    first = await connection.fetch(SCHEMA)
    assert await migrate_down(database_url, migrations, ROLE, steps=2) == ["0002_labels", "0001_boxes"]
    assert {row["table_name"] for row in await connection.fetch(SCHEMA)} == {"quittance_migrations"}
    await migrate_up(database_url, migrations, ROLE)
    assert await connection.fetch(SCHEMA) == first


async def test_up_twice_does_nothing_the_second_time(
    database_url: str, connection: asyncpg.Connection, write: Write
) -> None:
    migrations = read_migrations(write())
    await migrate_up(database_url, migrations, ROLE)
    assert await migrate_up(database_url, migrations, ROLE) == []


async def test_up_grants_to_the_role_of_the_placeholder(
    database_url: str, connection: asyncpg.Connection, write: Write
) -> None:
    await migrate_up(database_url, read_migrations(write()), ROLE)
    assert [tuple(row) for row in await connection.fetch(GRANTS)] == [("box", "SELECT")]


async def test_up_and_down_by_steps(database_url: str, connection: asyncpg.Connection, write: Write) -> None:
    migrations = read_migrations(write())
    assert await migrate_up(database_url, migrations, ROLE, steps=1) == ["0001_boxes"]
    assert await migration_status(database_url, migrations) == [State("0001_boxes", True), State("0002_labels", False)]
    await migrate_up(database_url, migrations, ROLE)
    assert await migrate_down(database_url, migrations, ROLE) == ["0002_labels"]


async def test_dry_run_changes_nothing(database_url: str, connection: asyncpg.Connection, write: Write) -> None:
    migrations = read_migrations(write())
    assert await migrate_up(database_url, migrations, ROLE, dry_run=True) == ["0001_boxes", "0002_labels"]
    assert await connection.fetch(SCHEMA) == []
    await migrate_up(database_url, migrations, ROLE)
    before = await connection.fetch(SCHEMA)
    assert await migrate_down(database_url, migrations, ROLE, dry_run=True) == ["0002_labels"]
    assert await connection.fetch(SCHEMA) == before


async def test_up_failing_migration_leaves_those_before_it(
    database_url: str, connection: asyncpg.Connection, write: Write
) -> None:
    migrations = read_migrations(write({"0002_labels.up.sql": "create table half (); select 1 / 0;"}))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate_up(database_url, migrations, ROLE)
    assert [state.is_applied for state in await migration_status(database_url, migrations)] == [True, False]
    assert "half" not in {row["table_name"] for row in await connection.fetch(SCHEMA)}


@pytest.mark.parametrize(
    ("changes", "removed", "complaint"),
    [
        ({"0001_boxes.up.sql": "create table box (box_id bigint);"}, [], "0001_boxes was changed"),
        ({}, ["0001_boxes.up.sql", "0001_boxes.down.sql"], "0001_boxes is applied but there is no such file"),
        ({"0003_lids.up.sql": "", "0003_lids.down.sql": ""}, [], "0003_lids was added before 0004_doors"),
    ],
)
async def test_up_past_that_differs_from_the_files_is_refused_by_name(
    database_url: str,
    connection: asyncpg.Connection,
    write: Write,
    changes: dict[str, str],
    removed: list[str],
    complaint: str,
) -> None:
    directory = write({"0004_doors.up.sql": "select 1;", "0004_doors.down.sql": "select 1;"})
    await migrate_up(database_url, read_migrations(directory), ROLE)
    for name in removed:
        (directory / name).unlink()
    for name, text in changes.items():
        (directory / name).write_text(text)
    with pytest.raises(MigrationError, match=complaint):
        await migrate_up(database_url, read_migrations(directory), ROLE)


async def test_up_two_at_once_apply_each_once(database_url: str, connection: asyncpg.Connection, write: Write) -> None:
    migrations = read_migrations(write({"0001_boxes.up.sql": FILES["0001_boxes.up.sql"] + "select pg_sleep(0.1);"}))
    done = await asyncio.gather(*(migrate_up(database_url, migrations, ROLE) for _ in range(3)))
    assert sorted(done) == [[], [], ["0001_boxes", "0002_labels"]]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"3_short.up.sql": ""}, "3_short.up.sql is not named"),
        ({"0003_alone.up.sql": ""}, "0003_alone needs both"),
        ({"0002_twin.up.sql": "", "0002_twin.down.sql": ""}, "0002_twin has the number of another"),
    ],
)
def test_read_migrations_files_that_do_not_fit_are_refused(
    write: Write, changes: dict[str, str], complaint: str
) -> None:
    with pytest.raises(MigrationError, match=complaint):
        read_migrations(write(changes))


def test_command_line_setting_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.delenv("LEDGER_MIGRATION_DATABASE_URL", raising=False)
    assert main(["ledger", "status"]) == 2
    assert "LEDGER_MIGRATION_DATABASE_URL is not set" in capsys.readouterr().err


def test_command_line_unknown_service_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("NOWHERE_MIGRATION_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    assert main(["nowhere", "up"]) == 1
    assert "nowhere" in capsys.readouterr().err
