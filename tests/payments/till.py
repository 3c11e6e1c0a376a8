"""A checkout process whose providers are doubles, orders that wait for their payment, and what a webhook leaves."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from deploy.local.postgres import EmbeddedPostgres
from quittance.checkout.v1 import checkout_pb2
from quittance.checkout.v1.checkout_pb2_grpc import CheckoutServiceStub
from quittance.checkout.v1.order_steps_pb2_grpc import OrderStepsServiceStub
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from quittance.vouchers.v1.campaigns_pb2_grpc import CampaignsServiceStub
from quittance.vouchers.v1.codes_pb2_grpc import CodesServiceStub
from services.runtime.channels import open_channel
from services.runtime.ids import new_id
from tests.checkout.conftest import migrated
from tests.checkout.shop import Shop
from tests.payments.checkout_process import CheckoutProcess
from tests.payments.fakes.serving import Object
from tests.payments.fakes.stripe_api import API_KEY, SECRET, StripeDouble
from tests.payments.fakes.yookassa_api import SECRET_KEY, SHOP_ID, YooKassaDouble
from tests.payments.raw_http import status_of

# The second is the one that the first replaces.
ROLLED_SECRETS = (SECRET, "whsec_of_last_year")
# The proxy before checkout, as it and as whoever else connects is seen by it.
PROXY, STRANGER = "127.0.0.1", "127.0.0.2"
# Where YooKassa's notifications came to before.
OLD_PATH = "/hooks/money"

# All tables but the migrations' own.
_TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'schema_%'
"""


class Outcome(NamedTuple):
    """What a request was answered, and how many rows it added, by table."""

    status: int | None
    added: dict[str, int]


class Till:
    """Stripe, YooKassa and checkout, without anybody who would take an order further."""

    def __init__(
        self,
        checkout: CheckoutProcess,
        stripe: StripeDouble,
        yookassa: YooKassaDouble,
        database: asyncpg.Connection,
        shop: Shop,
    ) -> None:
        self.checkout = checkout
        self.stripe = stripe
        self.yookassa = yookassa
        self.shop = shop
        self._database = database

    async def awaiting(self, provider: str) -> checkout_pb2.Order:
        """An order of 50 OMR that waits for its payment there."""
        return await self.shop.awaiting_payment(payment_provider=provider)

    async def paid_at_stripe(self) -> tuple[checkout_pb2.Order, bytes]:
        """An order and the event that it is paid, which nobody has sent yet."""
        order = await self.awaiting("stripe")
        session = self.stripe.session_of(order.order_id)
        self.stripe.pay(session)
        return order, self.stripe.tell("checkout.session.completed", session)

    async def paid_at_yookassa(self) -> tuple[checkout_pb2.Order, bytes]:
        """An order and the notification that it is paid, which nobody has sent yet."""
        order = await self.awaiting("yookassa")
        payment = self.yookassa.payment_of(order.order_id)
        self.yookassa.pay(payment)
        return order, self.yookassa.tell("payment.succeeded", payment)

    async def outcome(self, request: bytes, **how: Any) -> Outcome:
        """What comes of a request; `how` as in raw_http."""
        before = await self._rows()
        status = await status_of(self.checkout.http_address, request, **how)
        added = await self._rows()
        added.subtract(before)
        return Outcome(status, {table: count for table, count in added.items() if count})

    async def findings(self, order: checkout_pb2.Order) -> list[Object]:
        """What a person has to look at of an order."""
        rows = await self._database.fetch("SELECT * FROM payment_findings WHERE order_id = $1", order.order_id)
        return [dict(row) for row in rows]

    async def _rows(self) -> Counter[str]:
        tables = [row["table_name"] for row in await self._database.fetch(_TABLES)]
        return Counter({table: await self._database.fetchval(f"SELECT count(*) FROM {table}") for table in tables})


@asynccontextmanager
async def opened_till(postgres: EmbeddedPostgres, directory: Path, **environment: str) -> AsyncIterator[Till]:
    """A till with a database of its own; `environment`: more settings of its checkout."""
    name = f"till_{new_id().hex}"
    async with AsyncExitStack() as exits:
        url = await exits.enter_async_context(migrated(postgres, name, "checkout"))
        stripe, yookassa = StripeDouble(), YooKassaDouble()
        for double in (stripe, yookassa):
            await double.start()
            exits.push_async_callback(double.stop)
        settings = _settings(stripe, yookassa) | environment
        checkout = await exits.enter_async_context(CheckoutProcess(directory, url, settings))
        shop = _shop_of(await exits.enter_async_context(open_channel(checkout.address)))
        database = await asyncpg.connect(postgres.url(name, "checkout_owner"))
        exits.push_async_callback(database.close)
        yield Till(checkout, stripe, yookassa, database, shop)


def _settings(stripe: StripeDouble, yookassa: YooKassaDouble) -> dict[str, str]:
    return {
        "STRIPE_API_KEY": API_KEY,
        "STRIPE_WEBHOOK_SECRET": ",".join(ROLLED_SECRETS),
        "STRIPE_API_BASE": stripe.address,
        "YOOKASSA_SHOP_ID": SHOP_ID,
        "YOOKASSA_SECRET_KEY": SECRET_KEY,
        "YOOKASSA_API_BASE": f"{yookassa.address}/v3",
        "CHECKOUT_TRUSTED_PROXIES": f"{PROXY}/32",
        "CHECKOUT_WEBHOOK_ALIASES": f"{OLD_PATH}=yookassa",
    }


def _shop_of(channel: Any) -> Shop:
    """Nobody asks the ledger and the voucher service: orders without vouchers and credits need neither."""
    others = LedgerServiceStub(channel), CampaignsServiceStub(channel), CodesServiceStub(channel)
    return Shop(CheckoutServiceStub(channel), OrderStepsServiceStub(channel), *others)
