"""A shop's customers in benchmarks; each places one order after the other."""

import asyncio
import time
from collections.abc import Mapping

from quittance.checkout.v1 import checkout_pb2
from services.runtime.grpc_errors import Refusal
from tests.shop import CURRENCY, PRICE_MINOR, Shop, fresh_id

# More than any caller can spend within a run.
CREDITS_MINOR = PRICE_MINOR * 100_000
# What a customer has who pays the rest of an order at the provider.
SOME_CREDITS_MINOR = PRICE_MINOR // 5
DISCOUNT_MINOR = PRICE_MINOR // 10
# How often a shop looks whether an order is placed.
LOOK_EVERY_S = 0.002

# Moments that orders tell of.
PAY_PAGE = "paid order: its pay page"
PAID_PART_PLACED = "voucher, credits, payment: placed"
COMPENSATED = "voucher, credits, payment refused: all undone"


class OrderCallers:
    """Places orders as different callers do, through the public API."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._rich: list[str] = []
        self._code = ""

    async def invite(self, count: int) -> None:
        """Sees to it that there are so many customers with credits, and a voucher for everybody."""
        self._code = self._code or await self._shop.discount_voucher(DISCOUNT_MINOR, uses_max=1_000_000)
        while len(self._rich) < count:
            customer_id = fresh_id()
            await self._shop.give_credits(customer_id, CREDITS_MINOR)
            self._rich.append(customer_id)

    async def by_credits(self, caller: int = 0) -> None:
        """An order of one of the customers with credits, until it is placed."""
        expected = checkout_pb2.PriceBreakdown(subtotal_minor=PRICE_MINOR, credits_minor=PRICE_MINOR)
        order = await self._shop.place(self._request(self._rich[caller], expected, use_credits=True))
        assert order.state == checkout_pb2.ORDER_STATE_PLACED

    async def by_payment(self) -> Mapping[str, float]:
        """An order of a new customer, paid at once. Answers when the pay page was there."""
        expected = checkout_pb2.PriceBreakdown(subtotal_minor=PRICE_MINOR, amount_due_minor=PRICE_MINOR)
        started = time.perf_counter()
        order = await self._shop.place(self._request(fresh_id(), expected, use_credits=False))
        until_page_s = time.perf_counter() - started
        await self._pay(order)
        return {PAY_PAGE: until_page_s}

    async def by_everything(self) -> Mapping[str, float]:
        """An order with a voucher and some credits, the rest paid at once. Answers when it was placed."""
        request = await self._request_with_everything()
        started = time.perf_counter()
        await self._pay(await self._shop.place(request))
        return {PAID_PART_PLACED: time.perf_counter() - started}

    async def refused(self) -> Mapping[str, float]:
        """The same order, but the provider refuses its pay page. Answers when all was undone."""
        request = await self._request_with_everything()
        await self._shop.sandbox("refusing")
        started = time.perf_counter()
        refusal: Refusal = await self._shop.refused(request)
        undone_s = time.perf_counter() - started
        await self._shop.sandbox("ok")
        assert refusal.reason == "PAYMENT_PROVIDER_REFUSED", refusal.reason
        assert refusal.metadata["order_state"] == "failed", "the answer came before the undo"
        return {COMPENSATED: undone_s}

    async def _pay(self, order: checkout_pb2.Order) -> None:
        assert order.payment.payment_url, "there is no pay page"
        await self._shop.on_pay_page(order.payment.payment_url, "pay")
        while (await self._shop.read_order(order.order_id)).state != checkout_pb2.ORDER_STATE_PLACED:
            await asyncio.sleep(LOOK_EVERY_S)

    async def _request_with_everything(self) -> checkout_pb2.PlaceOrderRequest:
        customer_id = fresh_id()
        await self._shop.give_credits(customer_id, SOME_CREDITS_MINOR)
        expected = checkout_pb2.PriceBreakdown(
            subtotal_minor=PRICE_MINOR,
            discount_minor=DISCOUNT_MINOR,
            credits_minor=SOME_CREDITS_MINOR,
            amount_due_minor=PRICE_MINOR - DISCOUNT_MINOR - SOME_CREDITS_MINOR,
        )
        request = self._request(customer_id, expected, use_credits=True)
        request.voucher_codes.append(self._code)
        return request

    def _request(
        self, customer_id: str, expected: checkout_pb2.PriceBreakdown, *, use_credits: bool
    ) -> checkout_pb2.PlaceOrderRequest:
        return checkout_pb2.PlaceOrderRequest(
            order_id=fresh_id(),
            customer_id=customer_id,
            currency=CURRENCY,
            lines=[checkout_pb2.LineRequest(price_id=self._shop.price_id, quantity=1)],
            use_credits=use_credits,
            expected=expected,
        )
