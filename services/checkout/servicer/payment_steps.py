"""PaymentStepsService: decode, call, encode."""

from typing import Any

import grpc

from quittance.checkout.v1 import payments_pb2, payments_pb2_grpc
from services.checkout.domain.commands import CompleteRefund, RequestRefund
from services.checkout.domain.findings import clearing_finding
from services.checkout.domain.receipts import ReceiptKey
from services.checkout.reconciling import Reconciling
from services.checkout.refunding import Refunding
from services.checkout.servicer import decode, encode_money
from services.checkout.store.checkout_store import CheckoutStore
from services.checkout.store.money_store import MoneyStore
from services.runtime.ids import parse_id
from services.runtime.times import parse_time

Context = grpc.aio.ServicerContext[Any, Any]


class PaymentStepsServicer(payments_pb2_grpc.PaymentStepsServiceServicer):
    """Handlers of PaymentStepsService; their contract is written in the proto."""

    def __init__(self, store: CheckoutStore, money: MoneyStore, refunding: Refunding, reconciling: Reconciling) -> None:
        self._store = store
        self._money = money
        self._refunding = refunding
        self._reconciling = reconciling

    async def RequestRefund(
        self, request: payments_pb2.RequestRefundRequest, context: Context
    ) -> payments_pb2.RequestRefundResponse:
        """One command."""
        refund = await self._store.execute(
            RequestRefund(
                order_id=parse_id(request.order_id, "order_id"),
                refund_id=parse_id(request.refund_id, "refund_id"),
                key=ReceiptKey(request.provider, request.provider_payment_id),
                amount_minor=None,
                reason=request.reason,
            )
        )
        return payments_pb2.RequestRefundResponse(refund=encode_money.refund(refund))

    async def MakeRefund(
        self, request: payments_pb2.MakeRefundRequest, context: Context
    ) -> payments_pb2.MakeRefundResponse:
        """Speaks to the provider."""
        refund = await self._refunding.make(parse_id(request.refund_id, "refund_id"))
        return payments_pb2.MakeRefundResponse(refund=encode_money.refund(refund))

    async def ReadRefund(
        self, request: payments_pb2.ReadRefundRequest, context: Context
    ) -> payments_pb2.ReadRefundResponse:
        """A read."""
        stored = await self._money.read_refund(parse_id(request.refund_id, "refund_id"))
        return encode_money.stored_refund(stored)

    async def CompleteRefund(
        self, request: payments_pb2.CompleteRefundRequest, context: Context
    ) -> payments_pb2.CompleteRefundResponse:
        """One command."""
        refund = await self._store.execute(
            CompleteRefund(
                order_id=parse_id(request.order_id, "order_id"),
                refund_id=parse_id(request.refund_id, "refund_id"),
                booked=decode.booked_refund_state(request.booked_state),
            )
        )
        return payments_pb2.CompleteRefundResponse(refund=encode_money.refund(refund))

    async def ReconcileProvider(
        self, request: payments_pb2.ReconcileProviderRequest, context: Context
    ) -> payments_pb2.ReconcileProviderResponse:
        """Speaks to the provider."""
        since, until = parse_time(request.since_time, "since_time"), parse_time(request.until_time, "until_time")
        seen = await self._reconciling.compare(request.provider, since, until)
        return payments_pb2.ReconcileProviderResponse(
            payments=seen.payments, refunds=seen.refunds, missed=seen.missed, findings=len(seen.findings)
        )

    async def ReadHoldings(
        self, request: payments_pb2.ReadHoldingsRequest, context: Context
    ) -> payments_pb2.ReadHoldingsResponse:
        """A read."""
        holdings = await self._money.read_holdings(request.provider)
        return payments_pb2.ReadHoldingsResponse(
            holdings=[payments_pb2.Holding(**holding._asdict()) for holding in holdings]
        )

    async def ReportClearing(
        self, request: payments_pb2.ReportClearingRequest, context: Context
    ) -> payments_pb2.ReportClearingResponse:
        """Stores findings."""
        await self._money.store_findings(
            clearing_finding(
                request.provider, each.currency, (each.held_min_minor, each.held_max_minor), each.cleared_minor
            )
            for each in request.differences
        )
        return payments_pb2.ReportClearingResponse()
