"""O1: `make help` knows every target."""

import re
import subprocess
from pathlib import Path

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"


def test_help_lists_every_target_with_what_it_does() -> None:
    targets = re.findall(r"^\.PHONY: (\S+)", MAKEFILE.read_text(), re.MULTILINE)
    help_text = subprocess.run(["make", "help"], cwd=MAKEFILE.parent, capture_output=True, text=True, check=True).stdout
    listed = dict(line.split(maxsplit=1) for line in help_text.splitlines() if not line.startswith("make"))
    assert sorted(listed) == sorted(targets)
    assert {"demo", "test", "gen", "lint", "bench", "unwind", "help"} <= listed.keys()
