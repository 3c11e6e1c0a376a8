"""Brings a service's database to the state that its code expects, or back.

    python -m services.runtime.migrations <service> up|down|status [--dry-run] [--steps N]

Files are services/<service>/sql/migrations/NNNN_name.up.sql and .down.sql, run in order, each in a transaction of its
own. What was applied is written down with a checksum. `{app_role}` in a file stands for the role that the service
runs as. <SERVICE>_MIGRATION_DATABASE_URL connects as the owner, <SERVICE>_APP_ROLE defaults to <service>_app.
"""

import argparse
import asyncio
import hashlib
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import asyncpg

from services.runtime.database import Connection

# Two at once: the second waits for the first, then finds nothing to do.
_ADVISORY_LOCK = 0x71756974
_ADVISORY_LOCK_WAIT_S = 60
# A migration that waits for a busy table makes everybody queue behind it, so it gives up and is tried again later.
_LOCK_TIMEOUT_MS = 5000
_FILE_NAME = re.compile(r"^(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.(?P<direction>up|down)\.sql$")

_TABLE = """
create table if not exists quittance_migrations (
    version    integer primary key,
    name       text not null,
    checksum   bytea not null,
    applied_at timestamptz not null default clock_timestamp()
)
"""


class MigrationError(Exception):
    """The files and the database do not fit together; the text names the migration."""


@dataclass(frozen=True)
class Migration:
    """One step: how to go there and how to come back, with `{app_role}` still in it."""

    version: int
    name: str
    up: str
    down: str

    @property
    def label(self) -> str:
        """What it is called in files and messages."""
        return f"{self.version:04}_{self.name}"

    @property
    def checksum(self) -> bytes:
        """The digest that tells whether the file changed after it was applied."""
        return hashlib.sha256(self.up.encode()).digest()


@dataclass(frozen=True)
class State:
    """One migration as `status` shows it."""

    label: str
    is_applied: bool


