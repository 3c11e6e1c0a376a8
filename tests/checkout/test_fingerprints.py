"""What tells a repeated PlaceOrder from another one is keyed, so that nobody tries codes against it (C-3)."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from deploy.local.postgres import EmbeddedPostgres
from quittance.checkout.v1 import checkout_pb2
from services.checkout.finding_log import report_finding
from services.checkout.main import CheckoutSettings
from services.checkout.servicer.decode import place_request
from services.checkout.store.checkout_store import CheckoutStore
from services.runtime.database import open_pool
from services.runtime.settings import DatabaseSettings
from tests.checkout.conftest import Peers, migrated, serving_checkout
from tests.checkout.shop import Shop, refused

ANOTHER_DATABASE = "checkout_tests_of_somebody_else"


@pytest.fixture
async def replica(
    checkout_settings: CheckoutSettings, configured: pytest.MonkeyPatch, peers: Peers
) -> AsyncIterator[Shop]:
    """Another process of the same checkout."""
    settings = checkout_settings.model_copy(update={"http_address": "127.0.0.1:0"})
    async with serving_checkout(settings) as running:
        yield Shop(running.orders, running.steps, peers.ledger, peers.campaigns, peers.codes)


async def stale(shop: Shop) -> checkout_pb2.PlaceOrderRequest:
    """An order with a short code that is refused before any workflow, and stored."""
    expected = checkout_pb2.PriceBreakdown(subtotal_minor=1, amount_due_minor=1)
    return await shop.request([await shop.code(off_minor=5)], expected=expected)


async def test_repeated_order_is_recognised_by_every_replica(shop: Shop, replica: Shop) -> None:
    request = await stale(shop)
    for asked in (shop, replica, shop):
        async with refused("STALE_QUOTE"):
            await asked.place(request)
    request.voucher_codes[0] += "1"
    for asked in (replica, shop):
        async with refused("ORDER_EXISTS_WITH_DIFFERENT_FIELD"):
            await asked.place(request)


async def test_fingerprint_of_a_request_differs_between_databases(
    shop: Shop, checkout_settings: CheckoutSettings, postgres: EmbeddedPostgres, owner_connection: asyncpg.Connection
) -> None:
    request = await stale(shop)
    async with refused("STALE_QUOTE"):
        await shop.place(request)
    async with contextlib.AsyncExitStack() as exits:
        another = DatabaseSettings(
            address="127.0.0.1:0",
            database_url=await exits.enter_async_context(migrated(postgres, ANOTHER_DATABASE, "checkout")),
        )
        stores = [
            CheckoutStore(await exits.enter_async_context(open_pool(settings, "test")), report_finding)
            for settings in (checkout_settings, checkout_settings, another)
        ]
        one, same, other = [place_request(request, "sandbox", await store.fingerprint_key()) for store in stores]
    stored = "SELECT request_fingerprint FROM orders WHERE order_id = $1"
    assert await owner_connection.fetchval(stored, one.order_id) == one.fingerprint
    assert one.fingerprint == same.fingerprint != other.fingerprint


async def test_key_is_one_and_nobody_but_the_owner_changes_it(app_connection: asyncpg.Connection) -> None:
    assert await app_connection.fetchval("SELECT count(*) FROM fingerprint_keys") == 1
    added = "INSERT INTO fingerprint_keys SELECT false, key FROM fingerprint_keys"
    for change in ("UPDATE fingerprint_keys SET key = key", added):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app_connection.execute(change)
