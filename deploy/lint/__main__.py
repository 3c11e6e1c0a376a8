"""`python -m deploy.lint [--fix-protos]`: run every check, say which failed and which program is missing."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.lint import manifests
from deploy.lint.programs import ProgramMissing, buf, python_program

CHECKOUT = Path(__file__).resolve().parents[2]


class CheckFailed(Exception):
    """A check found something; the message is its report."""


def run(*command: str) -> str:
    """Run one program over the checkout; the last line that it says. Raises CheckFailed."""
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise CheckFailed((result.stdout + result.stderr).rstrip())
    return result.stdout.rstrip().rsplit("\n", 1)[-1]


CHECKS: dict[str, Callable[[], str]] = {
    "ruff check": lambda: run(python_program("ruff"), "check", "."),
    "ruff format": lambda: run(python_program("ruff"), "format", "--check", "."),
    "mypy --strict": lambda: run(python_program("mypy")),
    "buf lint": lambda: run(buf(), "lint"),
    "buf format": lambda: run(buf(), "format", "--diff", "--exit-code", "--path", "protos/quittance"),
    "manifests": manifests.check,
}


def passes(name: str, check: Callable[[], str]) -> bool:
    """Run one check and report on it."""
    started = time.monotonic()
    try:
        summary = check()
    except (CheckFailed, ProgramMissing, manifests.ManifestInvalid) as problem:
        print(f"FAILED   {name}\n{problem}\n", flush=True)
        return False
    print(f"ok       {name:14} {time.monotonic() - started:5.1f} s   {summary}", flush=True)
    return True


def main() -> int:
    """Run all checks, also after one has failed; 1 when any did."""
    if "--fix-protos" in sys.argv[1:]:
        run(buf(), "format", "--write", "--path", "protos/quittance")
        return 0
    results = [passes(name, check) for name, check in CHECKS.items()]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
