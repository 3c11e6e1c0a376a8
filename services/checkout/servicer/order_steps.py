"""OrderStepsService: decode, call, encode."""

from typing import Any
from uuid import UUID

import grpc

from quittance.checkout.v1 import order_steps_pb2, order_steps_pb2_grpc
from services.checkout.domain.commands import BeginSettling, CompleteOrder, CreateOrder, HandOver
from services.checkout.domain.prices import subtotal_of
from services.checkout.pay_pages import PayPages
from services.checkout.servicer import decode, encode
from services.checkout.store.checkout_store import CheckoutStore
from services.runtime.ids import parse_id
from services.runtime.times import timestamp_of

Context = grpc.aio.ServicerContext[Any, Any]


class OrderStepsServicer(order_steps_pb2_grpc.OrderStepsServiceServicer):
    """Handlers of OrderStepsService; their contract is written in the proto."""

    def __init__(self, store: CheckoutStore, pages: PayPages) -> None:
        self._store = store
        self._pages = pages

    async def CreateOrder(
        self, request: order_steps_pb2.CreateOrderRequest, context: Context
    ) -> order_steps_pb2.CreateOrderResponse:
        """One command, and a read whose answer is the same however often the step is repeated."""
        order = await self._store.execute(CreateOrder(draft=decode.draft(request.draft)))
        return order_steps_pb2.CreateOrderResponse(
            lines=[encode.line(line) for line in order.lines],
            subtotal_minor=subtotal_of(order.lines),
            backstop_time=timestamp_of(order.backstop_at),
            orders_placed=await self._store.count_placed_orders(order.draft.customer_id, by=order.created_at),
        )

    async def SettlePrice(
        self, request: order_steps_pb2.SettlePriceRequest, context: Context
    ) -> order_steps_pb2.SettlePriceResponse:
        """One command."""
        breakdown = await self._store.execute(decode.settle_price(request))
        return order_steps_pb2.SettlePriceResponse(breakdown=encode.breakdown(breakdown))

    async def OpenPaymentSession(
        self, request: order_steps_pb2.OpenPaymentSessionRequest, context: Context
    ) -> order_steps_pb2.OpenPaymentSessionResponse:
        """Speaks to the provider."""
        payment = await self._pages.open(_order_id(request.order_id))
        return order_steps_pb2.OpenPaymentSessionResponse(payment=encode.payment(payment))

    async def HandOver(
        self, request: order_steps_pb2.HandOverRequest, context: Context
    ) -> order_steps_pb2.HandOverResponse:
        """One command."""
        expires_at = await self._store.execute(HandOver(order_id=_order_id(request.order_id)))
        return order_steps_pb2.HandOverResponse(payment_expire_time=timestamp_of(expires_at))

    async def ClosePaymentSession(
        self, request: order_steps_pb2.ClosePaymentSessionRequest, context: Context
    ) -> order_steps_pb2.ClosePaymentSessionResponse:
        """Speaks to the provider."""
        outcome = await self._pages.close(_order_id(request.order_id))
        return order_steps_pb2.ClosePaymentSessionResponse(outcome=encode.CLOSE_OUTCOMES[outcome])

    async def ReadPayment(
        self, request: order_steps_pb2.ReadPaymentRequest, context: Context
    ) -> order_steps_pb2.ReadPaymentResponse:
        """A read, or a question to the provider."""
        payment = await self._pages.read(_order_id(request.order_id), refresh=request.refresh)
        return order_steps_pb2.ReadPaymentResponse(payment=encode.payment(payment))

    async def BeginSettling(
        self, request: order_steps_pb2.BeginSettlingRequest, context: Context
    ) -> order_steps_pb2.BeginSettlingResponse:
        """One command."""
        settling = await self._store.execute(BeginSettling(order_id=_order_id(request.order_id)))
        return order_steps_pb2.BeginSettlingResponse(
            breakdown=encode.breakdown(settling.breakdown), payment=encode.payment(settling.payment)
        )

    async def CompleteOrder(
        self, request: order_steps_pb2.CompleteOrderRequest, context: Context
    ) -> order_steps_pb2.CompleteOrderResponse:
        """One command."""
        placed_at = await self._store.execute(CompleteOrder(order_id=_order_id(request.order_id)))
        return order_steps_pb2.CompleteOrderResponse(place_time=timestamp_of(placed_at))

    async def EndOrder(
        self, request: order_steps_pb2.EndOrderRequest, context: Context
    ) -> order_steps_pb2.EndOrderResponse:
        """One command."""
        state = await self._store.execute(decode.end_order(request))
        return order_steps_pb2.EndOrderResponse(order_state=encode.ORDER_STATES[state])

    async def ReadOrder(
        self, request: order_steps_pb2.ReadOrderRequest, context: Context
    ) -> order_steps_pb2.ReadOrderResponse:
        """A read."""
        stored = await self._store.read_order(_order_id(request.order_id))
        return encode.standing(stored.order, stored.payment)

    async def ListOpenOrders(
        self, request: order_steps_pb2.ListOpenOrdersRequest, context: Context
    ) -> order_steps_pb2.ListOpenOrdersResponse:
        """A read."""
        after = parse_id(request.page_token, "page_token") if request.page_token else UUID(int=0)
        found = await self._store.find_open_orders(after, request.unchanged_for_s, request.page_size)
        is_last = len(found) < request.page_size
        return order_steps_pb2.ListOpenOrdersResponse(
            order_ids=[str(order_id) for order_id in found], next_page_token="" if is_last else str(found[-1])
        )


def _order_id(text: str) -> UUID:
    return parse_id(text, "order_id")
