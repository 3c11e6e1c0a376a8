"""O1: where Temporal's program comes from, in which order, without touching the network."""

import os
import threading
import time
from pathlib import Path

import pytest

from deploy.local import temporal_cli
from deploy.local.temporal_cli import TemporalUnavailable, find_temporal

REAL_PATH = os.environ["PATH"]


class Machine:
    """A machine of which we decide what is installed on it. Every fake program counts its runs."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "path"
        self.cache = folder / "cache" / "quittance"
        self.runs = folder / "runs"
        self.reports: list[str] = []
        for place in (self.path, self.cache):
            place.mkdir(parents=True)

    def program(self, place: Path, script: str = "") -> Path:
        place.write_text(f"#!/bin/sh\nPATH={REAL_PATH}\necho run >> {self.runs}\n{script}\n")
        place.chmod(0o755)
        return place

    def find(self) -> Path:
        return find_temporal(self.reports.append)

    def count_runs(self) -> int:
        return len(self.runs.read_text().split()) if self.runs.exists() else 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.delenv("TEMPORAL_CLI", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(machine.cache.parent))
    monkeypatch.setenv("PATH", str(machine.path))
    monkeypatch.setattr(temporal_cli, "DOWNLOAD", ("/bin/sh", "-c", "exit 1"))
    return machine


def test_program_named_by_the_setting_comes_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.program(machine.path / "temporal")
    named = machine.program(machine.cache / "elsewhere")
    monkeypatch.setenv("TEMPORAL_CLI", str(named))
    assert machine.find() == named


def test_setting_that_names_no_program_is_an_error_rather_than_ignored(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.program(machine.path / "temporal")
    monkeypatch.setenv("TEMPORAL_CLI", "/nowhere/temporal")
    with pytest.raises(TemporalUnavailable, match="/nowhere/temporal"):
        machine.find()


def test_program_on_the_path_comes_before_the_cache_and_the_cache_before_a_download(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporal_cli, "DOWNLOAD", (str(machine.program(machine.path / "download")),))
    cached = machine.program(machine.cache / "temporal-1.5.1")
    assert machine.find() == cached
    on_path = machine.program(machine.path / "temporal")
    assert machine.find() == on_path
    assert machine.count_runs() == 0


def test_download_is_kept_in_the_cache_and_done_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'printf "#!/bin/sh\\n" > "$1/temporal-sdk"; chmod +x "$1/temporal-sdk"'
    monkeypatch.setattr(temporal_cli, "DOWNLOAD", (str(machine.program(machine.path / "download", script)),))
    machine.program(machine.path / "go", "exit 1")
    found = machine.find()
    assert found == machine.find()
    assert os.access(found, os.X_OK)
    assert found.parent == machine.cache
    assert machine.count_runs() == 1


def test_download_that_does_not_move_is_given_up_and_go_builds(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporal_cli, "DOWNLOAD", ("/bin/sh", "-c", "exec /bin/sleep 60"))
    monkeypatch.setattr(temporal_cli, "DOWNLOAD_STALLED_AFTER_S", 0.3)
    machine.program(machine.path / "go", 'touch "$GOBIN/temporal"; chmod +x "$GOBIN/temporal"')
    started = time.monotonic()
    assert machine.find() == machine.cache / "temporal-1.5.1"
    assert time.monotonic() - started < 5
    assert any("4 minutes" in report for report in machine.reports)


def test_two_at_once_build_it_once_and_the_second_waits(machine: Machine) -> None:
    machine.program(machine.path / "go", 'sleep 0.5; touch "$GOBIN/temporal"; chmod +x "$GOBIN/temporal"')
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(machine.find())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [machine.cache / "temporal-1.5.1"] * 2
    assert machine.count_runs() == 1


def test_nothing_works_says_what_could_be_done(machine: Machine) -> None:
    with pytest.raises(TemporalUnavailable, match=r"PATH.*TEMPORAL_CLI.*network.*Go"):
        machine.find()
