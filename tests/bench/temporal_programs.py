"""Temporal's server for production and its schema tool: built once by Go, kept in the cache that checkouts share."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local.temporal_cli import TemporalUnavailable, cache_folder, report_on_terminal

VERSION = "1.32.0"
_MODULE = f"go.temporal.io/server@v{VERSION}"
# Package below the module, and what the program is called that Go makes of it.
_SERVER = ("cmd/server", "server")
_SQL_TOOL = ("cmd/tools/sql", "sql")
_VISIBILITY_SCHEMA = "schema/postgresql/v12/visibility/schema.sql"


@dataclass(frozen=True)
class TemporalPrograms:
    """Paths. `visibility_schema` is Temporal's own without the one extension that a small PostgreSQL may lack."""

    server: Path
    sql_tool: Path
    visibility_schema: Path


def find_programs() -> TemporalPrograms:
    """From the cache, or built with Go, which takes minutes. Raises TemporalUnavailable."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    found = TemporalPrograms(
        server=folder / f"temporal-server-{VERSION}",
        sql_tool=folder / f"temporal-sql-tool-{VERSION}",
        visibility_schema=folder / f"temporal-visibility-{VERSION}.sql",
    )
    with (folder / "temporal-server.lock").open("w") as lock:
        # Of two checkouts one builds and the other waits.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for target, (package, program) in ((found.server, _SERVER), (found.sql_tool, _SQL_TOOL)):
            if not os.access(target, os.X_OK):
                _build(package, program, target)
        if not found.visibility_schema.exists():
            _write(found.visibility_schema, without_btree_gin((_module_folder() / _VISIBILITY_SCHEMA).read_text()))
    return found


def without_btree_gin(schema: str) -> str:
    """The extension only serves to have the namespace in front of lists in an index."""
    extension = re.compile(r"\ADO LANGUAGE .*?\n\$\$;\n", re.DOTALL)
    return extension.sub("", schema).replace("USING GIN (namespace_id, ", "USING GIN (")


def _build(package: str, program: str, target: Path) -> None:
    report_on_terminal(f"Building {target.name} with Go: minutes, once on this machine.")
    path, _, version = _MODULE.partition("@")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as folder:
        _go("install", "-ldflags", "-s -w", f"{path}/{package}@{version}", GOBIN=folder)
        (Path(folder) / program).replace(target)


def _module_folder() -> Path:
    folder: str = json.loads(_go("mod", "download", "-json", _MODULE))["Dir"]
    return Path(folder)


def _go(*arguments: str, **environment: str) -> str:
    go = shutil.which("go")
    if go is None:
        raise TemporalUnavailable("Go, which could build Temporal's server for production, is not installed.")
    run = subprocess.run(
        [go, *arguments], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=False
    )
    if run.returncode != 0:
        raise TemporalUnavailable(f"go {' '.join(arguments)} failed")
    return run.stdout


def _write(target: Path, text: str) -> None:
    """Whole or not at all."""
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_text(text)
    unfinished.replace(target)
