"""One order, from its first step to its end: placed, failed, expired or cancelled. Read it top to bottom.

    step                  undo                                     where
    create order          end order (frees the customer's slot)    checkout
    redeem vouchers       roll back                                vouchers
    hold credits          release, reverse this order's grants     ledger
    settle price          -                                        checkout
    open payment session  close it, before anything else           checkout, provider
    hand over             - (forward only, once begun)             vouchers, checkout
    wait for the payment  -                                        checkout, provider
    PIVOT begin settling  - (from here on nothing is undone)       checkout
    book money, capture hold, confirm redemptions, place order     ledger, vouchers, checkout

Before the pivot a step in doubt is tried until the order's place_timeout_s has passed; then everything is undone.
The pivot, the steps after it and the undos are tried until they get through.
"""

import asyncio
from collections.abc import Awaitable
from datetime import datetime, timedelta

from google.rpc import code_pb2
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from orchestrator import order_steps as steps
from orchestrator.order_requests import OrderRequests
from orchestrator.order_story import OrderStory
from orchestrator.saga import Saga, shielded
from orchestrator.steps import Request, Response, Step, StepRefused, try_step
from quittance.checkout.v1 import checkout_pb2, order_steps_pb2, order_workflow_pb2
from quittance.errors.v1 import refusal_pb2
from quittance.vouchers.v1 import vouchers_pb2

# How long a caller waits for the undo; then the refusal is given with undo_pending.
_ANSWER_AFTER = timedelta(seconds=5)

# Polling is the safety net for lost webhooks: first after this long, then ever more rarely.
_POLL_FIRST = timedelta(seconds=15)
_POLL_MAX = timedelta(minutes=5)
# A look at the payment that does not succeed within this is made again later.
_LOOK_LIMIT = timedelta(seconds=10)
# How often a pay page that its provider cannot close is looked at, until it has ended by itself.
_STILL_OPEN_RETRY = timedelta(seconds=60)


class _OrderEnds(Exception):
    """The order is not going to be placed."""

    def __init__(self, order_state: checkout_pb2.OrderState.ValueType, refusal: refusal_pb2.Refusal) -> None:
        super().__init__(refusal.reason)
        self.order_state = order_state
        self.refusal = refusal


