"""O1: what happens to the processes of a local stack when they, or their supervisor, die."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deploy.local.ports import free_port, is_port_free
from deploy.local.process import NotReady, Process
from deploy.local.process_record import AlreadyRunning
from deploy.local.supervisor import Supervisor
from tests.deploy.supervised import fake_process


async def never_ready() -> bool:
    return False


def recorded(directory: Path) -> dict[str, dict[str, float]]:
    return dict(json.loads((directory / "processes.json").read_text()))


def test_supervisor_killed_with_sigkill_leaves_nothing_that_blocks_the_next_start(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    command = [sys.executable, "-m", "tests.deploy.supervised", str(tmp_path), *map(str, ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "ready\n"
        killed.kill()
    children = [psutil.Process(int(entry["pid"])) for entry in recorded(tmp_path).values()]
    assert all(child.is_running() for child in children)
    assert not any(is_port_free(port) for port in ports)

    next_one = Supervisor(tmp_path)
    next_one.open()

    assert all(is_port_free(port) for port in ports)
    assert recorded(tmp_path) == {}
    next_one.record.release()


def test_recorded_pid_that_is_another_process_by_now_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        started = psutil.Process(stranger.pid).create_time()
        entry = {"pid": stranger.pid, "started": started - 5}
        (tmp_path / "processes.json").write_text(json.dumps({"ledger": entry}))

        supervisor = Supervisor(tmp_path)
        supervisor.open()

        assert stranger.poll() is None
        supervisor.record.release()
        stranger.kill()


def test_second_supervisor_of_a_directory_is_refused(tmp_path: Path) -> None:
    first = Supervisor(tmp_path)
    first.open()
    with pytest.raises(AlreadyRunning):
        Supervisor(tmp_path).open()
    first.record.release()
    third = Supervisor(tmp_path)
    third.open()
    third.record.release()


async def test_killed_process_comes_back_and_all_stop_in_reverse_order(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.open()
    first, second = (fake_process(supervisor, tmp_path, free_port()) for _ in range(2))
    await supervisor.start([[first], [second]], timeout_s=20)
    pid = first.pid

    await first.kill()
    await first.wait_ready(20)
    assert first.pid not in (None, pid)
    assert recorded(tmp_path)[first.name]["pid"] == first.pid

    await second.kill(stay_down=True)
    assert second.pid is None
    await second.start()
    await second.wait_ready(20)

    started = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - started < 5
    assert (tmp_path / "ended").read_text().split() == [second.name, first.name]
    assert recorded(tmp_path) == {}


async def test_process_that_cannot_start_is_reported_with_what_it_said(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.open()
    broken = Process(
        "broken",
        [sys.executable, "-c", "print('the database is missing'); raise SystemExit(3)"],
        environment={},
        is_ready=never_ready,
        record=supervisor.record,
        log=tmp_path / "broken.log",
    )
    await broken.start()
    with pytest.raises(NotReady, match="the database is missing"):
        await broken.wait_ready(20)
    await broken.stop()
    await supervisor.stop()
