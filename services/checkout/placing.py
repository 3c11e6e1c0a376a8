"""Placing and cancelling orders: what is looked at before a workflow is started, and how its answer is given."""

import asyncio
from typing import NamedTuple
from uuid import UUID

from services.checkout.domain.commands import RefuseOrder
from services.checkout.domain.kinds import ENDED, FORWARD_ONLY, IN_FLIGHT, OrderState
from services.checkout.domain.orders import DOMAIN, Draft, OrderAnswer, OrderVoucher, Refusal, payment_url_of
from services.checkout.domain.prices import stale_part
from services.checkout.domain.requests import PlaceRequest
from services.checkout.domain.state import InFlight
from services.checkout.errors import CheckoutInFlight, OrderAlreadyPlaced, OrderInterrupted, WorkflowsUnavailable
from services.checkout.quoting import Quote, Quoter
from services.checkout.refusals import is_definite
from services.checkout.servicer import decode
from services.checkout.store.checkout_store import CheckoutStore, StoredOrder
from services.checkout.workflow_client import WorkflowClient, WorkflowGone
from services.runtime.errors import PassedOn, ServiceError

# How long an order that is replaced may take to end, and how often it is looked at.
_REPLACE_WAIT_S = 10.0
_REPLACE_LOOK_S = 0.1

# Orders whose row alone has the answer. The others' workflow is asked: it knows its first answer.
_ANSWERED = frozenset(OrderState) - {OrderState.PENDING, OrderState.SETTLING}


class Cancelled(NamedTuple):
    """An order after its cancellation; the undo may still be going on."""

    stored: StoredOrder
    undo_pending: bool


