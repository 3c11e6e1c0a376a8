"""What every workflow of an order may have to do with it: settle it, or undo it.

Each step may be done over: whoever knows the order's draft and progress can begin anew at the pivot or at the undo.
"""

import contextlib
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow

from orchestrator import order_steps as steps
from orchestrator.concurrency import together
from orchestrator.order_endings import OrderEnds, failed
from orchestrator.order_requests import OrderRequests
from orchestrator.order_story import OrderStory
from orchestrator.patience import Patience
from orchestrator.saga import Saga, Undo
from orchestrator.steps import Request, Response, Step, StepRefused
from quittance.checkout.v1 import checkout_pb2, order_steps_pb2, order_workflow_pb2

# The steps that can be undone.
CREATE_ORDER = "create order"
REDEEM_VOUCHERS = "redeem vouchers"
HOLD_CREDITS = "hold credits"

# How long the end of the order waits for what is undone beside it, before it frees the customer's slot.
_OTHER_UNDOS = timedelta(seconds=1)


class OrderSaga:
    """One order with its progress. What it raises: HistoryFull, when the workflow has to go on in a new run."""

    def __init__(self, draft: order_workflow_pb2.OrderDraft, progress: order_workflow_pb2.OrderProgress) -> None:
        self.progress = progress
        self.requests = OrderRequests(draft)
        self.story = OrderStory(progress)
        self.patience = Patience(on_change=self.show_stuck)
        undos = {
            # The slot may go to the customer's next order as soon as this one's page is closed and its credits free.
            CREATE_ORDER: Undo(self._end_order, after=(HOLD_CREDITS,)),
            REDEEM_VOUCHERS: Undo(self._roll_back_vouchers),
            HOLD_CREDITS: Undo(self._release_hold),
        }
        self.stack = Saga(undos, progress.steps_to_undo, progress.undone_steps)
        self._voucher_count = len(draft.vouchers)

    async def insist(self, step: Step[Request, Response], request: Request) -> Response:
        """Does a step that must get through."""
        with self.story.step(step):
            return await self.patience.insist(step, request)

    def enter(self, order_state: checkout_pb2.OrderState.ValueType) -> None:
        """The order is in a new state."""
        self.story.enter(order_state)

    def show_stuck(self) -> None:
        """Tells which steps are stuck, or are no longer."""
        self.story.show_stuck(self.patience.stuck)

    # The pivot, and what follows it -------------------------------------------------------------------------------

    async def settle(self) -> OrderEnds | None:
        """Answers None when the order is placed, or why the pivot refused it."""
        self.progress.is_settling = True
        try:
            with self.story.step(steps.BEGIN_SETTLING):
                begun = await self.patience.persist(steps.BEGIN_SETTLING, self.requests.begin_settling())
        except StepRefused as refused:
            self.progress.is_settling = False
            return failed(refused.refusal)
        self.progress.order_state = checkout_pb2.ORDER_STATE_SETTLING
        bookings: list[Coroutine[Any, Any, object]] = []
        if begun.HasField("payment"):
            bookings.append(self.insist(steps.BOOK_PAYMENT, self.requests.book_payment(begun.payment)))
        if self.stack.is_registered(HOLD_CREDITS):
            bookings.append(self._spend_hold(begun.breakdown.credits_minor))
        if self._voucher_count:
            bookings.append(self.insist(steps.CONFIRM_REDEMPTIONS, self.requests.confirm_redemptions()))
        await together(bookings)
        await self.insist(steps.COMPLETE_ORDER, self.requests.complete_order())
        self.enter(checkout_pb2.ORDER_STATE_PLACED)
        return None

    async def _spend_hold(self, credits_minor: int) -> None:
        if credits_minor == 0:
            await self.insist(steps.FREE_HOLD, self.requests.release_hold(reverse_grants=False))
        else:
            await self.insist(steps.CAPTURE_HOLD, self.requests.capture_hold(credits_minor))

    # The way back -------------------------------------------------------------------------------------------------

    async def undo(self, ending: OrderEnds) -> bool:
        """Undoes everything. False: the customer turned out to have paid meanwhile, so the order was placed."""
        self.progress.ending.CopyFrom(ending.as_answer())
        # The one order that matters: nobody may pay any more before credits and vouchers are given back.
        if self.progress.has_page:
            closed = await self.insist(steps.CLOSE_PAYMENT_SESSION, self.requests.close_payment_session())
            if closed.outcome == order_steps_pb2.CLOSE_OUTCOME_PAID and await self.settle() is None:
                return False
        await self.stack.undo_all()
        if self.progress.is_undo_pending:
            await self._end_order()
        self.enter(ending.order_state)
        return True

    async def _release_hold(self) -> None:
        """Once the pay page was handed over, the credit of a voucher is the customer's to keep."""
        step = steps.FREE_HOLD if self.progress.is_handed_over else steps.RELEASE_HOLD
        await self.insist(step, self.requests.release_hold(reverse_grants=not self.progress.is_handed_over))

    async def _roll_back_vouchers(self) -> None:
        if not self.progress.is_handed_over:
            request = self.requests.roll_back_redemptions(range(self._voucher_count))
            await self.insist(steps.ROLLBACK_REDEMPTIONS, request)
            return
        for number in range(self._voucher_count):
            await self._roll_back_unless_kept(number)

    async def _roll_back_unless_kept(self, number: int) -> None:
        request = self.requests.roll_back_redemptions([number])
        with contextlib.suppress(StepRefused), self.story.step(steps.ROLLBACK_REDEMPTIONS):
            await self.patience.insist(steps.ROLLBACK_REDEMPTIONS, request, unless="REDEMPTION_KEPT")

    async def _end_order(self) -> None:
        """Frees the customer's slot. The order stays open for repairs as long as something is left to be undone."""
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: not self._others_left(), timeout=_OTHER_UNDOS)
        self.progress.is_undo_pending = self._others_left()
        ending = self.progress.ending
        request = self.requests.end_order(ending, undo_pending=self.progress.is_undo_pending)
        await self.insist(steps.END_ORDER, request)

    def _others_left(self) -> bool:
        return self.stack.left() not in ([], [CREATE_ORDER])
