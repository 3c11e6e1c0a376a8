"""Checkout for these tests: migrated database, both its servers in this process, the real sandbox provider.

There is no Temporal: what needs one is tested with the whole stack. Ledger and vouchers are the real ones.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
import asyncpg
import grpc
import pytest

from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from quittance.checkout.v1.checkout_pb2_grpc import CheckoutServiceStub
from quittance.checkout.v1.order_steps_pb2_grpc import OrderStepsServiceStub
from quittance.checkout.v1.payments_pb2_grpc import PaymentsServiceStub, PaymentStepsServiceStub
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from quittance.vouchers.v1.campaigns_pb2_grpc import CampaignsServiceStub
from quittance.vouchers.v1.codes_pb2_grpc import CodesServiceStub
from services.checkout.main import CheckoutSettings, serving
from services.ledger.main import LedgerSettings
from services.ledger.main import serving as serving_ledger
from services.runtime.migrations import migrate_up, migrations_of
from services.runtime.temporal import TemporalSettings
from services.vouchers.main import VouchersSettings
from services.vouchers.main import serving as serving_vouchers
from tests.checkout.shop import Shop
from tests.checkout.soundness import assert_checkout_sound
from tests.checkout.till import Till
from tests.checkout.webhook_sender import WebhookSender
from tests.payments.sandbox_process import API_KEY, SECRET, SandboxProcess

DATABASE = "checkout_tests"


class Peers(NamedTuple):
    """The services that checkout reads from."""

    ledger: LedgerServiceStub
    campaigns: CampaignsServiceStub
    codes: CodesServiceStub
    ledger_address: str
    vouchers_address: str


class Checkout(NamedTuple):
    """A checkout that serves."""

    orders: CheckoutServiceStub
    steps: OrderStepsServiceStub
    payments: PaymentsServiceStub
    payment_steps: PaymentStepsServiceStub
    http_url: str


@asynccontextmanager
async def migrated(postgres: EmbeddedPostgres, database: str, service: str) -> AsyncIterator[str]:
    """A database of this service; gives its URL for the service's role."""
    await asyncio.to_thread(postgres.create_database, database, service)
    await migrate_up(postgres.url(database, f"{service}_owner"), migrations_of(service), f"{service}_app")
    yield postgres.url(database, f"{service}_app")
    await asyncio.to_thread(postgres.drop_database, database)


@pytest.fixture(scope="package")
async def checkout_database(postgres: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    """The migrated database; sound whatever the tests did."""
    async with migrated(postgres, DATABASE, "checkout"):
        yield postgres
        connection = await asyncpg.connect(postgres.url(DATABASE, "checkout_owner"))
        await assert_checkout_sound(connection)
        await connection.close()


@pytest.fixture(scope="package")
async def peers(postgres: EmbeddedPostgres) -> AsyncIterator[Peers]:
    """A ledger and vouchers, in this process."""
    async with (
        migrated(postgres, "checkout_tests_ledger", "ledger") as ledger_url,
        migrated(postgres, "checkout_tests_vouchers", "vouchers") as vouchers_url,
        serving_ledger(LedgerSettings(database_url=ledger_url, address="127.0.0.1:0")) as ledger,
        serving_vouchers(VouchersSettings(database_url=vouchers_url, address="127.0.0.1:0")) as vouchers,
        grpc.aio.insecure_channel(ledger.address) as ledger_channel,
        grpc.aio.insecure_channel(vouchers.address) as vouchers_channel,
    ):
        codes = CampaignsServiceStub(vouchers_channel), CodesServiceStub(vouchers_channel)
        yield Peers(LedgerServiceStub(ledger_channel), *codes, ledger.address, vouchers.address)


@pytest.fixture(scope="package")
def http_address() -> str:
    """Known before checkout starts, because the provider has to know it."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="package")
async def shared_sandbox(tmp_path_factory: pytest.TempPathFactory, http_address: str) -> AsyncIterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("checkout-sandbox"), f"http://{http_address}/webhooks/sandbox")
    await process.start()
    yield process
    await process.stop()


@pytest.fixture
async def sandbox(shared_sandbox: SandboxProcess) -> AsyncIterator[SandboxProcess]:
    yield shared_sandbox
    await shared_sandbox.set_mode("ok")


@pytest.fixture(scope="package")
def configured(shared_sandbox: SandboxProcess) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a checkout that knows its provider."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SANDBOX_URL", shared_sandbox.url)
        environment.setenv("SANDBOX_API_KEY", API_KEY)
        environment.setenv("SANDBOX_WEBHOOK_SECRET", SECRET)
        environment.setenv("SANDBOX_REQUEST_TIMEOUT_S", "1")
        yield environment


@asynccontextmanager
async def serving_checkout(settings: CheckoutSettings) -> AsyncIterator[Checkout]:
    """A checkout with these settings and clients of it."""
    nobody = TemporalSettings(address=f"127.0.0.1:{free_port()}")
    async with serving(settings, nobody) as running, grpc.aio.insecure_channel(running.server.address) as channel:
        http_url = f"http://{running.http_address}"
        orders, steps = CheckoutServiceStub(channel), OrderStepsServiceStub(channel)
        yield Checkout(orders, steps, PaymentsServiceStub(channel), PaymentStepsServiceStub(channel), http_url)


@pytest.fixture(scope="package")
def checkout_settings(checkout_database: EmbeddedPostgres, peers: Peers, http_address: str) -> CheckoutSettings:
    return CheckoutSettings(
        database_url=checkout_database.url(DATABASE, "checkout_app"),
        address="127.0.0.1:0",
        http_address=http_address,
        ledger_address=peers.ledger_address,
        vouchers_address=peers.vouchers_address,
    )


@pytest.fixture(scope="package")
async def checkout(checkout_settings: CheckoutSettings, configured: pytest.MonkeyPatch) -> AsyncIterator[Checkout]:
    async with serving_checkout(checkout_settings) as running:
        yield running


@pytest.fixture
def shop(checkout: Checkout, peers: Peers) -> Shop:
    return Shop(checkout.orders, checkout.steps, peers.ledger, peers.campaigns, peers.codes)


@pytest.fixture
def till(shop: Shop, checkout: Checkout, sandbox: SandboxProcess) -> Till:
    return Till(shop, checkout.payments, checkout.payment_steps, sandbox)


@pytest.fixture
async def webhooks(checkout: Checkout) -> AsyncIterator[WebhookSender]:
    async with aiohttp.ClientSession() as http:
        yield WebhookSender(http, f"{checkout.http_url}/webhooks/sandbox", SECRET)


@pytest.fixture
async def owner_connection(checkout_database: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(checkout_database.url(DATABASE, "checkout_owner"))
    yield connection
    await connection.close()


@pytest.fixture
async def app_connection(checkout_database: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(checkout_database.url(DATABASE, "checkout_app"))
    yield connection
    await connection.close()
