"""An order whose workflow is gone is settled or undone from its row alone. Read it top to bottom.

    where the row stands               what becomes of the order
    placed, or ended and undone        nothing: it is done
    ended, not all undone              the undo is finished
    past the pivot                     it is settled, forward to placed
    a pay page is open                 the page is handed over, as its workflow would have done, and then closed;
                                       if it turns out paid the order is settled, else undone
    anything else                      it is undone

What the lost workflow still had on the way may arrive at any time: every undo leaves a tombstone that refuses it.
Nobody starts this one for an order with a workflow that goes on, and if somebody does it ends at once.
"""

from datetime import timedelta

from temporalio import workflow

from orchestrator import order_endings as endings
from orchestrator import order_steps as steps
from orchestrator.concurrency import shielded
from orchestrator.operator_updates import Resolvable
from orchestrator.order_endings import OrderEnds
from orchestrator.order_saga import CREATE_ORDER, HOLD_CREDITS, REDEEM_VOUCHERS, OrderSaga
from orchestrator.patience import HistoryFull, Patience
from orchestrator.steps import StepRefused, try_step
from quittance.checkout.v1 import checkout_pb2, order_steps_pb2, order_workflow_pb2

# What Temporal's UI shows of a repair.
REPAIR_SUMMARY = "Settle or undo an order whose workflow is gone"

# How long the order's row may not be readable; then the repair fails, and the next sweep starts another one.
_READ_WITHIN = timedelta(minutes=5)


def repair_id_of(order_id: str) -> str:
    """One repair at a time; there may be another one later."""
    return f"order-repair-{order_id}"


@workflow.defn(name="OrderRepairWorkflow")
class OrderRepairWorkflow(Resolvable):
    """The end of one order; its workflow id is "order-repair-<order id>"."""

    @workflow.init
    def __init__(self, request: order_workflow_pb2.RepairRequest) -> None:
        self._patience = Patience(on_change=lambda: None)

    @workflow.run
    async def run(self, request: order_workflow_pb2.RepairRequest) -> order_workflow_pb2.OrderResult:
        """How the order has ended. Fails, before it has done anything, when the order cannot be read."""
        try:
            return await shielded(self._repair(request))
        except HistoryFull:
            # What has been done is in the rows.
            workflow.continue_as_new(request)

    async def _repair(self, request: order_workflow_pb2.RepairRequest) -> order_workflow_pb2.OrderResult:
        row = await self._read(request.order_id)
        if not row.is_open:
            return order_workflow_pb2.OrderResult(
                order_state=row.order_state, breakdown=row.breakdown, refusal=row.refusal
            )
        progress = _progress_of(row)
        order = OrderSaga(row.draft, progress)
        self._patience = order.patience
        ending = await _settle_or_undo(order, row)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return order_workflow_pb2.OrderResult(
            order_state=progress.order_state,
            breakdown=progress.breakdown,
            refusal=ending.refusal if ending else None,
            undone_steps=progress.undone_steps,
        )

    async def _read(self, order_id: str) -> order_steps_pb2.ReadOrderResponse:
        """The order's row, once it is certain that nobody else works on it."""
        give_up_at = workflow.now() + _READ_WITHIN
        asked = order_workflow_pb2.FindAbandonedOrdersRequest(order_ids=[order_id])
        read = order_steps_pb2.ReadOrderRequest(order_id=order_id)
        try:
            abandoned = await try_step(steps.FIND_ABANDONED, asked, give_up_at=give_up_at)
            row = await try_step(steps.READ_ORDER, read, give_up_at=give_up_at)
        except StepRefused as refused:
            raise refused.as_failure() from refused
        if not abandoned.order_ids:
            row.is_open = False
        return row


async def _settle_or_undo(order: OrderSaga, row: order_steps_pb2.ReadOrderResponse) -> OrderEnds | None:
    """Answers None when the order is placed."""
    if order.progress.is_settling:
        ending = await order.settle()
        if ending is None:
            return None
    else:
        ending = _ending_of(row)
    if row.has_page and not order.progress.is_handed_over:
        await _finish_hand_over(order, len(row.draft.vouchers))
    return ending if await order.undo(ending) else None


async def _finish_hand_over(order: OrderSaga, voucher_count: int) -> None:
    """It may have begun, and what has begun is finished: a credit voucher that was kept stays with its customer."""
    order.progress.is_handed_over = True
    if voucher_count:
        await order.insist(steps.KEEP_REDEMPTIONS, order.requests.keep_redemptions(range(voucher_count)))
    await order.insist(steps.HAND_OVER, order.requests.hand_over())


def _progress_of(row: order_steps_pb2.ReadOrderResponse) -> order_workflow_pb2.OrderProgress:
    """As far as the lost workflow can have come: nobody knows, so every step may have had its effect."""
    to_undo = [CREATE_ORDER]
    if row.draft.vouchers:
        to_undo.append(REDEEM_VOUCHERS)
    if row.draft.vouchers or row.draft.use_credits:
        to_undo.append(HOLD_CREDITS)
    return order_workflow_pb2.OrderProgress(
        order_state=row.order_state,
        breakdown=row.breakdown,
        steps_to_undo=to_undo,
        has_page=True,
        is_handed_over=row.is_handed_over,
        is_settling=row.order_state == checkout_pb2.ORDER_STATE_SETTLING,
    )


def _ending_of(row: order_steps_pb2.ReadOrderResponse) -> OrderEnds:
    """The end that it had come to, or would have."""
    if row.HasField("refusal"):
        return OrderEnds(row.order_state, row.refusal)
    if row.payment.state == checkout_pb2.PAYMENT_STATE_FAILED:
        return endings.declined(row.draft.order_id)
    # A page that somebody has closed is not one that nobody has paid on in time.
    if row.payment.state == checkout_pb2.PAYMENT_STATE_EXPIRED and row.is_handed_over and row.has_page:
        return endings.expired(row.draft.order_id)
    return endings.interrupted(row.draft.order_id)
