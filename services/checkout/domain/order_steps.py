"""The steps of an order: what each needs, what it changes, when it says no."""

from dataclasses import replace
from datetime import datetime

from services.checkout.domain.commands import (
    BeginSettling,
    CompleteOrder,
    CreateOrder,
    EndOrder,
    HandOver,
    RefuseOrder,
    SettlePrice,
    Settling,
)
from services.checkout.domain.kinds import FORWARD_ONLY, OrderState
from services.checkout.domain.orders import Order, refused_unseen
from services.checkout.domain.prices import Breakdown, break_down, price_lines, stale_part, with_discounts
from services.checkout.domain.state import Change, State
from services.checkout.errors import CheckoutInFlight, OrderStateConflict, PaymentIsPaid, PaymentNotSettled


def create_order(command: CreateOrder, state: State) -> Change[Order]:
    """Takes the customer's one slot.

    Raises ORDER_ALREADY_ENDED, ORDER_EXISTS_WITH_DIFFERENT_FIELD, CHECKOUT_IN_FLIGHT, PRICE_NOT_FOUND,
    CURRENCY_MISMATCH, AMOUNT_OUT_OF_RANGE.
    """
    draft = command.draft
    if state.order is not None:
        state.order.check_same(draft.request_fingerprint)
        state.order.check_not_ended()
        return Change(state.order)
    if state.in_flight is not None:
        in_flight = state.in_flight
        raise CheckoutInFlight(in_flight_order_id=in_flight.order_id, in_flight_order_state=in_flight.state.value)
    lines = price_lines(draft.lines, state.prices, draft.currency)
    order = Order(draft=draft, state=OrderState.PENDING, lines=lines, created_at=state.now, updated_at=state.now)
    return Change(order, order=order)


def refuse_order(command: RefuseOrder, state: State) -> Change[Order]:
    """Stores a refusal under the order's id, unless the order is known: then it stays as it is."""
    if state.order is not None:
        return Change(state.order)
    refused = refused_unseen(command.draft, OrderState.FAILED, command.refusal, state.now)
    return Change(refused, order=refused)


def settle_price(command: SettlePrice, state: State) -> Change[Breakdown]:
    """Fixes how the order is paid, if that is what the customer confirmed (C2).

    Raises STALE_QUOTE, ORDER_NOT_FOUND, ORDER_ALREADY_ENDED, INVALID_REQUEST (discounts that fit no line), and
    ORDER_STATE_CONFLICT when the price was settled otherwise before.
    """
    order = state.require_order(command.order_id)
    order.check_not_ended()
    lines = with_discounts(order.lines, command.line_discounts)
    breakdown = break_down(lines, command.credits_held_minor)
    if order.breakdown is not None:
        if (breakdown, lines) != (order.breakdown, order.lines):
            raise _does_not_fit(order, "settle_price")
        return Change(breakdown)
    stale = stale_part(order.draft.expected, breakdown)
    if stale is not None:
        raise stale
    return Change(breakdown, order=replace(order, lines=lines, breakdown=breakdown, updated_at=state.now))


def hand_over(command: HandOver, state: State) -> Change[datetime]:
    """Lets the pay page be known.

    A page that has expired meanwhile is handed over all the same: who waits for the payment will see it.
    Raises ORDER_NOT_FOUND, ORDER_ALREADY_ENDED, and ORDER_STATE_CONFLICT when there is no page or it is being closed.
    """
    order, payment = state.require_order(command.order_id), state.payment
    order.check_not_ended()
    if payment is None or payment.session is None:
        raise _does_not_fit(order, "hand_over")
    if order.handed_over_at is not None:
        return Change(payment.session.expires_at)
    if payment.is_closing or order.state is not OrderState.PENDING:
        raise _does_not_fit(order, "hand_over")
    return Change(payment.session.expires_at, order=order.handed_over(state.now))


def begin_settling(command: BeginSettling, state: State) -> Change[Settling]:
    """The pivot: only if paid or nothing is to pay, and not ended.

    Raises ORDER_NOT_FOUND, ORDER_ALREADY_ENDED, PAYMENT_NOT_SETTLED.
    """
    order, payment = state.require_order(command.order_id), state.payment
    order.check_not_ended()
    breakdown = order.breakdown
    is_paid = payment is not None and payment.pays
    if breakdown is None or (breakdown.amount_due_minor > 0 and not is_paid):
        raise PaymentNotSettled(order_id=order.order_id, payment_state=payment.state.value if payment else "none")
    settling = Settling(breakdown=breakdown, payment=payment)
    if order.state in FORWARD_ONLY:
        return Change(settling)
    return Change(settling, order=order.settling(state.now))


def complete_order(command: CompleteOrder, state: State) -> Change[datetime]:
    """Everything is in. Raises ORDER_NOT_FOUND, ORDER_STATE_CONFLICT."""
    order = state.require_order(command.order_id)
    if order.placed_at is not None:
        return Change(order.placed_at)
    if order.state is not OrderState.SETTLING:
        raise _does_not_fit(order, "complete_order")
    return Change(state.now, order=order.placed(state.now))


def end_order(command: EndOrder, state: State) -> Change[OrderState]:
    """Ends an order without a sale; an unknown one is stored as ended, so that a late creation is refused.

    The first end wins, also one that was given to another request under the same id; a repetition without
    `undo_pending` only says that by now everything is undone.
    Raises PAYMENT_IS_PAID, ORDER_ALREADY_PLACED, ORDER_EXISTS_WITH_DIFFERENT_FIELD.
    """
    order = state.order
    if order is None:
        order = refused_unseen(
            command.draft, command.state, command.refusal, state.now, undo_pending=command.undo_pending
        )
        return Change(order.state, order=order)
    if order.has_ended:
        return Change(order.state, order=_as_undone(order, command, state.now))
    order.check_same(command.draft.request_fingerprint)
    if order.state in FORWARD_ONLY:
        raise order.already_placed()
    if state.payment is not None and state.payment.pays:
        raise PaymentIsPaid(order_id=order.order_id)
    ended = order.ended(command.state, command.refusal, state.now, undo_pending=command.undo_pending)
    return Change(command.state, order=ended)


def _as_undone(order: Order, command: EndOrder, now: datetime) -> Order:
    """An ended order after another EndOrder; a request of somebody else's under this id knows nothing of its undo."""
    is_same = order.draft.request_fingerprint == command.draft.request_fingerprint
    is_news = order.undone_at is None and not command.undo_pending
    return order.undone(now) if is_same and is_news else order


def _does_not_fit(order: Order, step: str) -> OrderStateConflict:
    return OrderStateConflict(order_id=order.order_id, order_state=order.state.value, step=step)
