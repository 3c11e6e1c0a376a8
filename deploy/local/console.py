"""The logs of several processes on one terminal: each line with the coloured name of who wrote it."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

OnLine = Callable[[str, str], None]

COLOURS = (36, 33, 35, 32, 34, 31, 96, 93)
NAME_WIDTH = 12
FOLLOW_EVERY_S = 0.1


class Console:
    """Prints prefixed lines; colours only on a terminal, and not when NO_COLOR is set."""

    def __init__(self) -> None:
        """Colours are given out in the order in which the names first speak."""
        self._colours: dict[str, int] = {}
        self._is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def line(self, name: str, text: str) -> None:
        """Print one line of the process `name`."""
        prefix = f"{name:{NAME_WIDTH}} │"
        if self._is_coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            prefix = f"\033[{colour}m{prefix}\033[0m"
        print(f"{prefix} {text}", flush=True)


class LogFollower:
    """Hands every complete line that is appended to some log files to `on_line`, with the name of its file."""

    def __init__(self, folder: Path, on_line: OnLine) -> None:
        """Follows `<folder>/<name>.log`, also files that appear later; what they hold now is left out."""
        self._folder = folder
        self._on_line = on_line
        self._positions = {path: path.stat().st_size for path in folder.glob("*.log")}

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self.read_new_lines()
            await asyncio.sleep(FOLLOW_EVERY_S)

    def read_new_lines(self) -> None:
        """Hand over what has been written since the last time."""
        for path in sorted(self._folder.glob("*.log")):
            with path.open("rb") as log:
                log.seek(self._positions.get(path, 0))
                complete, newline, _ = log.read().rpartition(b"\n")
            self._positions[path] = self._positions.get(path, 0) + len(complete) + len(newline)
            for line in complete.decode(errors="replace").splitlines():
                self._on_line(path.stem, line)
