"""A whole stack whose checkout speaks to doubles of Stripe and YooKassa, and what tests do with money there."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from orchestrator.order_requests import CLEARING, UNALLOCATED
from quittance.checkout.v1 import checkout_pb2, order_steps_pb2, payment_workflows_pb2, payments_pb2
from quittance.checkout.v1.order_steps_pb2_grpc import OrderStepsServiceStub
from quittance.checkout.v1.payments_pb2_grpc import PaymentsServiceStub
from quittance.ledger.v1 import proof_pb2
from quittance.ledger.v1.proof_pb2_grpc import ProofServiceStub
from services.runtime.channels import open_channel
from tests.faulty_stack import SERVICES, FaultyStack
from tests.payments.fakes.deliveries import Weather
from tests.payments.fakes.serving import Object
from tests.payments.fakes.stripe_api import API_KEY, SECRET, StripeDouble
from tests.payments.fakes.yookassa_api import SECRET_KEY, SHOP_ID, YooKassaDouble
from tests.shop import CURRENCY, Shop, fresh_id

DEPLOYMENT = "shop-of-the-tests"
PROVIDERS = ("stripe", "yookassa", "sandbox")


class PaymentStack:
    """The stack, the doubles, and short words."""

    def __init__(
        self,
        directory: Path,
        *,
        seed: int = 0,
        weather: Weather | None = None,
        proxied: Sequence[str] = SERVICES,
    ) -> None:
        """`seed`: of the doubles' dice. `proxied`: see FaultyStack."""
        self.running = FaultyStack(directory, proxied=proxied)
        webhooks = f"http://{self.running.stack.address('checkout_http')}/webhooks"
        self.stripe = StripeDouble(f"{webhooks}/stripe", seed=seed, weather=weather)
        self.yookassa = YooKassaDouble(f"{webhooks}/yookassa", seed=seed, weather=weather)
        self._exits = AsyncExitStack()
        self.payments: PaymentsServiceStub
        self.steps: OrderStepsServiceStub
        self.proof: ProofServiceStub

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            for double in (self.stripe, self.yookassa):
                await double.start()
                exits.push_async_callback(double.stop)
            self.running.stack.set_environment(
                "checkout",
                {
                    "DEPLOYMENT": DEPLOYMENT,
                    "STRIPE_API_KEY": API_KEY,
                    "STRIPE_WEBHOOK_SECRET": SECRET,
                    "STRIPE_API_BASE": self.stripe.address,
                    "YOOKASSA_SHOP_ID": SHOP_ID,
                    "YOOKASSA_SECRET_KEY": SECRET_KEY,
                    "YOOKASSA_API_BASE": f"{self.yookassa.address}/v3",
                    "YOOKASSA_SENDER_NETWORKS": "127.0.0.0/8",
                    "CHECKOUT_UNFINISHED_INTERVAL_S": "0.5",
                },
            )
            await exits.enter_async_context(self.running)
            stack = self.running.stack
            checkout = await exits.enter_async_context(open_channel(stack.address("checkout")))
            ledger = await exits.enter_async_context(open_channel(stack.address("ledger")))
            self.payments, self.steps = PaymentsServiceStub(checkout), OrderStepsServiceStub(checkout)
            self.proof = ProofServiceStub(ledger)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    @property
    def shop(self) -> Shop:
        return self.running.shop

    async def awaiting(self, provider: str, **fields: Any) -> checkout_pb2.Order:
        """An order of 50 OMR whose pay page is handed over."""
        request = await self.shop.order(fresh_id(), payment_provider=provider, use_credits=False, **fields)
        return await self.shop.place(request)

    def stripe_session(self, order: checkout_pb2.Order) -> Object:
        return self.stripe.session_of(order.order_id)

    async def placed_by_stripe(self) -> tuple[checkout_pb2.Order, Object]:
        """A placed order and its payment at Stripe."""
        order = await self.awaiting("stripe")
        intent = self.stripe.pay(self.stripe_session(order))
        return await self.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED), intent

    async def refund(
        self,
        order: checkout_pb2.Order,
        amount_minor: int = 0,
        *,
        refund_id: str = "",
        receipt: payments_pb2.ReceiptReference | None = None,
    ) -> payments_pb2.Refund:
        request = payments_pb2.RefundPaymentRequest(
            refund_id=refund_id or fresh_id(),
            order_id=order.order_id,
            amount_minor=amount_minor,
            reason="customer.request",
            receipt=receipt,
        )
        return (await self.payments.RefundPayment(request)).refund

    async def poll(self, order_id: str) -> None:
        """Asks the provider, as the order's workflow does now and then."""
        await self.steps.ReadPayment(order_steps_pb2.ReadPaymentRequest(order_id=order_id, refresh=True))

    async def money(self, order: checkout_pb2.Order) -> payments_pb2.ListOrderMoneyResponse:
        return await self.payments.ListOrderMoney(payments_pb2.ListOrderMoneyRequest(order_id=order.order_id))

    async def until_money(
        self, order: checkout_pb2.Order, fits: Callable[[payments_pb2.ListOrderMoneyResponse], bool]
    ) -> payments_pb2.ListOrderMoneyResponse:
        """The order's money when it is so; only a hang makes it fail."""
        async with asyncio.timeout(60):
            while not fits(money := await self.money(order)):
                await asyncio.sleep(0.05)
        return money

    async def until_all_returned(self, order: checkout_pb2.Order) -> payments_pb2.ListOrderMoneyResponse:
        """The order's money when all refunds are booked and nothing is left."""

        def is_returned(money: payments_pb2.ListOrderMoneyResponse) -> bool:
            received = sum(receipt.amount_minor for receipt in money.receipts)
            back = [refund for refund in money.refunds if refund.state == payments_pb2.REFUND_STATE_REFUNDED]
            is_booked = all(refund.is_completed for refund in money.refunds)
            return received > 0 and is_booked and sum(refund.amount_minor for refund in back) == received

        return await self.until_money(order, is_returned)

    def movements(self, order: checkout_pb2.Order) -> list[int]:
        """What the provider took for an order and gave back, in minor units."""
        double = self.stripe if order.payment.provider == "stripe" else self.yookassa
        return [each.amount_minor for each in double.journal.movements if each.order_id == order.order_id]

    async def held(self, provider: str) -> int:
        """What the ledger says that the provider holds for us."""
        return -await self.balance(CLEARING.format(provider=provider))

    async def unallocated(self, provider: str) -> int:
        return await self.balance(UNALLOCATED.format(provider=provider))

    async def balance(self, account: str) -> int:
        """What an account's transfers add up to, over all books."""
        asked = proof_pb2.TrialBalanceRequest(account=account, currency=CURRENCY)
        pages = self.proof.TrialBalance(asked)
        return sum([row.posted_minor async for page in pages for row in page.rows])  # type: ignore[attr-defined]

    async def findings(self, order: checkout_pb2.Order) -> list[str]:
        """Kinds of what was found about an order, oldest first."""
        request = payments_pb2.ListPaymentFindingsRequest(page_size=1000)
        page = await self.payments.ListPaymentFindings(request)
        return [found.kind for found in page.findings if found.order_id == order.order_id]

    async def reconcile(self, workflow_id: str = "") -> payment_workflows_pb2.ReconciliationResult:
        """As the schedule does it."""
        request = payment_workflows_pb2.ReconciliationInput(providers=PROVIDERS, window_s=86_400)
        result: payment_workflows_pb2.ReconciliationResult = await self.running.temporal.execute_workflow(
            "ReconciliationWorkflow",
            request,
            id=workflow_id or f"reconciliation-{fresh_id()}",
            task_queue="quittance",
            result_type=payment_workflows_pb2.ReconciliationResult,
        )
        return result

    async def assert_books_agree(self) -> None:
        """P-1: what each provider's journal holds is what the ledger says."""
        for double, provider in ((self.stripe, "stripe"), (self.yookassa, "yookassa")):
            assert await self.held(provider) == double.journal.total(CURRENCY), provider
