"""What a webhook costs, how many there are in a second, and how long it takes from one until its order is placed.

Stripe's: signed, so that checkout does everything by itself and calls nobody. Everything is real and on this machine;
next to each webhook stands an empty request to the same HTTP server, and next to the way of an order a bare workflow.
The sender's share, who makes and signs it, is in all figures alike.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from deploy.local.stack import MODULES
from quittance.checkout.v1 import checkout_pb2
from tests.bench.bare_workflows import STORING, BareWorkflows, bare_workflows
from tests.bench.conditions import conditions_of
from tests.bench.cpu import cpu_seconds
from tests.bench.measuring import Latency, latencies, rates
from tests.bench.registry import Row, benchmark
from tests.bench.report import BUILD
from tests.bench.rows import latency_row, rate_row
from tests.orchestrator.payment_stack import PaymentStack
from tests.payments.fakes.stripe_api import sign

GOAL_MS = 5.0
WARM_UP, SAMPLES, WITHIN_S = 50, 1000, 40.0
ORDERS_WARM_UP, ORDERS, ORDERS_WITHIN_S = 10, 100, 40.0
SENDERS = (16, 64)
SLICES, SLICE_S = 3, 2.5
# How often a shop looks whether an order is placed.
LOOK_EVERY_S = 0.002
# Of the order's workflow from the webhook on: read the payment, begin settling, book, place.
STEPS = 4

EMPTY_REQUEST = "empty request"
STORED = "webhook verified and stored"
REPEATED = "the same webhook again"
PAID = "webhook of a payment, answered"
PLACED = "webhook of a payment, until the order is placed"
EMPTY_WORKFLOW = "empty workflow"
BARE_WORKFLOW = f"bare, {STEPS} {STORING} steps"


@benchmark("webhooks")
async def measure() -> Sequence[Row]:
    """Latencies with one sender, then rates with many."""
    async with _running_stack() as stack:
        conditions = await conditions_of(stack.running.stack)
        senders = WebhookSenders(stack)
        await senders.choose_orders(max(SENDERS))
        return [
            *await _own_rows(senders, conditions),
            *await _order_rows(stack, senders, conditions),
            *await _rate_rows(stack, senders, conditions),
        ]


class WebhookSenders:
    """Posts webhooks as Stripe does."""

    def __init__(self, stack: PaymentStack) -> None:
        self._stack = stack
        self._http = stack.shop.http
        self._url = f"http://{stack.running.stack.address('checkout_http')}"
        # What is told is told by this benchmark alone.
        stack.stripe.deliveries.url = ""

    async def choose_orders(self, count: int) -> None:
        """One for each sender, whose page stays open: webhooks speak of tries to pay it that failed."""
        for _ in range(count):
            order = await self._stack.awaiting("stripe", payment_window_s=86_400)
            self._stack.stripe.refuse_card(self._stack.stripe_session(order))
        self._intents = list(self._stack.stripe.intents.values())
        self._known = self._stack.stripe.tell("payment_intent.payment_failed", self._intents[0])

    async def empty(self, _sender: int = 0) -> None:
        """A request that does nothing."""
        async with self._http.get(f"{self._url}/healthz") as answer:
            assert answer.status == 200

    async def stored(self, sender: int = 0) -> None:
        """A webhook that nobody has seen."""
        await self._post(self._stack.stripe.tell("payment_intent.payment_failed", self._intents[sender]))

    async def repeated(self) -> None:
        """One that is known."""
        await self._post(self._known)

    async def paid(self) -> Mapping[str, float]:
        """A customer has paid at once. Answers how long the webhook took, and how long until the order was placed."""
        order = await self._stack.awaiting("stripe")
        session = self._stack.stripe_session(order)
        self._stack.stripe.pay(session)
        started = time.perf_counter()
        await self._post(self._stack.stripe.tell("checkout.session.completed", session))
        answered_s = time.perf_counter() - started
        while (await self._stack.shop.read_order(order.order_id)).state != checkout_pb2.ORDER_STATE_PLACED:
            await asyncio.sleep(LOOK_EVERY_S)
        return {PAID: answered_s, PLACED: time.perf_counter() - started}

    async def _post(self, body: bytes) -> None:
        async with self._http.post(f"{self._url}/webhooks/stripe", data=body, headers=sign(body)) as answer:
            assert answer.status == 200


@asynccontextmanager
async def _running_stack() -> AsyncIterator[PaymentStack]:
    """Below build/, not in the system's temporary folder: that may be memory, where a sync is free."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as directory:
        stack = PaymentStack(Path(directory), proxied=())
        for name in (name for stage in MODULES for name in stage):
            stack.running.stack.set_environment(name, {"LOG_FORMAT": "json"})
        try:
            async with stack:
                yield stack
        finally:
            await asyncio.to_thread(stack.running.stack.postgres.remove)


async def _own_rows(senders: WebhookSenders, conditions: Mapping[str, object]) -> list[Row]:
    actions = {EMPTY_REQUEST: senders.empty, STORED: senders.stored, REPEATED: senders.repeated}
    measured = await latencies(actions, warm_up=WARM_UP, samples=SAMPLES, within_s=WITHIN_S)
    return [
        latency_row(STORED, EMPTY_REQUEST, measured, conditions),
        latency_row(REPEATED, EMPTY_REQUEST, measured, conditions),
        _own_share_row(STORED, measured, conditions),
    ]


async def _order_rows(stack: PaymentStack, senders: WebhookSenders, conditions: Mapping[str, object]) -> list[Row]:
    addresses = [stack.running.stack.address(name) for name in ("temporal", "checkout")]
    async with bare_workflows(*addresses) as bare:
        actions = {"order": senders.paid, EMPTY_REQUEST: senders.empty, **_bare_actions(bare)}
        measured = await latencies(actions, warm_up=ORDERS_WARM_UP, samples=ORDERS, within_s=ORDERS_WITHIN_S)
    return [
        latency_row(PAID, EMPTY_REQUEST, measured, conditions),
        _own_share_row(PAID, measured, conditions),
        latency_row(PLACED, BARE_WORKFLOW, measured, conditions),
        latency_row(PLACED, EMPTY_WORKFLOW, measured, conditions),
    ]


def _bare_actions(bare: BareWorkflows) -> dict[str, partial[object]]:
    return {BARE_WORKFLOW: partial(bare.run, STEPS, STORING), EMPTY_WORKFLOW: partial(bare.run, 0)}


async def _rate_rows(stack: PaymentStack, senders: WebhookSenders, conditions: Mapping[str, object]) -> list[Row]:
    rows = []
    in_slices = {**conditions, "slices": SLICES, "slice_s": SLICE_S}
    for count in SENDERS:
        measured = await rates(
            {STORED: senders.stored, EMPTY_REQUEST: senders.empty},
            callers=count,
            slices=SLICES,
            slice_s=SLICE_S,
            cpu_seconds=partial(cpu_seconds, stack.running.stack),
        )
        rows.append(rate_row(STORED, EMPTY_REQUEST, measured, count, in_slices))
    return rows


def _own_share_row(name: str, measured: Mapping[str, Latency], conditions: Mapping[str, object]) -> Row:
    own_ms = measured[name].median_ms - measured[EMPTY_REQUEST].median_ms
    return Row(f"{name}: our own share", own_ms, "ms", "goal", GOAL_MS, {**conditions, "callers": 1})
