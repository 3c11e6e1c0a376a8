"""Finds Temporal's command line program, or gets it once and keeps it in the cache that all checkouts share.

`python -m deploy.local.temporal_cli` does it ahead of everything else, where the user sees what takes so long.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Newer versions of the command line program cannot be installed by `go install`: their go.mod replaces modules.
BUILT_VERSION = "1.5.1"
GO_PACKAGE = f"github.com/temporalio/cli/cmd/temporal@v{BUILT_VERSION}"
DOWNLOAD = (sys.executable, "-m", "deploy.local.temporal_download")
DOWNLOAD_STALLED_AFTER_S = 6.0
PROGRESS_EVERY_S = 30.0

Report = Callable[[str], None]


class TemporalUnavailable(Exception):
    """Temporal's server cannot be had or does not start; the message says why and what to do."""


def cache_folder() -> Path:
    """The folder for binaries that all checkouts of one user share."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "quittance"


def report_on_terminal(text: str) -> None:
    """Tell the user at once what takes long."""
    print(text, file=sys.stderr, flush=True)


def find_temporal(report: Report = report_on_terminal) -> Path:
    """Temporal's program: TEMPORAL_CLI, PATH, cache, official download, `go install`; the first that there is.

    Raises TemporalUnavailable: none of them works, or TEMPORAL_CLI names no program.
    """
    named = os.environ.get("TEMPORAL_CLI")
    if named:
        return _named_program(named)
    on_path = shutil.which("temporal")
    if on_path:
        return Path(on_path)
    return _cached_program() or _get_once(report)


def _named_program(named: str) -> Path:
    program = shutil.which(named)
    if program is None:
        raise TemporalUnavailable(f"TEMPORAL_CLI is {named!r}, which is no executable file")
    return Path(program)


def _built_path() -> Path:
    return cache_folder() / f"temporal-{BUILT_VERSION}"


def _downloaded_path() -> Path:
    return cache_folder() / "temporal-downloaded"


def _cached_program() -> Path | None:
    candidates = (_built_path(), _downloaded_path())
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def _get_once(report: Report) -> Path:
    """Download or build while holding the cache's lock, so that of two checkouts one works and the other waits."""
    with _cache_lock(report):
        program = _cached_program() or _download(report) or _build(report)
    if program is None:
        raise TemporalUnavailable(
            "Temporal's command line program is needed and could not be had. Either put `temporal` on PATH, or name "
            "it in TEMPORAL_CLI, or allow network access for its download, or install Go to have it built."
        )
    return program


@contextlib.contextmanager
def _cache_lock(report: Report) -> Iterator[None]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "temporal.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Another process is getting Temporal's command line program; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(report: Report) -> Path | None:
    """The official download that the SDK offers; None when nothing arrives for a few seconds."""
    report("Downloading Temporal's command line program ...")
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="download-") as name:
        folder = Path(name)
        download = subprocess.Popen(
            [*DOWNLOAD, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        finished = _wait_while_growing(download, folder)
        program = next((path for path in folder.iterdir() if path.is_file() and os.access(path, os.X_OK)), None)
        if finished and program is not None:
            return program.replace(_downloaded_path())
    report("The download does not work from here.")
    return None


def _wait_while_growing(download: subprocess.Popen[bytes], folder: Path) -> bool:
    """Wait for the download; end it as soon as its folder has not grown for a while. True when it succeeded."""
    size, last_growth = 0, time.monotonic()
    while download.poll() is None and time.monotonic() - last_growth < DOWNLOAD_STALLED_AFTER_S:
        time.sleep(0.1)
        size_now = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        if size_now != size:
            size, last_growth = size_now, time.monotonic()
    _end_session(download)
    return download.returncode == 0


def _build(report: Report) -> Path | None:
    """Build it with Go; None when there is no Go or the build fails."""
    go = shutil.which("go")
    if go is None:
        report("Go, which could build Temporal's command line program, is not installed.")
        return None
    report(f"Building Temporal's command line program {BUILT_VERSION} with Go: about 4 minutes, once on this machine.")
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="build-") as folder:
        build = subprocess.Popen(
            [go, "install", "-ldflags", "-s -w", GO_PACKAGE],
            env={**os.environ, "GOBIN": folder},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        _wait_for_build(build, report)
        if build.returncode == 0:
            return (Path(folder) / "temporal").replace(_built_path())
    report("The build failed.")
    return None


def _wait_for_build(build: subprocess.Popen[bytes], report: Report) -> None:
    started = time.monotonic()
    try:
        while True:
            try:
                build.wait(PROGRESS_EVERY_S)
            except subprocess.TimeoutExpired:
                report(f"  still building, {time.monotonic() - started:.0f} s")
            else:
                return
    finally:
        _end_session(build)


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all that it started, unless it has ended by itself."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    try:
        find_temporal()
    except TemporalUnavailable as problem:
        sys.exit(str(problem))
