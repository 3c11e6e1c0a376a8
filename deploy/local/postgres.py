"""An embedded PostgreSQL 18 on loopback TCP: as durable and as strict as in production, only small."""

import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from deploy.local.ports import free_port
from deploy.local.postgres_home import PostgresHome, PostgresUnavailable, find_home, remove_home
from deploy.local.postgres_processes import end_processes_of, kill_processes_of, postmaster_of
from deploy.local.process_table import is_alive
from deploy.local.secret import derived_password

__all__ = ["SERVICES", "EmbeddedPostgres", "PostgresUnavailable"]

SERVICES = ("ledger", "vouchers", "checkout")
SUPERUSER = "postgres"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20

CONFIGURATION = """\
# Written at every start by deploy/local/postgres.py.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = '128MB'
max_wal_size = '1GB'
fsync = on
synchronous_commit = on
full_page_writes = on
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_min_messages = warning
log_lock_waits = on
"""

ROLES_OF_A_SERVICE = """
SELECT format('CREATE ROLE %I', role) FROM (VALUES ('{service}_owner'), ('{service}_app')) AS wanted (role)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \\gexec
ALTER ROLE {service}_owner LOGIN PASSWORD '{owner_password}';
ALTER ROLE {service}_app LOGIN PASSWORD '{app_password}';
"""

DATABASE_OF_A_SERVICE = """
SELECT 'CREATE DATABASE {database} OWNER {service}_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO {service}_app;
"""


class EmbeddedPostgres:
    """One PostgreSQL server with a database `<service>` and roles `<service>_owner`, `<service>_app` per service.

    The data stays in `directory` (for root: behind a link, see postgres_home) until `remove`. A start first ends what
    a killed run left behind. Every method blocks; from a coroutine call it through `asyncio.to_thread`.
    """

    def __init__(self, directory: Path, port: int = 0, settings: Mapping[str, str] | None = None) -> None:
        """`directory` is made when missing; port 0 takes a free one at the first start.

        settings: of the server, besides those that it has anyway, such as shared_buffers: 1GB.
        """
        self.directory = directory
        self._settings = settings or {}
        self.port = port
        self._home_found: PostgresHome | None = None
        self._postmaster: psutil.Process | None = None
        # A caller that was cancelled leaves its thread at work: its start must be over before another's stop.
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """The file that holds the server's log."""
        return self._home.log

    @property
    def pid(self) -> int | None:
        """The running server's process id, or None."""
        return self._postmaster.pid if self._postmaster and is_alive(self._postmaster) else None

    def start(self) -> None:
        """Start the server and see to it that roles and databases exist. Raises PostgresUnavailable."""
        with self._lock:
            if not self._home.data.exists():
                self._initialise()
            self.start_server()
            self.run_sql("postgres", "".join(self._role_sql(service) for service in SERVICES))
            for service in SERVICES:
                self.create_database(service, service)

    def start_server(self) -> None:
        """Start the server of an existing cluster, after `kill` on the port it had. Raises PostgresUnavailable."""
        with self._lock:
            end_processes_of(self._home.data, STOP_TIMEOUT_S)
            self.port = self.port or free_port()
            self._start_on(self.port)
            self._postmaster = postmaster_of(self._home.data)

    def is_running(self) -> bool:
        """Whether the server that we started still lives."""
        return self.pid is not None

    def stop(self) -> None:
        """Stop the server: sessions are ended, everything committed is on disk. Does nothing when it is not running."""
        with self._lock:
            end_processes_of(self._home.data, STOP_TIMEOUT_S)

    def kill(self) -> None:
        """Kill the server with SIGKILL as a crash would, and wait until all of it is gone."""
        kill_processes_of(self._home.data)

    def remove(self) -> None:
        """Stop the server and delete all its data."""
        self.stop()
        remove_home(self.directory)
        self._home_found = None

    def create_database(self, database: str, service: str) -> None:
        """Make `database` for the two roles of `service`, unless it exists."""
        self.run_sql("postgres", DATABASE_OF_A_SERVICE.format(database=database, service=service))

    def drop_database(self, database: str) -> None:
        """Delete `database` with all its data, ending the sessions in it."""
        self.run_sql("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE);")

    def run_sql(self, database: str, statements: str) -> str:
        """Run `statements` (psql syntax) as superuser; the unaligned rows. Raises PostgresUnavailable."""
        psql = [self._home.program("psql"), "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-qAt", self._address(database)]
        password = {"PGPASSWORD": self.password(SUPERUSER), "PGCONNECT_TIMEOUT": "10"}
        result = subprocess.run(
            psql, input=statements, env={**os.environ, **password}, capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise PostgresUnavailable(result.stderr.strip())
        return result.stdout

    def url(self, database: str, role: str | None = None) -> str:
        """Connection URL of `database` as `role` (default: `<database>_app`)."""
        role = role or f"{database}_app"
        return f"postgresql://{role}:{self.password(role)}@127.0.0.1:{self.port}/{database}"

    def superuser_url(self, database: str = "postgres") -> str:
        """Connection URL of `database` as superuser."""
        return self.url(database, SUPERUSER)

    def password(self, role: str) -> str:
        """The role's password: derived from the one generated secret, which a file of mode 0600 keeps."""
        return derived_password(self._home.directory / "secret", role)

    def program(self, name: str) -> str:
        """Path of one of PostgreSQL's programs."""
        return self._home.program(name)

    @property
    def _home(self) -> PostgresHome:
        if self._home_found is None:
            self._home_found = find_home(self.directory)
        return self._home_found

    def _role_sql(self, service: str) -> str:
        owner, app = self.password(f"{service}_owner"), self.password(f"{service}_app")
        return ROLES_OF_A_SERVICE.format(service=service, owner_password=owner, app_password=app)

    def _address(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def _initialise(self) -> None:
        """Run initdb in a folder of its own name, renamed when complete: a killed initdb leaves nothing half made."""
        unfinished = self._home.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self._home.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password(SUPERUSER))
        self._home.give(password_file)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = [f"--username={SUPERUSER}", "--auth=scram-sha-256", f"--pwfile={password_file}"]
        try:
            self._home.run("initdb", "-D", str(unfinished), *locale, *access)
        except subprocess.CalledProcessError as failure:
            raise PostgresUnavailable(f"initdb failed:\n{failure.stderr}") from failure
        finally:
            password_file.unlink()
        unfinished.rename(self._home.data)

    def _start_on(self, port: int) -> None:
        others = "".join(f"{name} = '{value}'\n" for name, value in self._settings.items())
        (self._home.data / "postgresql.conf").write_text(CONFIGURATION.format(port=port) + others)
        self._home.log.unlink(missing_ok=True)
        options = ["-D", str(self._home.data), "-l", str(self._home.log), "-w", "-t", str(START_TIMEOUT_S)]
        try:
            self._home.run("pg_ctl", "start", *options)
        except subprocess.CalledProcessError as failure:
            raise PostgresUnavailable(
                f"PostgreSQL did not start on port {port} (for the stack, POSTGRES_PORT):\n{self._log_end()}"
            ) from failure

    def _log_end(self) -> str:
        lines = self._home.log.read_text().splitlines() if self._home.log.exists() else []
        return "\n".join(lines[-10:])
