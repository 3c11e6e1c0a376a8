"""Customers who pay, are declined, let the page expire, cancel, pay late or too little, and get money back.

Each customer has one order of 50 OMR. What he does is drawn before anything begins, so that a seed repeats the plan.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import grpc

from quittance.checkout.v1 import checkout_pb2, payments_pb2
from services.runtime.grpc_errors import refusal_of
from tests.faults.crowd import ask_until_answered
from tests.faults.tills import Till
from tests.orchestrator.payment_stack import PaymentStack
from tests.shop import PRICE_MINOR, patiently

ENDS = {"placed", "failed", "expired", "cancelled"}
# What is left when the page expires, in seconds: the shortest that there is.
SHORT_WINDOW_S = 5
# A worker's death costs more than the usual minute on a slow machine.
PLACE_TIMEOUT_S = 300
ASK_AGAIN_AFTER_S = 30.0
# How often a customer looks whether his order has ended.
LOOK_EVERY_S = 0.5
# How long he waits for it when all that he wanted is done.
PATIENCE_S = 5.0
PARTS_MINOR, PARTS_ASKED, PARTS_MADE = 20_000, 3, 2
DASHBOARD_MINOR = 12_000
TOO_LITTLE_MINOR = PRICE_MINOR - 10_000


@dataclass(frozen=True)
class Visit:
    """One customer before his pay page. `hesitation`: a share of the time that he might take, 0 to 1."""

    stack: PaymentStack
    till: Till
    order_id: str
    hesitation: float
    refund_ids: tuple[str, ...]

    async def pays(self) -> None:
        await self._hesitates()
        self.till.pay(self.order_id)

    async def is_declined_first(self) -> None:
        """At YooKassa there is no second try: he comes with a good card at once."""
        if self.till.double is self.stack.stripe:
            self.till.decline(self.order_id)
        await self.pays()

    async def is_declined(self) -> None:
        await self._hesitates()
        self.till.decline(self.order_id)

    async def lets_it_expire(self) -> None:
        await self.ended()
        self.till.abandon(self.order_id)

    async def cancels(self) -> None:
        await self._hesitates()
        await self._cancel()
        self.till.abandon(self.order_id)

    async def pays_and_cancels(self) -> None:
        """At the same time."""
        await asyncio.gather(self.pays(), self._cancel())

    async def pays_after_cancelling(self) -> None:
        self.till.begin_slowly(self.order_id)
        await self._cancel()
        # Until the page is closed, or given up, the order may still turn out paid.
        await self.ended()
        await self._hesitates()
        self.till.finish_slowly(self.order_id)

    async def pays_after_the_end(self) -> None:
        self.till.begin_slowly(self.order_id)
        await self.ended()
        self.till.finish_slowly(self.order_id)

    async def pays_too_little(self) -> None:
        """And cancels when nothing comes of it."""
        self.till.pay(self.order_id, TOO_LITTLE_MINOR)
        await self._hesitates()
        await self._cancel()

    async def gets_all_back(self) -> None:
        await self.pays()
        if await self.ended() == "placed":
            await self._refund(self.refund_ids[0], 0)

    async def gets_parts_back(self) -> None:
        """Asks for more parts at once than there are (P-6)."""
        await self.pays()
        if await self.ended() == "placed":
            asked = [self._refund(refund_id, PARTS_MINOR) for refund_id in self.refund_ids[:PARTS_ASKED]]
            assert sum(await asyncio.gather(*asked)) == PARTS_MADE, self.order_id

    async def gets_some_at_the_dashboard(self) -> None:
        await self.pays()
        if await self.ended() == "placed":
            self.till.refund_at_dashboard(self.order_id, DASHBOARD_MINOR)

    async def ended(self) -> str:
        """How the order has ended; waits for it."""
        while (state := await self._state()) not in ENDS:
            await asyncio.sleep(LOOK_EVERY_S)
        return state

    async def _state(self) -> str:
        order = await self.stack.shop.read_order(self.order_id)
        return checkout_pb2.OrderState.Name(order.state).removeprefix("ORDER_STATE_").lower()

    async def _hesitates(self) -> None:
        await asyncio.sleep(self.hesitation)

    async def _cancel(self) -> None:
        """Until there is an answer; also when he was too late."""
        while True:
            try:
                await self.stack.shop.cancel(self.order_id)
            except grpc.aio.AioRpcError as error:
                if refusal_of(error).reason == "ORDER_ALREADY_PLACED":
                    return
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    async def _refund(self, refund_id: str, amount_minor: int) -> bool:
        """Whether it is made; False when nothing is left for it."""
        request = payments_pb2.RefundPaymentRequest(
            refund_id=refund_id, order_id=self.order_id, amount_minor=amount_minor, reason="customer.request"
        )
        try:
            await patiently(lambda: self.stack.payments.RefundPayment(request))
        except grpc.aio.AioRpcError as error:
            if refusal_of(error).reason != "REFUND_EXCEEDS_PAYMENT":
                raise
            return False
        return True


@dataclass(frozen=True)
class Habit:
    """What some customers do. `share` of a hundred; `kept_minor`: what the shop has of it if the order is placed."""

    share: int
    visit: Callable[[Visit], Awaitable[None]]
    ends: frozenset[str]
    window_s: int = 0
    kept_minor: int = PRICE_MINOR


PLACED, CANCELLED, EXPIRED = frozenset({"placed"}), frozenset({"cancelled"}), frozenset({"expired"})
HABITS = {
    "pays": Habit(38, Visit.pays, PLACED),
    "is declined, then pays": Habit(7, Visit.is_declined_first, PLACED),
    "is declined": Habit(6, Visit.is_declined, frozenset({"failed", "expired"}), SHORT_WINDOW_S),
    "lets the page expire": Habit(6, Visit.lets_it_expire, EXPIRED, SHORT_WINDOW_S),
    "cancels": Habit(6, Visit.cancels, CANCELLED),
    "pays and cancels": Habit(8, Visit.pays_and_cancels, PLACED | CANCELLED),
    "pays after cancelling": Habit(7, Visit.pays_after_cancelling, CANCELLED),
    "pays after the end": Habit(5, Visit.pays_after_the_end, EXPIRED, SHORT_WINDOW_S),
    "pays too little": Habit(4, Visit.pays_too_little, CANCELLED),
    "gets all back": Habit(5, Visit.gets_all_back, PLACED, kept_minor=0),
    "gets parts back": Habit(4, Visit.gets_parts_back, PLACED, kept_minor=PRICE_MINOR - PARTS_MADE * PARTS_MINOR),
    "gets some at the dashboard": Habit(
        4, Visit.gets_some_at_the_dashboard, PLACED, kept_minor=PRICE_MINOR - DASHBOARD_MINOR
    ),
}


@dataclass(frozen=True)
class Payer:
    """One customer of the plan."""

    order_id: str
    customer_id: str
    provider: str
    habit: str
    hesitation: float
    refund_ids: tuple[str, ...]

    async def visit(self, stack: PaymentStack, till: Till, template: checkout_pb2.PlaceOrderRequest) -> None:
        """From the order to its end, or until his patience ends. `template`: an order of anybody."""
        habit = HABITS[self.habit]
        request = checkout_pb2.PlaceOrderRequest()
        request.CopyFrom(template)
        request.order_id, request.customer_id = self.order_id, self.customer_id
        request.payment_provider, request.payment_window_s = self.provider, habit.window_s
        request.place_timeout_s = PLACE_TIMEOUT_S
        visit = Visit(stack, till, self.order_id, self.hesitation, self.refund_ids)
        answer = await ask_until_answered(stack.shop, request, ASK_AGAIN_AFTER_S)
        if answer == "awaiting_payment":
            await habit.visit(visit)
        else:
            # The answer took longer than the page was open.
            assert answer in ({"PAYMENT_EXPIRED"} if habit.window_s else ()), f"{self.order_id} was answered {answer}"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await visit.ended()


def plan_of(dice: random.Random, count: int) -> Iterator[Payer]:
    """So many customers, one after the other; the same dice give the same ones."""
    names, shares = list(HABITS), [habit.share for habit in HABITS.values()]
    for _ in range(count):
        yield Payer(
            order_id=_id(dice),
            customer_id=_id(dice),
            provider=dice.choice(("stripe", "yookassa")),
            habit=dice.choices(names, shares)[0],
            hesitation=0.3 * dice.random(),
            refund_ids=tuple(_id(dice) for _ in range(PARTS_ASKED)),
        )


def _id(dice: random.Random) -> str:
    return str(UUID(int=dice.getrandbits(128), version=4))
