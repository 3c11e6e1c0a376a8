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
The pivot, the steps after it and the undos are tried until they get through; order_saga.py has both.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from orchestrator import order_endings as endings
from orchestrator import order_steps as steps
from orchestrator.concurrency import shielded
from orchestrator.operator_updates import Resolvable
from orchestrator.order_endings import OrderEnds
from orchestrator.order_saga import CREATE_ORDER, HOLD_CREDITS, REDEEM_VOUCHERS, OrderSaga
from orchestrator.patience import HistoryFull, end_run_when_long
from orchestrator.steps import Request, Response, Step, StepRefused, try_step
from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2
from quittance.vouchers.v1 import vouchers_pb2

# How long a caller waits for the undo; then the refusal is given with undo_pending.
_ANSWER_AFTER = timedelta(seconds=5)

# Polling is the safety net for lost webhooks: first after this long, then ever more rarely.
_POLL_FIRST = timedelta(seconds=15)
_POLL_MAX = timedelta(minutes=5)
# A look at the payment that does not succeed within this is made again later.
_LOOK_LIMIT = timedelta(seconds=10)


@workflow.defn(name="CheckoutWorkflow")
class CheckoutWorkflow(Resolvable):
    """The saga of one order; its workflow id is "order-<order id>".

    `progress` is what earlier runs have left, when the history became too long for one.
    """

    @workflow.init
    def __init__(
        self, draft: order_workflow_pb2.OrderDraft, progress: order_workflow_pb2.OrderProgress | None = None
    ) -> None:
        self._draft = draft
        self._progress = progress or order_workflow_pb2.OrderProgress(order_state=checkout_pb2.ORDER_STATE_PENDING)
        self._order = OrderSaga(draft, self._progress)
        self._patience = self._order.patience
        self._requests = self._order.requests
        self._give_up_at = workflow.now() + timedelta(seconds=draft.place_timeout_s)
        self._forward: asyncio.Task[None] | None = None
        self._cancel_requested = False
        # The payment is looked at first of all when an earlier run may have been told of it.
        self._payment_changed = progress is not None

    @workflow.run
    async def run(
        self, draft: order_workflow_pb2.OrderDraft, progress: order_workflow_pb2.OrderProgress | None = None
    ) -> order_workflow_pb2.OrderResult:
        """Always ends with a result: an order that is not placed is no failure of its workflow."""
        try:
            ending = await self._reach_end()
        except HistoryFull:
            workflow.continue_as_new(args=[draft, self._progress])
        await shielded(workflow.wait_condition(workflow.all_handlers_finished))
        return order_workflow_pb2.OrderResult(
            order_state=self._progress.order_state,
            breakdown=self._progress.breakdown,
            refusal=ending.refusal if ending else None,
            undone_steps=self._progress.undone_steps,
        )

    async def _reach_end(self) -> OrderEnds | None:
        """Forward to the pivot and over it, or back. Answers None when the order is placed."""
        ending = OrderEnds.of(self._progress.ending) if self._progress.HasField("ending") else None
        if ending is None and not self._progress.is_settling:
            ending = await self._reach_pivot()
        if ending is None:
            ending = await shielded(self._order.settle())
        if ending is not None and await shielded(self._unwind(ending)):
            return ending
        self._give_answer()
        return None

    # The way to the pivot -----------------------------------------------------------------------------------------

    async def _reach_pivot(self) -> OrderEnds | None:
        """Takes all steps before the pivot. Answers None when the order can be settled."""
        self._forward = asyncio.create_task(self._prepare_and_collect())
        if self._cancel_requested:
            self._forward.cancel()
        try:
            await self._forward
        except OrderEnds as ending:
            return ending
        except StepRefused as refused:
            return endings.failed(refused.refusal)
        except asyncio.CancelledError:
            return endings.cancelled(self._draft.order_id)
        return None

    async def _prepare_and_collect(self) -> None:
        if not self._progress.is_handed_over:
            await self._prepare()
        if self._progress.breakdown.amount_due_minor > 0:
            # A run that goes on from an earlier one hands over once more, which changes nothing.
            expire_time = await shielded(self._hand_over())
            _raise_if_cancelled()
            await self._wait_for_payment(expire_time)

    async def _prepare(self) -> None:
        """All that an order needs before its customer can pay, or before it is settled if nothing is to pay."""
        undo = self._order.stack
        undo.register(CREATE_ORDER)
        created = await self._try(steps.CREATE_ORDER, self._requests.create_order())

        redemptions: Sequence[vouchers_pb2.Redemption] = ()
        if self._draft.vouchers:
            undo.register(REDEEM_VOUCHERS)
            redeemed = await self._try(steps.REDEEM_VOUCHERS, self._requests.redeem_vouchers(created))
            redemptions = redeemed.redemptions
        self._progress.credit_vouchers.extend(n for n, each in enumerate(redemptions) if each.HasField("credit_grant"))

        held_minor = 0
        if self._draft.use_credits or self._progress.credit_vouchers:
            undo.register(HOLD_CREDITS)
            held = await self._try(steps.HOLD_CREDITS, self._requests.hold_credits(created, redemptions))
            held_minor = held.hold.held_minor

        settled = await self._try(steps.SETTLE_PRICE, self._requests.settle_price(held_minor, redemptions))
        self._progress.breakdown.CopyFrom(settled.breakdown)

        if settled.breakdown.amount_due_minor > 0:
            self._progress.has_page = True
            await self._try(steps.OPEN_PAYMENT_SESSION, self._requests.open_payment_session())

    async def _hand_over(self) -> datetime:
        """Keeps credit vouchers, then makes the pay page readable. Answers when the page closes."""
        self._progress.is_handed_over = True
        if credit := self._progress.credit_vouchers:
            await self._order.insist(steps.KEEP_REDEMPTIONS, self._requests.keep_redemptions(credit))
        handed_over = await self._order.insist(steps.HAND_OVER, self._requests.hand_over())
        self._order.enter(checkout_pb2.ORDER_STATE_AWAITING_PAYMENT)
        if not self._cancel_requested:
            self._give_answer()
        return handed_over.payment_expire_time.ToDatetime(tzinfo=UTC)

    async def _wait_for_payment(self, expire_time: datetime) -> None:
        """Returns when the order is paid."""
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
                raise endings.declined(self._draft.order_id)
            if state == checkout_pb2.PAYMENT_STATE_EXPIRED:
                break
            end_run_when_long()
        raise endings.expired(self._draft.order_id)

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

    # The way back -------------------------------------------------------------------------------------------------

    async def _unwind(self, ending: OrderEnds) -> bool:
        """Undoes everything. False: the customer turned out to have paid meanwhile, so the order was placed."""
        undoing = asyncio.create_task(self._order.undo(ending))
        try:
            await workflow.wait_condition(
                undoing.done, timeout=_ANSWER_AFTER, timeout_summary="Undone by now? Else answer the caller meanwhile"
            )
        except TimeoutError:
            self._give_answer(ending, undo_pending=True)
        is_undone = await undoing
        if is_undone:
            self._give_answer(ending)
        return is_undone

    # Signals and updates ------------------------------------------------------------------------------------------

    @workflow.signal
    def payment_changed(self) -> None:
        """A webhook was stored. Early, doubled and late ones are harmless: the payment's row is what counts."""
        self._payment_changed = True

    @workflow.update
    async def place(self, update: order_workflow_pb2.PlaceUpdate) -> order_workflow_pb2.OrderAnswer:
        """The first answer: placed, pay here, or refused."""
        await workflow.wait_condition(lambda: self._progress.HasField("answer"))
        return self._progress.answer

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
        self._cancel_requested = True
        if self._forward is not None:
            self._forward.cancel()
        await workflow.wait_condition(self._is_decided)
        return self._progress.answer

    @cancel.validator
    def _validate_cancel(self) -> None:
        if self._progress.is_settling:
            raise ApplicationError("the order is being placed", type="ORDER_ALREADY_PLACED", non_retryable=True)

    # Small print --------------------------------------------------------------------------------------------------

    async def _try(self, step: Step[Request, Response], request: Request) -> Response:
        """Takes a step before the pivot. Raises StepRefused, also when it is still in doubt when time is up."""
        with self._order.story.step(step):
            response = await try_step(step, request, give_up_at=self._give_up_at)
        _raise_if_cancelled()
        return response

    def _give_answer(self, ending: OrderEnds | None = None, *, undo_pending: bool = False) -> None:
        # While a handed-over page is not closed yet the order can still turn out paid: its end is not known.
        is_certain = ending is not None and not (undo_pending and self._progress.is_handed_over)
        answer = order_workflow_pb2.OrderAnswer(
            order_state=ending.order_state if ending is not None and is_certain else self._progress.order_state,
            refusal=ending.refusal if ending else None,
            undo_pending=undo_pending,
        )
        self._progress.answer.CopyFrom(answer)

    def _is_decided(self) -> bool:
        """Whether the answer says how the order ends, not only where to pay."""
        answer = self._progress.answer
        return answer.HasField("refusal") or answer.order_state == checkout_pb2.ORDER_STATE_PLACED


def _raise_if_cancelled() -> None:
    """The SDK answers a result that comes in the same task as a cancellation, and forgets the cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling() > 0:
        raise asyncio.CancelledError
