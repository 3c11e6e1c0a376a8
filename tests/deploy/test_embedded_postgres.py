"""O1: the embedded PostgreSQL keeps its data and its limits."""

import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.postgres_processes import processes_of


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.remove()


async def run(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_server_killed_with_sigkill_starts_again_with_all_that_was_committed(postgres: EmbeddedPostgres) -> None:
    owner = postgres.url("ledger", "ledger_owner")
    await run(owner, "CREATE TABLE kept AS SELECT 38 AS value")
    port = postgres.port

    postgres.kill()
    assert not postgres.is_running()
    postgres.start_server()

    assert postgres.port == port
    assert await run(owner, "SELECT value FROM kept") == 38


async def test_server_that_a_killed_run_left_is_ended_by_the_next_start(postgres: EmbeddedPostgres) -> None:
    left = postgres.pid
    next_run = EmbeddedPostgres(postgres.directory, postgres.port)

    next_run.start()

    assert not postgres.is_running()
    assert next_run.pid not in (None, left)
    assert await run(next_run.url("checkout"), "SELECT current_user::text") == "checkout_app"
    postgres.start_server()


async def test_app_role_owns_nothing_and_reaches_only_its_own_database(postgres: EmbeddedPostgres) -> None:
    app = postgres.url("vouchers")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(app, "CREATE TABLE mine (value bigint)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(postgres.url("ledger", "vouchers_app"), "SELECT 1")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await run(app.replace(postgres.password("vouchers_app"), "guess"), "SELECT 1")


async def test_every_commit_is_durable_and_only_loopback_is_listened_on(postgres: EmbeddedPostgres) -> None:
    settings = ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "unix_socket_directories")
    values = [await run(postgres.superuser_url(), f"SHOW {name}") for name in settings]
    assert values == ["on", "on", "on", "127.0.0.1", ""]
    secret = postgres.directory / "postgres" / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_stopped_server_leaves_no_process_and_removed_one_no_data(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        data = (tmp_path / "postgres").resolve() / "data"
        assert processes_of(data)
    assert not processes_of(data)
    server.remove()
    assert not data.exists()
