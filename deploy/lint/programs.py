"""The programs that lint needs beside Python's, and how to have them when they are missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.local.temporal_cli import cache_folder

NODE_FOLDER = Path(__file__).parent
NODE_LOCK = NODE_FOLDER / "package-lock.json"
NODE_INSTALLED = NODE_FOLDER / "node_modules" / ".package-lock.json"


class ProgramMissing(Exception):
    """A program is not on this machine; the message names it and what to do."""


def python_program(name: str) -> str:
    """A program of our own virtual environment."""
    return str(Path(sys.executable).parent / name)


def buf() -> str:
    """buf, installed from npm in its locked version on first use. Raises ProgramMissing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise ProgramMissing("Node.js with npm is missing: it brings buf, which checks the protos")
    if not NODE_INSTALLED.exists() or NODE_INSTALLED.stat().st_mtime < NODE_LOCK.stat().st_mtime:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        result = subprocess.run(command, cwd=NODE_FOLDER, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise ProgramMissing(f"buf is missing and `npm ci` could not install it:\n{result.stderr}")
        NODE_INSTALLED.touch()
    return str(NODE_FOLDER / "node_modules" / ".bin" / "buf")


def kustomize() -> list[str]:
    """The command that renders a kustomization: kubectl's, or kustomize itself. Raises ProgramMissing."""
    kubectl = shutil.which("kubectl")
    if kubectl:
        return [kubectl, "kustomize"]
    cached = cache_folder() / "kustomize"
    program = shutil.which("kustomize") or (str(cached) if os.access(cached, os.X_OK) else None)
    if program is None:
        raise ProgramMissing(
            "kubectl or kustomize is missing: it renders deploy/k8s "
            "(with Go: `go install sigs.k8s.io/kustomize/kustomize/v5@v5.6.0`)"
        )
    return [program, "build"]
