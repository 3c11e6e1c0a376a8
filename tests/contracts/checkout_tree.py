"""The files of this checkout, as git sees them: what is ignored (generated code, data, environments) is not there."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[str, ...]:
    """Every file that is tracked or about to be, as a path relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(sorted(path for path in set(listing.stdout.split("\0")) if path and (ROOT / path).is_file()))


def python_files(*folders: str) -> list[str]:
    """The Python files below these folders."""
    return [path for path in files() if path.endswith(".py") and path.split("/")[0] in folders]


def read(path: str) -> str:
    """The text of one file."""
    return (ROOT / path).read_text(encoding="utf-8")


def texts() -> Iterator[tuple[str, str]]:
    """Path and text of every file that holds text."""
    for path in files():
        try:
            yield path, read(path)
        except UnicodeDecodeError:
            continue
