"""PaymentsService: decode, call, encode."""

from typing import Any

import grpc

from quittance.checkout.v1 import payments_pb2, payments_pb2_grpc
from services.checkout.domain.commands import RequestRefund
from services.checkout.domain.findings import finding_number_of, token_of
from services.checkout.domain.receipts import ReceiptKey
from services.checkout.reconciling import Reconciling
from services.checkout.servicer import encode_money
from services.checkout.store.checkout_store import CheckoutStore
from services.checkout.store.money_store import MoneyStore
from services.checkout.unfinished import Unfinished
from services.runtime.deadlines import deadline_of
from services.runtime.ids import parse_id

Context = grpc.aio.ServicerContext[Any, Any]

_PAGE_SIZE_DEFAULT = 50
_WINDOW_DEFAULT_S = 2 * 86_400


class PaymentsServicer(payments_pb2_grpc.PaymentsServiceServicer):
    """Handlers of PaymentsService; their contract is written in the proto."""

    def __init__(
        self, store: CheckoutStore, money: MoneyStore, unfinished: Unfinished, reconciling: Reconciling
    ) -> None:
        self._store = store
        self._money = money
        self._unfinished = unfinished
        self._reconciling = reconciling

    async def RefundPayment(
        self, request: payments_pb2.RefundPaymentRequest, context: Context
    ) -> payments_pb2.RefundPaymentResponse:
        """One command, and a workflow that need not be waited for."""
        refund = await self._store.execute(
            RequestRefund(
                order_id=parse_id(request.order_id, "order_id"),
                refund_id=parse_id(request.refund_id, "refund_id"),
                key=_receipt_key(request),
                amount_minor=request.amount_minor or None,
                reason=request.reason,
            )
        )
        self._unfinished.carry_out_refund(refund)
        return payments_pb2.RefundPaymentResponse(refund=encode_money.refund(refund))

    async def GetRefund(
        self, request: payments_pb2.GetRefundRequest, context: Context
    ) -> payments_pb2.GetRefundResponse:
        """A read."""
        stored = await self._money.read_refund(parse_id(request.refund_id, "refund_id"))
        return payments_pb2.GetRefundResponse(refund=encode_money.refund(stored.refund))

    async def ListOrderMoney(
        self, request: payments_pb2.ListOrderMoneyRequest, context: Context
    ) -> payments_pb2.ListOrderMoneyResponse:
        """A read."""
        receipts, refunds = await self._money.read_order_money(parse_id(request.order_id, "order_id"))
        return payments_pb2.ListOrderMoneyResponse(
            receipts=[encode_money.receipt(each) for each in receipts],
            refunds=[encode_money.refund(each) for each in refunds],
        )

    async def ListPaymentFindings(
        self, request: payments_pb2.ListPaymentFindingsRequest, context: Context
    ) -> payments_pb2.ListPaymentFindingsResponse:
        """A read of one finding more than the page has, to know whether there is a next page."""
        size = request.page_size or _PAGE_SIZE_DEFAULT
        found = await self._money.list_findings(finding_number_of(request.page_token), size + 1)
        page = found[:size]
        return payments_pb2.ListPaymentFindingsResponse(
            findings=[encode_money.finding(each) for each in page],
            next_page_token=token_of(page[-1].number) if len(found) > size else "",
        )

    async def ReconcilePayments(
        self, request: payments_pb2.ReconcilePaymentsRequest, context: Context
    ) -> payments_pb2.ReconcilePaymentsResponse:
        """A workflow."""
        window_s = request.window_s or _WINDOW_DEFAULT_S
        providers = await self._reconciling.compare_all(window_s, deadline_of(context))
        return payments_pb2.ReconcilePaymentsResponse(providers=providers)


def _receipt_key(request: payments_pb2.RefundPaymentRequest) -> ReceiptKey | None:
    if not request.HasField("receipt"):
        return None
    return ReceiptKey(request.receipt.provider, request.receipt.provider_payment_id)
