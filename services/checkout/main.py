"""Checkout's process."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from quittance.checkout.v1.checkout_pb2_grpc import add_CheckoutServiceServicer_to_server
from quittance.checkout.v1.order_steps_pb2_grpc import add_OrderStepsServiceServicer_to_server
from quittance.checkout.v1.payments_pb2_grpc import (
    add_PaymentsServiceServicer_to_server,
    add_PaymentStepsServiceServicer_to_server,
)
from services.checkout.domain.orders import DOMAIN
from services.checkout.finding_log import report_finding
from services.checkout.pay_pages import PayPages
from services.checkout.payment_workflow_client import PaymentWorkflowClient
from services.checkout.payments.networks import parse_networks
from services.checkout.payments.registry import open_providers
from services.checkout.peers import open_peers
from services.checkout.placing import OrderPlacer
from services.checkout.quoting import Quoter
from services.checkout.reconciling import Reconciling
from services.checkout.refunding import Refunding
from services.checkout.senders import Senders, parse_aliases
from services.checkout.servicer.checkout import CheckoutServicer
from services.checkout.servicer.order_steps import OrderStepsServicer
from services.checkout.servicer.payment_steps import PaymentStepsServicer
from services.checkout.servicer.payments import PaymentsServicer
from services.checkout.store.checkout_store import CheckoutStore
from services.checkout.store.money_store import MoneyStore
from services.checkout.unfinished import Unfinished
from services.checkout.webhooks import Webhooks, serving_webhooks
from services.checkout.workflow_client import open_workflows
from services.runtime.background import repeating
from services.runtime.database import open_pool
from services.runtime.server import Server, Service, run
from services.runtime.settings import DatabaseSettings
from services.runtime.temporal import TemporalSettings


class CheckoutSettings(DatabaseSettings):
    """CHECKOUT_… for its own, and what it shares with the other processes. Each provider has settings of its own."""

    model_config = SettingsConfigDict(env_prefix="CHECKOUT_")

    address: str = "127.0.0.1:9053"
    # host:port of the HTTP listener for webhooks; port 0 takes a free one, which is logged.
    http_address: str = "127.0.0.1:8080"
    # For a webhook's body to come, once its headers are there.
    http_body_timeout_s: float = Field(10.0, gt=0)
    # A connection without a whole request is closed after this long; longer than proxies keep theirs.
    http_idle_timeout_s: float = Field(75.0, gt=0)
    # For one question to the ledger or the voucher service.
    peer_timeout_s: float = Field(3.0, gt=0)
    ledger_address: str = Field("127.0.0.1:9051", validation_alias="LEDGER_ADDRESS")
    vouchers_address: str = Field("127.0.0.1:9052", validation_alias="VOUCHERS_ADDRESS")
    # host:port where Temporal's SDK shows its metrics of this client; empty switches it off.
    temporal_metrics_address: str = ""
    # Our name in what is made at payment providers; no other user of the same accounts may have it.
    deployment: str = Field("quittance", validation_alias="DEPLOYMENT", pattern="^[A-Za-z0-9_.-]{1,64}$")
    # Networks of our own proxies before the webhooks, separated by commas: what they say of a sender is believed.
    trusted_proxies: str = ""
    # Further paths for webhooks: "/path=provider", separated by commas.
    webhook_aliases: str = ""
    # How often a process looks for money and pages that wait for a workflow; 0: never by this process.
    unfinished_interval_s: float = Field(5.0, ge=0)
    # Of orders that name no provider.
    payment_provider: str = Field("sandbox", validation_alias="PAYMENT_PROVIDER")

    @property
    def senders(self) -> Senders:
        """Who may say whom a webhook comes from. Raises ValueError."""
        return Senders(parse_networks(self.trusted_proxies), parse_aliases(self.webhook_aliases))


class Serving(NamedTuple):
    """What runs, and where webhooks are received."""

    server: Server
    http_address: str


@asynccontextmanager
async def serving(settings: CheckoutSettings, temporal: TemporalSettings) -> AsyncIterator[Serving]:
    """Both servers, from the first call taken to the last one answered."""
    async with (
        open_pool(settings, "checkout") as pool,
        open_providers(settings.deployment) as providers,
        open_peers(settings.ledger_address, settings.vouchers_address, settings.peer_timeout_s) as peers,
        open_workflows(temporal, settings.temporal_metrics_address) as workflows,
    ):
        store, money = CheckoutStore(pool, report_finding), MoneyStore(pool, report_finding)
        quoter = Quoter(store, peers)
        placer = OrderPlacer(store, quoter, workflows)
        payment_workflows = PaymentWorkflowClient(workflows.client, temporal.task_queue)
        unfinished = Unfinished(store, money, workflows, payment_workflows)
        orders = CheckoutServicer(store, quoter, placer, settings.payment_provider)
        pages = PayPages(store, providers)
        steps = OrderStepsServicer(store, pages)
        reconciling = Reconciling(store, money, providers, payment_workflows, unfinished)
        payments = PaymentsServicer(store, money, unfinished, reconciling)
        payment_steps = PaymentStepsServicer(store, money, Refunding(store, money, providers), reconciling)
        services = [
            Service("quittance.checkout.v1.CheckoutService", add_CheckoutServiceServicer_to_server, orders),
            Service("quittance.checkout.v1.OrderStepsService", add_OrderStepsServiceServicer_to_server, steps),
            Service("quittance.checkout.v1.PaymentsService", add_PaymentsServiceServicer_to_server, payments),
            Service(
                "quittance.checkout.v1.PaymentStepsService", add_PaymentStepsServiceServicer_to_server, payment_steps
            ),
        ]
        webhooks = Webhooks(store, money, providers, pages, unfinished, settings.senders, settings.http_body_timeout_s)
        listener = serving_webhooks(
            webhooks,
            settings.http_address,
            reuse_port=settings.reuse_port,
            idle_timeout_s=settings.http_idle_timeout_s,
        )
        async with (
            contextlib.aclosing(payment_workflows),
            repeating("unfinished", settings.unfinished_interval_s, unfinished.hand_over),
            listener as http_address,
            Server(settings, domain=DOMAIN, services=services, ready=store.check) as server,
        ):
            yield Serving(server, http_address)


async def serve(settings: CheckoutSettings, temporal: TemporalSettings) -> None:
    """Serves until the process is told to stop."""
    async with serving(settings, temporal) as running:
        await running.server.run_until_signal()


def main() -> None:
    """Settings from the environment, then serve."""
    settings, temporal = CheckoutSettings(), TemporalSettings()
    run(lambda: serve(settings, temporal), settings)


if __name__ == "__main__":
    main()
