"""What tests do with money at the provider, in one line each."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from quittance.checkout.v1 import checkout_pb2, payments_pb2
from quittance.checkout.v1.payments_pb2_grpc import PaymentsServiceStub, PaymentStepsServiceStub
from tests.checkout.shop import Shop, fresh_id
from tests.payments.sandbox_process import SandboxProcess, click


class Till:
    """A shop with its provider."""

    def __init__(
        self, shop: Shop, payments: PaymentsServiceStub, steps: PaymentStepsServiceStub, sandbox: SandboxProcess
    ) -> None:
        self.shop = shop
        self.sandbox = sandbox
        self._payments = payments
        self._steps = steps

    async def paid(self) -> checkout_pb2.Order:
        """An order that is paid at the provider, and of which checkout knows."""
        order = await self.shop.awaiting_payment()
        await click(order.payment.payment_url, "pay")
        await self.until_receipt(order.order_id)
        return await self.shop.read_order(order.order_id)

    async def until_receipt(self, order_id: str) -> None:
        async with asyncio.timeout(60):
            while not (await self.money(order_id)).receipts:
                await asyncio.sleep(0.02)

    async def placed(self) -> checkout_pb2.Order:
        order = await self.paid()
        await self.shop.begin_settling(order.order_id)
        await self.shop.complete(order.order_id)
        return order

    async def money(self, order_id: str) -> payments_pb2.ListOrderMoneyResponse:
        return await self._payments.ListOrderMoney(payments_pb2.ListOrderMoneyRequest(order_id=order_id))

    async def refund(self, order_id: str, amount_minor: int = 0, **fields: Any) -> payments_pb2.Refund:
        values = {"refund_id": fresh_id(), "reason": "customer.request"} | fields
        request = payments_pb2.RefundPaymentRequest(order_id=order_id, amount_minor=amount_minor, **values)
        return (await self._payments.RefundPayment(request)).refund

    async def read(self, refund_id: str) -> payments_pb2.Refund:
        return (await self._payments.GetRefund(payments_pb2.GetRefundRequest(refund_id=refund_id))).refund

    async def make(self, refund_id: str) -> payments_pb2.Refund:
        return (await self._steps.MakeRefund(payments_pb2.MakeRefundRequest(refund_id=refund_id))).refund

    async def read_step(self, refund_id: str) -> payments_pb2.ReadRefundResponse:
        return await self._steps.ReadRefund(payments_pb2.ReadRefundRequest(refund_id=refund_id))

    async def complete(self, refund: payments_pb2.Refund) -> payments_pb2.Refund:
        request = payments_pb2.CompleteRefundRequest(order_id=refund.order_id, refund_id=refund.refund_id)
        return (await self._steps.CompleteRefund(request)).refund

    async def reconcile(self) -> payments_pb2.ReconcileProviderResponse:
        request = payments_pb2.ReconcileProviderRequest(provider="sandbox")
        now = datetime.now(UTC)
        request.since_time.FromDatetime(now - timedelta(hours=1))
        request.until_time.FromDatetime(now + timedelta(minutes=1))
        return await self._steps.ReconcileProvider(request)

    async def findings(self, order_id: str) -> list[str]:
        """Kinds of what was found about an order, in the order in which it was found."""
        kinds, token = [], ""
        while True:
            page = await self._payments.ListPaymentFindings(
                payments_pb2.ListPaymentFindingsRequest(page_size=3, page_token=token)
            )
            kinds += [found.kind for found in page.findings if found.order_id == order_id]
            token = page.next_page_token
            if not token:
                return kinds