class OrderPlacer:
    """Takes orders in and takes them back. Deadlines are on the event loop's clock."""

    def __init__(self, store: CheckoutStore, quoter: Quoter, workflows: WorkflowClient) -> None:
        self._store = store
        self._quoter = quoter
        self._workflows = workflows

    async def place(self, request: PlaceRequest, deadline: float | None) -> StoredOrder:
        """The order, placed or with its pay page; repeated with the same id it converges.

        Raises what any part of an order is refused with: with "order_state" in its metadata it is final for this
        id. Without: ORDER_EXISTS_WITH_DIFFERENT_FIELD, SERVICE_UNAVAILABLE, WORKFLOWS_UNAVAILABLE, DEADLINE_PASSED.
        """
        draft, refusal = None, None
        stored = await self._store.find_order(request.order_id)
        if stored is None:
            draft, refusal = await self._look_first(request, deadline)
        if draft is not None and refusal is not None:
            await self._store.execute(RefuseOrder(draft=draft, refusal=refusal))
            stored = await self._store.read_order(request.order_id)
        if stored is not None:
            stored.order.check_same(request.fingerprint)
            if stored.order.state in _ANSWERED:
                return await self._answer(stored)
            draft = stored.order.draft
        assert draft is not None
        return await self._begin(draft, deadline)

    async def cancel(self, order_id: UUID, deadline: float | None) -> Cancelled:
        """Cancels an order that is not settling or placed; one that has ended stays as it is.

        Raises ORDER_NOT_FOUND, ORDER_ALREADY_PLACED, WORKFLOWS_UNAVAILABLE, DEADLINE_PASSED.
        """
        stored = await self._store.read_order(order_id)
        undo_pending = False
        if stored.order.state in IN_FLIGHT - FORWARD_ONLY:
            answer = await self._workflows.cancel(order_id, deadline)
            stored = await self._store.read_order(order_id)
            if answer is None and stored.order.state in IN_FLIGHT - FORWARD_ONLY:
                self._workflows.repair(order_id)
                raise WorkflowsUnavailable
            undo_pending = answer is not None and answer.undo_pending
        if stored.order.state in FORWARD_ONLY:
            raise OrderAlreadyPlaced(order_id=order_id, order_state=stored.order.state.value)
        return Cancelled(stored, undo_pending)

    async def _begin(self, draft: Draft, deadline: float | None) -> StoredOrder:
        """Starts the order's workflow, or joins those who wait for its first answer."""
        try:
            answer = await self._workflows.place(draft, deadline)
        except WorkflowGone:
            return await self._left_by_workflow(draft)
        stored = await self._store.find_order(draft.order_id)
        if stored is not None:
            stored.order.check_same(draft.request_fingerprint)
        if answer is not None and answer.refusal is not None:
            # The first end of an order is its end: a worker that was too slow takes all steps again, and finds only
            # that the order has ended.
            first = stored.order.refusal if stored is not None else None
            raise await self._refused(answer, first or answer.refusal, draft.customer_id)
        if stored is None or (answer is None and stored.order.state is OrderState.PENDING):
            raise WorkflowsUnavailable
        return await self._answer(stored)

    async def _left_by_workflow(self, draft: Draft) -> StoredOrder:
        """What an order whose workflow is not there any more has come to; one that is still open gets repaired."""
        stored = await self._store.find_order(draft.order_id)
        if stored is None:
            # Stopped before its first step, which stores the order: so nothing was done anywhere.
            interrupted = Refusal.of(OrderInterrupted(order_id=draft.order_id))
            await self._store.execute(RefuseOrder(draft=draft, refusal=interrupted))
            stored = await self._store.read_order(draft.order_id)
        stored.order.check_same(draft.request_fingerprint)
        if stored.order.is_open:
            self._workflows.repair(draft.order_id)
        if stored.order.state is OrderState.PENDING:
            raise WorkflowsUnavailable
        return await self._answer(stored)

    async def _answer(self, stored: StoredOrder) -> StoredOrder:
        """What the order's row answers. Raises the refusal that it ended with."""
        order = stored.order
        if order.refusal is not None:
            answer = OrderAnswer(state=order.state, refusal=order.refusal, undo_pending=False)
            raise await self._refused(answer, order.refusal, order.draft.customer_id)
        return stored

    async def _refused(self, answer: OrderAnswer, refusal: Refusal, customer_id: UUID) -> PassedOn:
        """The refusal as its caller gets it: whole, and marked as final for this order id once its end is known."""
        more = {"order_state": answer.state.value} if answer.state in ENDED else {}
        if answer.undo_pending:
            more["undo_pending"] = "true"
        if (refusal.domain, refusal.reason) == (DOMAIN, CheckoutInFlight.reason):
            more |= await self._way_to_pay(refusal, customer_id)
        return refusal.as_error(**more)

    async def _way_to_pay(self, refusal: Refusal, customer_id: UUID) -> dict[str, str]:
        """The pay page of the order in flight (P5). Its address is a bearer value, so it is kept in its row only."""
        stored = await self._store.find_order(UUID(refusal.metadata["in_flight_order_id"]))
        if stored is None or stored.order.draft.customer_id != customer_id:
            return {}
        url = payment_url_of(stored.order, stored.payment)
        return {"payment_url": url} if url is not None else {}

    async def _look_first(self, request: PlaceRequest, deadline: float | None) -> tuple[Draft, Refusal | None]:
        """The order without codes, and why it is refused before anything is begun."""
        try:
            await self._require_slot(request, deadline)
            quote = await self._quoter.quote(request.basket)
        except ServiceError as error:
            if not is_definite(error):
                raise
            return request.draft(()), Refusal.of(error)
        return request.draft(_known_vouchers(quote)), _refusal_of_quote(quote, request)

    async def _require_slot(self, request: PlaceRequest, deadline: float | None) -> None:
        """Raises CHECKOUT_IN_FLIGHT while another order of this customer is on its way and does not make way."""
        in_flight = await self._store.find_in_flight(request.basket.customer_id)
        if in_flight is None or in_flight.order_id == request.order_id:
            return
        remaining = await self._replaced(in_flight.order_id, deadline) if request.replace else in_flight
        if remaining is not None:
            state = remaining.state.value
            raise CheckoutInFlight(in_flight_order_id=remaining.order_id, in_flight_order_state=state)

    async def _replaced(self, order_id: UUID, deadline: float | None) -> InFlight | None:
        """None once the order is cancelled and has ended; the order when it turned out paid, or does not end."""
        try:
            await self._await_end((await self.cancel(order_id, deadline)).stored, deadline)
        except (OrderAlreadyPlaced, TimeoutError):
            stored = await self._store.read_order(order_id)
            return None if stored.order.has_ended else InFlight(order_id, stored.order.state)
        return None

    async def _await_end(self, stored: StoredOrder, deadline: float | None) -> None:
        """Returns when the order has ended. Raises ORDER_ALREADY_PLACED, TimeoutError."""
        latest = asyncio.get_running_loop().time() + _REPLACE_WAIT_S
        async with asyncio.timeout_at(latest if deadline is None else min(deadline, latest)):
            while not stored.order.has_ended:
                if stored.order.state in FORWARD_ONLY:
                    raise stored.order.already_placed()
                await asyncio.sleep(_REPLACE_LOOK_S)
                stored = await self._store.read_order(stored.order.order_id)


def _known_vouchers(quote: Quote) -> tuple[OrderVoucher, ...]:
    return tuple(
        OrderVoucher(UUID(assessment.voucher_id), assessment.masked_code)
        for assessment in quote.assessments
        if assessment.voucher_id
    )


def _refusal_of_quote(quote: Quote, request: PlaceRequest) -> Refusal | None:
    """Unknown codes and a stale total. Other refusals of vouchers are the redemption's to give: it decides."""
    refused = [assessment for assessment in quote.assessments if assessment.HasField("refusal")]
    for assessment in refused:
        if not assessment.voucher_id:
            return decode.refusal(assessment.refusal)
    stale = None if refused else stale_part(request.expected, quote.breakdown)
    return Refusal.of(stale) if stale is not None else None
