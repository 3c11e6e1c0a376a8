"""The one door to the rules: a command and what it sees in, its answer and the rows to write out."""

from collections.abc import Callable
from typing import Any, TypeVar

from services.checkout.domain.commands import (
    ApplyNews,
    ApplyRefundNews,
    AskForSession,
    BeginClosing,
    BeginSettling,
    Command,
    CompleteOrder,
    CompleteRefund,
    CreateOrder,
    EndOrder,
    HandOver,
    ReceiveEvent,
    RecordClosed,
    RecordSession,
    RefuseOrder,
    RequestRefund,
    SettlePrice,
)
from services.checkout.domain.order_steps import (
    begin_settling,
    complete_order,
    create_order,
    end_order,
    hand_over,
    refuse_order,
    settle_price,
)
from services.checkout.domain.payment_steps import (
    apply_read,
    ask_for_session,
    begin_closing,
    receive_event,
    record_closed,
    record_session,
)
from services.checkout.domain.receipt_steps import apply_refund_news, complete_refund, request_refund
from services.checkout.domain.state import Change, State

Result = TypeVar("Result")

_DECIDERS: dict[type, Callable[[Any, State], Change[Any]]] = {
    CreateOrder: create_order,
    RefuseOrder: refuse_order,
    SettlePrice: settle_price,
    AskForSession: ask_for_session,
    RecordSession: record_session,
    HandOver: hand_over,
    BeginClosing: begin_closing,
    RecordClosed: record_closed,
    ApplyNews: apply_read,
    ReceiveEvent: receive_event,
    BeginSettling: begin_settling,
    CompleteOrder: complete_order,
    EndOrder: end_order,
    RequestRefund: request_refund,
    ApplyRefundNews: apply_refund_news,
    CompleteRefund: complete_refund,
}


def decide(command: Command[Result], state: State) -> Change[Result]:
    """The command's answer and what is to be written for it. Raises the command's refusals; writes nothing."""
    return _DECIDERS[type(command)](command, state)