@workflow.defn(name="CheckoutWorkflow")
class CheckoutWorkflow:
    """The saga of one order; its workflow id is "order-<order id>"."""

    @workflow.init
    def __init__(self, draft: order_workflow_pb2.OrderDraft) -> None:
        self._draft = draft
        self._requests = OrderRequests(draft)
        self._story = OrderStory(draft)
        self._saga = Saga(on_change=self._show)
        self._give_up_at = workflow.now() + timedelta(seconds=draft.place_timeout_s)

        self._state: checkout_pb2.OrderState.ValueType = checkout_pb2.ORDER_STATE_PENDING
        self._answer: order_workflow_pb2.OrderAnswer | None = None
        self._redemptions: list[vouchers_pb2.Redemption] = []
        self._breakdown = checkout_pb2.PriceBreakdown()
        self._ending: _OrderEnds
        self._has_hold = False
        self._has_session = False
        self._is_handed_over = False
        self._is_settling = False
        self._payment_changed = False
        self._cancel_requested = False
        self._forward: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, draft: order_workflow_pb2.OrderDraft) -> order_workflow_pb2.OrderResult:
        """Always ends with a result: an order that is not placed is no failure of its workflow."""
        ending = await self._reach_pivot()
        if ending is None:
            ending = await shielded(self._settle())
        if ending is not None:
            ending = await shielded(self._unwind(ending))
        await shielded(workflow.wait_condition(workflow.all_handlers_finished))
        return order_workflow_pb2.OrderResult(
            order_state=self._state,
            breakdown=self._breakdown,
            refusal=ending.refusal if ending else None,
            undone_steps=self._saga.undone,
        )

    # The way to the pivot -----------------------------------------------------------------------------------------

    async def _reach_pivot(self) -> _OrderEnds | None:
        """Runs all steps before the pivot. Answers None when the order can be settled."""
        self._forward = asyncio.create_task(self._prepare_and_collect())
        if self._cancel_requested:
            self._forward.cancel()
        try:
            await self._forward
        except _OrderEnds as ending:
            return ending
        except StepRefused as refused:
            return _OrderEnds(checkout_pb2.ORDER_STATE_FAILED, refused.refusal)
        except asyncio.CancelledError:
            return self._ends(checkout_pb2.ORDER_STATE_CANCELLED, "ORDER_CANCELLED", code_pb2.ABORTED)
        return None

    async def _prepare_and_collect(self) -> None:
        # The slot may go to the customer's next order as soon as this one's page is closed and its credits are free.
        self._saga.register("create order", self._end_order, after=("hold credits",))
        created = await self._try(steps.CREATE_ORDER, self._requests.create_order())

        if self._draft.vouchers:
            self._saga.register("redeem vouchers", self._roll_back_vouchers)
            redeemed = await self._try(steps.REDEEM_VOUCHERS, self._requests.redeem_vouchers(created))
            self._redemptions = list(redeemed.redemptions)

        held_minor = 0
        if self._draft.use_credits or self._credit_redemptions():
            self._saga.register("hold credits", self._release_hold)
            self._has_hold = True
            held = await self._try(steps.HOLD_CREDITS, self._requests.hold_credits(created, self._redemptions))
            held_minor = held.hold.held_minor

        settled = await self._try(steps.SETTLE_PRICE, self._requests.settle_price(held_minor, self._redemptions))
        self._breakdown = settled.breakdown
        if self._breakdown.amount_due_minor > 0:
            await self._collect_payment()

    async def _collect_payment(self) -> None:
        """Returns when the order is paid."""
        self._has_session = True
        await self._try(steps.OPEN_PAYMENT_SESSION, self._requests.open_payment_session())
        expire_time = await shielded(self._hand_over())
        _raise_if_cancelled()
        await self._wait_for_payment(expire_time)

    async def _hand_over(self) -> datetime:
        """Keeps credit vouchers, then makes the pay page readable. Answers when the page closes."""
        self._is_handed_over = True
        if credit := self._credit_redemptions():
            await self._insist(steps.KEEP_REDEMPTIONS, self._requests.keep_redemptions(credit))
        handed_over = await self._insist(steps.HAND_OVER, self._requests.hand_over())
        self._enter(checkout_pb2.ORDER_STATE_AWAITING_PAYMENT)
        if not self._cancel_requested:
            self._give_answer()
        return handed_over.payment_expire_time.ToDatetime(tzinfo=workflow.now().tzinfo)

    async def _wait_for_payment(self, expire_time: datetime) -> None:
        poll_after = _POLL_FIRST
        while (left := expire_time - workflow.now()) > timedelta(0):
            nudged = await self._nudged_within(min(poll_after, left))
            if not nudged:
                poll_after = min(poll_after * 2, _POLL_MAX)
            state = await self._look_at_payment(ask_provider=not nudged)
            _raise_if_cancelled()
            if state == checkout_pb2.PAYMENT_STATE_PAID:
                return
            if state == checkout_pb2.PAYMENT_STATE_FAILED:
                raise self._ends(checkout_pb2.ORDER_STATE_FAILED, "PAYMENT_DECLINED")
            if state == checkout_pb2.PAYMENT_STATE_EXPIRED:
                break
        raise self._ends(checkout_pb2.ORDER_STATE_EXPIRED, "PAYMENT_EXPIRED")

    async def _nudged_within(self, patience: timedelta) -> bool:
        try:
            await workflow.wait_condition(
                lambda: self._payment_changed, timeout=patience, timeout_summary="Wait for the customer to pay"
            )
        except TimeoutError:
            return False
        self._payment_changed = False
        return True

    async def _look_at_payment(self, *, ask_provider: bool) -> checkout_pb2.PaymentState.ValueType:
        """The payment's state; pending also when it cannot be read just now: the next look will tell."""
        step = steps.POLL_PAYMENT if ask_provider else steps.READ_PAYMENT
        request = self._requests.read_payment(ask_provider=ask_provider)
        try:
            return (await try_step(step, request, give_up_at=workflow.now() + _LOOK_LIMIT)).payment.state
        except StepRefused:
            return checkout_pb2.PAYMENT_STATE_PENDING

    # The pivot, and what follows it -------------------------------------------------------------------------------

    async def _settle(self) -> _OrderEnds | None:
        """Answers None when the order is placed, or why the pivot refused it."""
        self._is_settling = True
        try:
            begun = await self._saga.persist(steps.BEGIN_SETTLING, self._requests.begin_settling())
        except StepRefused as refused:
            return _OrderEnds(checkout_pb2.ORDER_STATE_FAILED, refused.refusal)
        self._state = checkout_pb2.ORDER_STATE_SETTLING
        bookings: list[Awaitable[object]] = []
        if begun.HasField("payment"):
            bookings.append(self._insist(steps.BOOK_PAYMENT, self._requests.book_payment(begun.payment)))
        if self._has_hold:
            bookings.append(self._spend_hold())
        if self._redemptions:
            bookings.append(self._insist(steps.CONFIRM_REDEMPTIONS, self._requests.confirm_redemptions()))
        await asyncio.gather(*bookings)
        await self._insist(steps.COMPLETE_ORDER, self._requests.complete_order())
        self._enter(checkout_pb2.ORDER_STATE_PLACED)
        self._give_answer()
        return None

    async def _spend_hold(self) -> None:
        if self._breakdown.credits_minor == 0:
            await self._insist(steps.FREE_HOLD, self._requests.release_hold(reverse_grants=False))
        else:
            await self._insist(steps.CAPTURE_HOLD, self._requests.capture_hold(self._breakdown.credits_minor))

    # The way back -------------------------------------------------------------------------------------------------

    async def _unwind(self, ending: _OrderEnds) -> _OrderEnds | None:
        """Undoes everything and answers `ending`; or None when the customer turned out to have paid meanwhile."""
        self._ending = ending
        undoing = asyncio.create_task(self._undo())
        done, _ = await workflow.wait([undoing], timeout=_ANSWER_AFTER.total_seconds())
        if not done:
            self._give_answer(ending, undo_pending=True)
        if not await undoing:
            return None
        self._enter(ending.order_state)
        self._give_answer(ending)
        return ending

    async def _undo(self) -> bool:
        """Answers False when the pay page turned out paid: then the order was placed and nothing undone."""
        # The one order that matters: nobody may pay any more before credits and vouchers are given back.
        is_paid = self._has_session and await self._close_session() == order_steps_pb2.CLOSE_OUTCOME_PAID
        if is_paid and await self._settle() is None:
            return False
        await self._saga.undo_all()
        return True

    async def _close_session(self) -> order_steps_pb2.CloseOutcome.ValueType:
        while True:
            closed = await self._insist(steps.CLOSE_PAYMENT_SESSION, self._requests.close_payment_session())
            if closed.outcome != order_steps_pb2.CLOSE_OUTCOME_STILL_OPEN:
                return closed.outcome
            await workflow.sleep(_STILL_OPEN_RETRY, summary="Wait for the pay page to end by itself")

    async def _release_hold(self) -> None:
        """Once the pay page was handed over, the credit of a voucher is the customer's to keep."""
        step = steps.FREE_HOLD if self._is_handed_over else steps.RELEASE_HOLD
        await self._insist(step, self._requests.release_hold(reverse_grants=not self._is_handed_over))

    async def _roll_back_vouchers(self) -> None:
        which = list(range(len(self._draft.vouchers)))
        if self._is_handed_over:
            credit = self._credit_redemptions()
            which = [n for n in which if n not in credit]
        if which:
            await self._insist(steps.ROLLBACK_REDEMPTIONS, self._requests.roll_back_redemptions(which))

    async def _end_order(self) -> None:
        await self._insist(steps.END_ORDER, self._requests.end_order(self._ending.order_state, self._ending.refusal))

    # Signals and updates ------------------------------------------------------------------------------------------

    @workflow.signal
    def payment_changed(self) -> None:
        """A webhook was stored. Early, doubled and late ones are harmless: the payment's row is what counts."""
        self._payment_changed = True

    @workflow.update
    async def place(self, update: order_workflow_pb2.PlaceUpdate) -> order_workflow_pb2.OrderAnswer:
        """The first answer: placed, pay here, or refused."""
        await workflow.wait_condition(lambda: self._answer is not None)
        assert self._answer is not None
        return self._answer

    @place.validator
    def _validate_place(self, update: order_workflow_pb2.PlaceUpdate) -> None:
        if update.request_fingerprint != self._draft.request_fingerprint:
            raise ApplicationError(
                "the order id is taken by another content",
                type="ORDER_EXISTS_WITH_DIFFERENT_FIELD",
                non_retryable=True,
            )

    @workflow.update
    async def cancel(self) -> order_workflow_pb2.OrderAnswer:
        """Cancels the order. Answers after the undo, or after 5 seconds with undo_pending."""
        before = self._answer
        self._cancel_requested = True
        if self._forward is not None:
            self._forward.cancel()
        if before is None or not before.undo_pending:
            await workflow.wait_condition(lambda: self._answer is not before and self._is_decided())
        assert self._answer is not None
        return self._answer

    @cancel.validator
    def _validate_cancel(self) -> None:
        if self._is_settling:
            raise ApplicationError("the order is being placed", type="ORDER_ALREADY_PLACED", non_retryable=True)

    @workflow.update
    def retry_stuck(self) -> None:
        """An operator has removed what a stuck step was refused for: it is tried again."""
        self._saga.retry_stuck()

    @retry_stuck.validator
    def _validate_retry_stuck(self) -> None:
        if not self._saga.stuck:
            raise ApplicationError("no step of this order is stuck", type="NOTHING_STUCK", non_retryable=True)

    # Small print --------------------------------------------------------------------------------------------------

    async def _try(self, step: Step[Request, Response], request: Request) -> Response:
        response = await try_step(step, request, give_up_at=self._give_up_at)
        _raise_if_cancelled()
        self._story.did(step.summary)
        return response

    async def _insist(self, step: Step[Request, Response], request: Request) -> Response:
        response = await self._saga.insist(step, request)
        self._story.did(step.summary)
        return response

    def _credit_redemptions(self) -> list[int]:
        """Which vouchers of the order gave credit (and are not just answered from the wallet)."""
        return [n for n, redemption in enumerate(self._redemptions) if redemption.HasField("credit_grant")]

    def _ends(
        self,
        order_state: checkout_pb2.OrderState.ValueType,
        reason: str,
        status: code_pb2.Code.ValueType = code_pb2.FAILED_PRECONDITION,
    ) -> _OrderEnds:
        refusal = refusal_pb2.Refusal(
            status=status,
            domain="checkout.quittance",
            reason=reason,
            metadata={"order_id": self._draft.order_id},
            message=f"order {self._draft.order_id}: {reason.replace('_', ' ').lower()}",
        )
        return _OrderEnds(order_state, refusal)

    def _enter(self, order_state: checkout_pb2.OrderState.ValueType) -> None:
        self._state = order_state
        self._story.enter(order_state, self._breakdown)
        self._show()

    def _give_answer(self, ending: _OrderEnds | None = None, *, undo_pending: bool = False) -> None:
        # While a handed-over page is not closed yet the order can still turn out paid: its end is not known.
        is_certain = ending is not None and not (undo_pending and self._is_handed_over)
        self._answer = order_workflow_pb2.OrderAnswer(
            order_state=ending.order_state if ending is not None and is_certain else self._state,
            refusal=ending.refusal if ending else None,
            undo_pending=undo_pending,
        )

    def _is_decided(self) -> bool:
        """Whether the answer says how the order ends, not only where to pay."""
        answer = self._answer
        return answer is not None and (
            answer.HasField("refusal") or answer.order_state == checkout_pb2.ORDER_STATE_PLACED
        )

    def _show(self) -> None:
        self._story.show(self._state, self._saga.stuck, self._saga.undone)


def _raise_if_cancelled() -> None:
    """The SDK answers a result that comes in the same task as a cancellation, and forgets the cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling() > 0:
        raise asyncio.CancelledError
