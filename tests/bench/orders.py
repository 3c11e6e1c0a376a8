"""How long an order takes, and how many there are in a second, next to workflows that do nothing.

Everything is real and on this machine: PostgreSQL with fsync, Temporal's development server, all services. Callers
wait for the answer that a shop waits for; the reference is waited for in the same way.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict

from temporalio.client import Client

from quittance.checkout.v1 import checkout_pb2
from services.runtime.payloads import data_converter
from tests.bench.conditions import conditions_of
from tests.bench.empty_workflow import EmptyWorkflows, empty_workflows
from tests.bench.measuring import Latency, latencies, rates
from tests.bench.registry import Row, benchmark
from tests.bench.running_stack import running_stack
from tests.shop import CURRENCY, PRICE_MINOR, Shop, fresh_id

# Bounded: with one caller by samples or by time, whichever comes first, with many by time.
WARM_UP = 10
SAMPLES = 80
SAMPLES_WITHIN_S = 20.0
CALLERS = (16, 64)
SLICES = 2
SLICE_S = 4.0
# More than any caller can spend within a run.
CREDITS_MINOR = PRICE_MINOR * 100_000
# How often a shop looks whether an order is placed.
LOOK_EVERY_S = 0.002

CREDIT_ORDER = "credit order: placed"
PAY_PAGE = "paid order: its pay page"
PAID_ORDER = "paid order: placed"
EMPTY = "empty workflow"
# Started together with an update whose answer is waited for, as PlaceOrder does it.
EMPTY_BY_UPDATE = "empty, by update"


class Orders:
    """A shop's customers; each places one order after the other."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._rich: list[str] = []

    async def invite(self, count: int) -> None:
        """Sees to it that there are so many customers with credits."""
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
        started = time.perf_counter()
        expected = checkout_pb2.PriceBreakdown(subtotal_minor=PRICE_MINOR, amount_due_minor=PRICE_MINOR)
        order = await self._shop.place(self._request(fresh_id(), expected, use_credits=False))
        until_page_s = time.perf_counter() - started
        assert order.payment.payment_url, "there is no pay page"
        await self._shop.on_pay_page(order.payment.payment_url, "pay")
        while (await self._shop.read_order(order.order_id)).state != checkout_pb2.ORDER_STATE_PLACED:
            await asyncio.sleep(LOOK_EVERY_S)
        return {PAY_PAGE: until_page_s}

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


@benchmark("orders")
async def measure() -> Sequence[Row]:
    """Latencies with one caller, then rates with many."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(running_stack())
        shop = await exits.enter_async_context(Shop(stack))
        client = await Client.connect(stack.address("temporal"), data_converter=data_converter)
        empty = await exits.enter_async_context(empty_workflows(client))
        conditions = await conditions_of(stack)
        orders = Orders(shop)
        await orders.invite(max(CALLERS))
        return [*await _latency_rows(orders, empty, conditions), *await _rate_rows(orders, empty, conditions)]


async def _latency_rows(orders: Orders, empty: EmptyWorkflows, conditions: Mapping[str, object]) -> list[Row]:
    actions = {
        CREDIT_ORDER: orders.by_credits,
        EMPTY: empty.run,
        PAID_ORDER: orders.by_payment,
        EMPTY_BY_UPDATE: empty.run_by_update,
    }
    measured = await latencies(actions, warm_up=WARM_UP, samples=SAMPLES, within_s=SAMPLES_WITHIN_S)
    return [
        _latency_row(name, reference, measured, conditions)
        for name in (CREDIT_ORDER, PAY_PAGE, PAID_ORDER)
        for reference in (EMPTY, EMPTY_BY_UPDATE)
    ]


def _latency_row(name: str, reference: str, measured: Mapping[str, Latency], conditions: Mapping[str, object]) -> Row:
    return Row(
        name=name,
        value=measured[name].median_ms,
        unit="ms",
        reference=reference,
        reference_value=measured[reference].median_ms,
        conditions={
            **conditions,
            "callers": 1,
            "latency": asdict(measured[name]),
            "reference_latency": asdict(measured[reference]),
        },
    )


async def _rate_rows(orders: Orders, empty: EmptyWorkflows, conditions: Mapping[str, object]) -> list[Row]:
    rows = []
    for callers in CALLERS:
        actions = {CREDIT_ORDER: orders.by_credits, EMPTY: lambda _caller: empty.run()}
        measured = await rates(actions, callers=callers, slices=SLICES, slice_s=SLICE_S)
        rows.append(
            Row(
                name=f"credit order, {callers} callers",
                value=measured[CREDIT_ORDER],
                unit="/s",
                reference=EMPTY,
                reference_value=measured[EMPTY],
                conditions={**conditions, "callers": callers, "slices": SLICES, "slice_s": SLICE_S},
            )
        )
    return rows
