"""CheckoutService: decode, call, encode."""

from typing import Any

import grpc

from quittance.checkout.v1 import checkout_pb2, checkout_pb2_grpc
from services.checkout.placing import OrderPlacer
from services.checkout.quoting import Quoter
from services.checkout.servicer import decode, encode
from services.checkout.store.checkout_store import CheckoutStore
from services.runtime.deadlines import deadline_of
from services.runtime.ids import parse_id

Context = grpc.aio.ServicerContext[Any, Any]


class CheckoutServicer(checkout_pb2_grpc.CheckoutServiceServicer):
    """Handlers of CheckoutService; their contract is written in the proto."""

    def __init__(self, store: CheckoutStore, quoter: Quoter, placer: OrderPlacer, provider_default: str) -> None:
        self._store = store
        self._quoter = quoter
        self._placer = placer
        self._provider_default = provider_default

    async def CreateProduct(
        self, request: checkout_pb2.CreateProductRequest, context: Context
    ) -> checkout_pb2.CreateProductResponse:
        """A plain write."""
        product = decode.product(request.product)
        await self._store.create_product(product)
        return checkout_pb2.CreateProductResponse(product=encode.product(product))

    async def CreatePrice(
        self, request: checkout_pb2.CreatePriceRequest, context: Context
    ) -> checkout_pb2.CreatePriceResponse:
        """A plain write."""
        price = decode.price(request.price)
        await self._store.create_price(price)
        return checkout_pb2.CreatePriceResponse(price=encode.price(price))

    async def QuoteOrder(
        self, request: checkout_pb2.QuoteOrderRequest, context: Context
    ) -> checkout_pb2.QuoteOrderResponse:
        """A read."""
        quote = await self._quoter.quote(decode.basket(request))
        return checkout_pb2.QuoteOrderResponse(
            breakdown=encode.breakdown(quote.breakdown),
            lines=[encode.line(line) for line in quote.lines],
            vouchers=quote.assessments,
        )

    async def PlaceOrder(
        self, request: checkout_pb2.PlaceOrderRequest, context: Context
    ) -> checkout_pb2.PlaceOrderResponse:
        """A workflow."""
        key = await self._store.fingerprint_key()
        wanted = decode.place_request(request, self._provider_default, key)
        stored = await self._placer.place(wanted, deadline_of(context))
        return checkout_pb2.PlaceOrderResponse(order=encode.order(*stored))

    async def GetOrder(self, request: checkout_pb2.GetOrderRequest, context: Context) -> checkout_pb2.GetOrderResponse:
        """A read."""
        stored = await self._store.read_order(parse_id(request.order_id, "order_id"))
        return checkout_pb2.GetOrderResponse(order=encode.order(*stored))

    async def CancelOrder(
        self, request: checkout_pb2.CancelOrderRequest, context: Context
    ) -> checkout_pb2.CancelOrderResponse:
        """Asks the order's workflow."""
        cancelled = await self._placer.cancel(parse_id(request.order_id, "order_id"), deadline_of(context))
        return checkout_pb2.CancelOrderResponse(
            order=encode.order(*cancelled.stored), undo_pending=cancelled.undo_pending
        )
