"""`python -m tests.deploy.supervised DIRECTORY PORT...`: a supervisor over one fake process per port, until killed.

The fake process is this module too: `python -m tests.deploy.supervised serve NAME PORT DIRECTORY`. It serves
gRPC health and writes its name into DIRECTORY/ended when it is asked to stop.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from deploy.local.process import Process
from deploy.local.readiness import grpc_says_serving
from deploy.local.supervisor import Supervisor


def fake_process(supervisor: Supervisor, directory: Path, port: int) -> Process:
    name = f"fake-{port}"
    return Process(
        name,
        [sys.executable, "-m", "tests.deploy.supervised", "serve", name, str(port), str(directory)],
        environment=os.environ,
        is_ready=grpc_says_serving(f"127.0.0.1:{port}"),
        record=supervisor.record,
        log=directory / f"{name}.log",
    )


async def supervise(directory: Path, ports: list[int]) -> None:
    supervisor = Supervisor(directory)
    supervisor.open()
    await supervisor.start([[fake_process(supervisor, directory, port)] for port in ports], timeout_s=20)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def serve(name: str, port: str, directory: Path) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    asked_to_stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked_to_stop.set)
    await asked_to_stop.wait()
    with (directory / "ended").open("a") as ended:
        ended.write(f"{name}\n")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(sys.argv[2], sys.argv[3], Path(sys.argv[4])))
    else:
        asyncio.run(supervise(Path(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
