"""A service as a process: what it logs and how it ends."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.runtime.grpc_errors import refusal_of
from services.runtime.interceptor import WORKFLOW_ID_KEY
from tests.runtime.toy_service import NAME, SECRET, PlayRequest

REPOSITORY = Path(__file__).parent.parent.parent


async def start(**environment: str) -> tuple[Process, str]:
    """The process and the line that says where it listens."""
    variables = {**os.environ, "ADDRESS": "127.0.0.1:0", "DRAIN_GRACE_S": "1", **environment}
    arguments = (sys.executable, "-m", "tests.runtime.toy_main")
    process = await asyncio.create_subprocess_exec(*arguments, cwd=REPOSITORY, env=variables, stdout=PIPE)
    assert process.stdout
    async with asyncio.timeout(60):
        async for line in process.stdout:
            if b"listening" in line:
                return process, line.decode()
    raise AssertionError("the process ended without listening")


async def stop(process: Process) -> str:
    """What it wrote from listening to its end."""
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        written, _ = await process.communicate()
    assert process.returncode == 0
    return written.decode()


async def play(channel: grpc.aio.Channel, name: str, **options: Any) -> None:
    await channel.unary_unary(f"/{NAME}/Play")(PlayRequest(name=name).SerializeToString(), **options)


async def test_log_of_a_call_is_one_line_with_ids_and_without_content() -> None:
    """C-3: no content in logs, not even in those about a bug."""
    process, listening = await start()
    async with grpc.aio.insecure_channel(json.loads(listening)["address"]) as channel:
        await play(channel, "planted-mark", metadata=[(WORKFLOW_ID_KEY, "order-1")])
        with pytest.raises(grpc.aio.AioRpcError) as bug:
            await play(channel, "bug")
    written = await stop(process)
    lines = [json.loads(line) for line in written.splitlines()]
    calls = [(line["status"], line.get("workflow_id")) for line in lines if line["event"] == "call"]
    assert calls == [("OK", "order-1"), ("INTERNAL", None)]
    (failed,) = [line for line in lines if line["event"] == "call_failed"]
    assert failed["reference"] == refusal_of(bug.value).metadata["reference"]
    assert failed["causes"] == ["ValueError"]
    assert lines[-1]["event"] == "stopped"
    assert "planted-mark" not in written
    assert SECRET not in written
