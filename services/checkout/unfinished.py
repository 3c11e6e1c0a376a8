"""Work that belongs to a workflow which may not have been told, or not started: told and started again.

The rows say what is unfinished; workflow ids make each start happen once, so that all replicas may do this at the same
time. What is urgent is told at once; this is what makes a crash in between heal by itself.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

from services.checkout.domain.commands import Event
from services.checkout.domain.kinds import ReceiptStanding
from services.checkout.domain.receipts import Receipt, Refund, left_of
from services.checkout.payment_workflow_client import PaymentWorkflowClient
from services.checkout.store.checkout_store import CheckoutStore
from services.checkout.store.money_store import MoneyStore
from services.checkout.workflow_client import WorkflowClient

# How many of a kind are looked at in one go, and how old a webhook is before it counts as not told.
_AT_ONCE_MAX = 200
_UNTOLD_AFTER_S = 5.0
# Below every id.
_FIRST = UUID(int=0)


class Round:
    """Some of what is there at a time, one after the other and again: what stays for long keeps nothing else waiting.

    find: gives the ids from behind one on, in their order, so many at the most.
    """

    def __init__(self, find: Callable[[UUID, int], Awaitable[list[UUID]]], at_once_max: int) -> None:
        self._find = find
        self._at_once_max = at_once_max
        self._after = _FIRST

    async def next(self) -> list[UUID]:
        """The next ones; after the last, those from the beginning on come with the next call."""
        found = await self._find(self._after, self._at_once_max)
        self._after = found[-1] if len(found) == self._at_once_max else _FIRST
        return found


class Unfinished:
    """Finds what is unfinished and hands it to workflows."""

    def __init__(
        self, store: CheckoutStore, money: MoneyStore, orders: WorkflowClient, payments: PaymentWorkflowClient
    ) -> None:
        self._store = store
        self._money = money
        self._orders = orders
        self._payments = payments
        self._uncompleted = Round(money.find_uncompleted_refunds, _AT_ONCE_MAX)
        self._unwatched = Round(money.find_unwatched, _AT_ONCE_MAX)

    async def hand_over(self) -> None:
        """So many of each kind. Raises WORKFLOWS_UNAVAILABLE: it is done again soon."""
        for event in await self._money.find_untold_events(_UNTOLD_AFTER_S, _AT_ONCE_MAX):
            if event.order_id is not None:
                await self.nudge(event.order_id)
            await self._money.mark_told(event.provider, event.event_id)
        for unwanted in await self._money.find_unreturned(_AT_ONCE_MAX):
            await self._payments.start_late_payment(unwanted.receipt, unwanted.left_minor)
        for refund_id in await self._uncompleted.next():
            await self._payments.start_refund(refund_id)
        for order_id in await self._unwatched.next():
            await self._payments.start_session_watch(order_id)

    def tell(self, order_id: UUID, event: Event) -> None:
        """What a stored webhook sets going, in the background: its sender need not wait. It may get lost."""
        self._payments.in_background(self._tell(order_id, event))

    async def nudge(self, order_id: UUID) -> None:
        """Tells the workflow of an order that its payment has changed. Only an open order has one, or must get one."""
        found = await self._store.find_order(order_id)
        if found is not None and found.order.is_open:
            self._orders.nudge(order_id)

    async def hand_over_order(self, order_id: UUID) -> None:
        """What is unfinished about the money of one order, in the background."""
        found = await self._money.find_order_money(order_id)
        if found is None:
            return
        receipts, refunds = found
        for receipt in receipts:
            left_minor = left_of(receipt, refunds)
            if receipt.standing is ReceiptStanding.UNWANTED and left_minor > 0:
                self.give_back(receipt, left_minor)
        for refund in refunds:
            self.carry_out_refund(refund)

    def carry_out_refund(self, refund: Refund) -> None:
        """In the background, at once."""
        if refund.completed_at is None:
            self._payments.in_background(self._payments.start_refund(refund.refund_id))

    def give_back(self, receipt: Receipt, left_minor: int) -> None:
        """In the background, at once."""
        self._payments.in_background(self._payments.start_late_payment(receipt, left_minor))

    async def _tell(self, order_id: UUID, event: Event) -> None:
        if not event.is_told:
            await self.nudge(order_id)
            await self._money.mark_told(event.provider, event.event_id)
        await self.hand_over_order(order_id)
