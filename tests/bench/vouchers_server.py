"""Vouchers for one benchmark: PostgreSQL and a server process of their own, and loads on one code."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from quittance.money.v1 import money_pb2
from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2, codes_pb2
from quittance.vouchers.v1.campaigns_pb2_grpc import CampaignsServiceStub
from quittance.vouchers.v1.codes_pb2_grpc import CodesServiceStub
from services.runtime.ids import new_id
from services.runtime.migrations import migrate_up, migrations_of
from tests.bench.report import BUILD

_START_TIMEOUT_S = 30
_PLENTY = 1_000_000_000


@dataclass(frozen=True)
class Measured:
    """What came out of one load; CPU times are of the whole load."""

    count: int
    seconds: float
    server_cpu_s: float
    postgres_cpu_s: float
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0

    @property
    def rate(self) -> float:
        """Customers served a second."""
        return self.count / self.seconds


class VouchersUnderTest:
    """One database and one server process."""

    def __init__(self, postgres: EmbeddedPostgres, address: str, server: subprocess.Popen[bytes]) -> None:
        self.postgres = postgres
        self._address = address
        self._server = psutil.Process(server.pid)

    @property
    def address(self) -> str:
        """host:port."""
        return self._address

    async def hot_code(self) -> str:
        """A code with every limit set and none within reach: 12.345 off, for an order of 30 at least."""
        campaign = campaign_pb2.Campaign(
            campaign_id=str(new_id()),
            name="Hot",
            amount_off=campaign_pb2.AmountOffEffect(amount=money_pb2.Money(amount_minor=12_345, currency="OMR")),
            uses_max=_PLENTY,
            order_minimum_minor=30_000,
        )
        code = f"HOT-{new_id().hex[-12:].upper()}"
        voucher = codes_pb2.Voucher(
            voucher_id=str(new_id()), campaign_id=campaign.campaign_id, code=code, uses_max=_PLENTY
        )
        async with grpc.aio.insecure_channel(self._address) as channel:
            await CampaignsServiceStub(channel).CreateCampaign(campaigns_pb2.CreateCampaignRequest(campaign=campaign))
            await CodesServiceStub(channel).CreateVoucher(codes_pb2.CreateVoucherRequest(voucher=voucher))
        return code

    async def load(self, shape: str, code: str, *, callers: int = 64, rate: float = 0, seconds: float) -> Measured:
        """A load on the code. shape: redeem, redeem_confirm or validate. `rate`: customers a second; 0: all it can."""
        words = (self._address, shape, code, callers, rate, seconds)
        server_s, postgres_s = self._cpu()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.vouchers_load", *(str(word) for word in words)),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the load {shape} failed")
        server_after_s, postgres_after_s = self._cpu()
        done = json.loads(said)
        del done["cpu_s"]
        return Measured(**done, server_cpu_s=server_after_s - server_s, postgres_cpu_s=postgres_after_s - postgres_s)

    def _cpu(self) -> tuple[float, float]:
        """CPU seconds so far of the server and of all of PostgreSQL."""
        postmaster = psutil.Process(self.postgres.pid)
        of_postgres = [postmaster, *postmaster.children(recursive=True)]
        return _cpu_of(self._server), sum(map(_cpu_of, of_postgres))


def _cpu_of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _server(settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "services.vouchers.main"], env={**os.environ, **settings})


@asynccontextmanager
async def running_vouchers() -> AsyncIterator[VouchersUnderTest]:
    """Below build/, not in the system's temporary folder: that may be memory, where a sync costs nothing."""
    BUILD.mkdir(exist_ok=True)
    async with AsyncExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD)))
        postgres = EmbeddedPostgres(directory)
        exits.callback(postgres.remove)
        await asyncio.to_thread(postgres.start)
        await migrate_up(postgres.url("vouchers", "vouchers_owner"), migrations_of("vouchers"), "vouchers_app")
        address = f"127.0.0.1:{free_port()}"
        settings = {
            "VOUCHERS_DATABASE_URL": postgres.url("vouchers"),
            "VOUCHERS_ADDRESS": address,
            "LOG_LEVEL": "WARNING",
            # Nothing by itself while it is measured.
            "VOUCHERS_VERIFY_INTERVAL_S": "0",
        }
        server = exits.enter_context(_server(settings))
        exits.callback(server.terminate)
        async with asyncio.timeout(_START_TIMEOUT_S), grpc.aio.insecure_channel(address) as channel:
            await channel.channel_ready()
        yield VouchersUnderTest(postgres, address, server)
