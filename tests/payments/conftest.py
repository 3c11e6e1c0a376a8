"""One sandbox provider and one real checkout for most of these tests, and one client of it as checkout has it."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from deploy.local.postgres import EmbeddedPostgres
from services.checkout.payments.sandbox import SandboxProvider
from tests.payments.sandbox_process import Receiver, SandboxProcess
from tests.payments.till import Till, opened_till

# A webhook may be of 1 MiB, and there are many.
_GROWTH_BYTES_MAX = 64 * 1024 * 1024


@pytest.fixture(scope="session")
async def receiver_at() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    application = web.Application()
    application.add_routes([web.post("/webhooks/sandbox", receiver.answer)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield receiver, f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/sandbox"
    await runner.cleanup()


@pytest.fixture
def receiver(receiver_at: tuple[Receiver, str]) -> Receiver:
    receiver_at[0].status = 200
    return receiver_at[0]


@pytest.fixture(scope="session")
async def shared_process(
    receiver_at: tuple[Receiver, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), receiver_at[1])
    await process.start()
    yield process
    await process.stop()


@pytest.fixture
async def process(shared_process: SandboxProcess, receiver: Receiver) -> AsyncIterator[SandboxProcess]:
    yield shared_process
    await shared_process.set_mode("ok")


@pytest.fixture
async def provider(process: SandboxProcess) -> AsyncIterator[SandboxProvider]:
    client = process.client()
    yield client
    await client.close()


@pytest.fixture(scope="package")
async def till(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Till]:
    """Whatever is sent, it is the same process afterwards, has not grown, and says of nothing that it went wrong."""
    async with opened_till(postgres, tmp_path_factory.mktemp("till")) as opened:
        before = opened.checkout.memory_bytes
        yield opened
        assert opened.checkout.is_alive
        assert opened.checkout.memory_bytes - before < _GROWTH_BYTES_MAX
        # Logged of money that has to go back.
        assert set(opened.checkout.errors()) <= {"webhook_needs_a_person", "payment_finding"}
