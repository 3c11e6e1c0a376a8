"""One order's page at a double, and all who want something of it at about the same time.

Who takes part, and when, is drawn before anything begins, so that a seed gives the same contests however many of them
go on beside each other.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import grpc

from quittance.checkout.v1 import checkout_pb2
from services.runtime.grpc_errors import refusal_of
from tests.faults.scenario import Purchase
from tests.orchestrator.payment_stack import PaymentStack
from tests.payments.fakes.stripe_api import StripeDouble
from tests.payments.fakes.yookassa_api import YooKassaDouble, in_text
from tests.shop import CURRENCY

# All of a contest begins within this time.
SPREAD_S = 0.4
AT_DASHBOARD_MINOR = 8_000


class PayPage(Protocol):
    """An order's page and its money at a double. What comes too late there does nothing."""

    def pay(self) -> None:
        """The customer pays."""

    def expire(self) -> None:
        """The provider closes the page."""

    def give_back(self) -> None:
        """Somebody gives a part of the money back at the dashboard."""


class StripePage:
    def __init__(self, double: StripeDouble, order_id: str) -> None:
        self._double = double
        self._session = double.session_of(order_id)

    def pay(self) -> None:
        if self._session["status"] == "open":
            self._double.pay(self._session)

    def expire(self) -> None:
        if self._session["status"] == "open":
            self._double.expire(self._session)

    def give_back(self) -> None:
        intent_id = self._session["payment_intent"] or ""
        if self._double.journal.balance(intent_id) >= AT_DASHBOARD_MINOR:
            self._double.refund_at_dashboard(self._double.intents[intent_id], AT_DASHBOARD_MINOR)


class YooKassaPage:
    def __init__(self, double: YooKassaDouble, order_id: str) -> None:
        self._double = double
        self._payment = double.payment_of(order_id)

    def pay(self) -> None:
        if self._payment["status"] == "pending":
            self._double.pay(self._payment)

    def expire(self) -> None:
        if self._payment["status"] == "pending":
            self._double.cancel(self._payment, "expired_on_confirmation")

    def give_back(self) -> None:
        if self._double.journal.balance(self._payment["id"]) >= AT_DASHBOARD_MINOR:
            self._double.refund_at_dashboard(self._payment, in_text(AT_DASHBOARD_MINOR, CURRENCY))


def page_at(tills: PaymentStack, order: checkout_pb2.Order) -> PayPage:
    if order.payment.provider == "stripe":
        return StripePage(tills.stripe, order.order_id)
    return YooKassaPage(tills.yookassa, order.order_id)


@dataclass(frozen=True)
class Entry:
    """Somebody who takes part, and when: in seconds from the contest's moment on."""

    rival: str
    delay_s: float


def drawn(dice: random.Random, rivals: list[str]) -> list[Entry]:
    """Each of them at a time of its own."""
    return [Entry(rival, dice.uniform(0, SPREAD_S)) for rival in rivals]


@dataclass
class Contest:
    """One order for whose end many compete; `cancelled` are the states that those who cancelled it were told."""

    tills: PaymentStack
    purchase: Purchase
    entries: list[Entry]
    # True: about the moment at which the order itself gives its page up.
    is_at_its_end: bool = False
    cancelled: list[checkout_pb2.OrderState.ValueType] = field(default_factory=list)

    async def hold(self) -> checkout_pb2.OrderState.ValueType:
        """Lets all of them have a go; answers how the order's workflow has ended."""
        order = await self.purchase.place()
        if isinstance(order, checkout_pb2.Order):
            await self._compete(order)
        # Else a slow machine has handed the page over when its time was up.
        result = await self.tills.running.workflow_of(self.purchase.order_id).result()
        return result.order_state

    async def _compete(self, order: checkout_pb2.Order) -> None:
        rivals = self._rivals(page_at(self.tills, order), order.order_id)
        closes_in_s = (order.payment.expire_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
        wait_s = max(0.0, closes_in_s - SPREAD_S / 2) if self.is_at_its_end else 0.0
        await asyncio.gather(*(after(wait_s + entry.delay_s, rivals[entry.rival]) for entry in self.entries))

    def _rivals(self, page: PayPage, order_id: str) -> Mapping[str, Callable[[], Awaitable[None]]]:
        async def at_page(action: Callable[[], None]) -> None:
            action()

        return {
            "pay": lambda: at_page(page.pay),
            "expire": lambda: at_page(page.expire),
            "give back": lambda: at_page(page.give_back),
            "poll": lambda: self.tills.poll(order_id),
            "cancel": lambda: self._cancel(order_id),
        }

    async def _cancel(self, order_id: str) -> None:
        try:
            answer = await self.tills.shop.cancel(order_id)
        except grpc.aio.AioRpcError as error:
            if refusal_of(error).reason != "ORDER_ALREADY_PLACED":
                raise
            self.cancelled.append(checkout_pb2.ORDER_STATE_PLACED)
        else:
            # While the undo is going on the order may still turn out paid.
            if not answer.undo_pending:
                self.cancelled.append(answer.order.state)


async def after(delay_s: float, action: Callable[[], Awaitable[object]]) -> None:
    """Does it then."""
    await asyncio.sleep(delay_s)
    await action()