def read_migrations(directory: Path) -> list[Migration]:
    """The migrations in a directory, in order. Raises MigrationError for a file that does not fit."""
    texts: dict[tuple[int, str], dict[str, str]] = {}
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.match(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not named NNNN_name.up.sql or NNNN_name.down.sql")
        directions = texts.setdefault((int(match["version"]), match["name"]), {})
        directions[match["direction"]] = path.read_text(encoding="utf-8")
    return list(_paired(texts))


def migrations_of(service: str) -> list[Migration]:
    """The migrations of services/<service>."""
    return read_migrations(Path(str(files(f"services.{service}") / "sql" / "migrations")))


async def migrate_up(
    url: str, migrations: Sequence[Migration], app_role: str, *, steps: int | None = None, dry_run: bool = False
) -> list[str]:
    """Applies what is missing, `steps` of it at most; the labels in order. A dry run changes nothing."""
    async with _connected(url) as connection:
        applied = await _applied(connection)
        _check(migrations, applied)
        missing = [migration for migration in migrations if migration.version not in applied][:steps]
        for migration in missing if not dry_run else ():
            async with connection.transaction():
                await connection.execute(_TABLE)
                await _run(connection, migration.up, app_role)
                await connection.execute(
                    "insert into quittance_migrations (version, name, checksum) values ($1, $2, $3)",
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
        return [migration.label for migration in missing]


async def migrate_down(
    url: str, migrations: Sequence[Migration], app_role: str, *, steps: int = 1, dry_run: bool = False
) -> list[str]:
    """Takes back the last `steps` applied; the labels in order. A dry run changes nothing."""
    async with _connected(url) as connection:
        applied = await _applied(connection)
        _check(migrations, applied)
        newest_first = [migration for migration in reversed(migrations) if migration.version in applied][:steps]
        for migration in newest_first if not dry_run else ():
            async with connection.transaction():
                await _run(connection, migration.down, app_role)
                await connection.execute("delete from quittance_migrations where version = $1", migration.version)
        return [migration.label for migration in newest_first]


async def migration_status(url: str, migrations: Sequence[Migration]) -> list[State]:
    """Every migration and whether it is applied. Raises MigrationError when files and database do not fit."""
    async with _connected(url) as connection:
        applied = await _applied(connection)
    _check(migrations, applied)
    return [State(migration.label, migration.version in applied) for migration in migrations]


def _paired(texts: dict[tuple[int, str], dict[str, str]]) -> Iterator[Migration]:
    last_version = 0
    for (version, name), directions in sorted(texts.items()):
        migration = Migration(version, name, directions.get("up", ""), directions.get("down", ""))
        if version == last_version:
            raise MigrationError(f"{migration.label} has the number of another migration")
        if len(directions) != 2:
            raise MigrationError(f"{migration.label} needs both an up and a down file")
        last_version = version
        yield migration


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    """A connection that is alone in migrating this database; both the lock and it end together."""
    connection: Connection = await asyncpg.connect(url, server_settings={"application_name": "quittance-migrations"})
    try:
        await connection.execute(f"set lock_timeout = '{_ADVISORY_LOCK_WAIT_S}s'")
        await connection.execute("select pg_advisory_lock($1)", _ADVISORY_LOCK)
        await connection.execute(f"set lock_timeout = '{_LOCK_TIMEOUT_MS}ms'")
        yield connection
    finally:
        await connection.close()


async def _applied(connection: Connection) -> dict[int, tuple[str, bytes]]:
    """Label and checksum of what is applied, by version."""
    if await connection.fetchval("select to_regclass('quittance_migrations')") is None:
        return {}
    rows = await connection.fetch("select version, name, checksum from quittance_migrations order by version")
    return {row["version"]: (f"{row['version']:04}_{row['name']}", row["checksum"]) for row in rows}


def _check(migrations: Sequence[Migration], applied: dict[int, tuple[str, bytes]]) -> None:
    """Refuses to touch a database whose past is not the one in the files."""
    known = {migration.version: migration for migration in migrations}
    for version, (label, checksum) in applied.items():
        if version not in known or known[version].label != label:
            raise MigrationError(f"{label} is applied but there is no such file")
        if known[version].checksum != checksum:
            raise MigrationError(f"{label} was changed after it was applied")
    newest = max(applied, default=0)
    for migration in migrations:
        if migration.version < newest and migration.version not in applied:
            raise MigrationError(f"{migration.label} was added before {applied[newest][0]}, which is applied")


async def _run(connection: Connection, script: str, app_role: str) -> None:
    await connection.execute(script.replace("{app_role}", '"' + app_role.replace('"', '""') + '"'))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.runtime.migrations", description=__doc__.split("\n")[0])
    parser.add_argument("service")
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    parser.add_argument("--steps", type=int, help="how many at most (up: all, down: 1)")
    return parser.parse_args(arguments)


async def _execute(options: argparse.Namespace) -> list[str]:
    prefix = options.service.upper()
    url = os.environ[f"{prefix}_MIGRATION_DATABASE_URL"]
    app_role = os.environ.get(f"{prefix}_APP_ROLE", f"{options.service}_app")
    migrations = migrations_of(options.service)
    if options.command == "status":
        states = await migration_status(url, migrations)
        return [f"{'applied' if state.is_applied else 'missing'}  {state.label}" for state in states]
    verb = "would run" if options.dry_run else "ran"
    if options.command == "up":
        labels = await migrate_up(url, migrations, app_role, steps=options.steps, dry_run=options.dry_run)
    else:
        labels = await migrate_down(url, migrations, app_role, steps=options.steps or 1, dry_run=options.dry_run)
    return [f"{verb} {options.command} {label}" for label in labels] or ["nothing to do"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when it worked."""
    options = _parse(arguments)
    try:
        lines = asyncio.run(_execute(options))
    except KeyError as error:
        sys.stderr.write(f"{error.args[0]} is not set\n")
        return 2
    except (MigrationError, ModuleNotFoundError, asyncpg.PostgresError, OSError) as error:
        sys.stderr.write(f"{options.service}: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write("".join(f"{options.service}: {line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
