"""Reading what a command sees: the customer's lock first, then everything else by later statements."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from services.checkout.domain.commands import (
    ApplyNews,
    ApplyRefundNews,
    Command,
    CompleteRefund,
    CreateOrder,
    DraftCommand,
    OrderCommand,
    ReceiveEvent,
    RequestRefund,
)
from services.checkout.domain.kinds import OrderState
from services.checkout.domain.prices import Price
from services.checkout.domain.receipts import Receipt, ReceiptKey, Refund
from services.checkout.domain.state import InFlight, State
from services.checkout.store.rows import order_of, payment_of, receipt_of, refund_of
from services.checkout.store.statements import queries
from services.runtime.database import Connection


async def load(connection: Connection, command: Command[Any]) -> State:
    """Locks the customer, then reads the order, its payment and what else this command needs."""
    order_id = order_id_of(command)
    customer_id = await _lock_customer(connection, command, order_id)
    row = await queries.load_order(connection, order_id)
    order, payment = order_of(row), payment_of(row)
    # A clock that was set back must not let a row change before its last change.
    times = [row["now"], order and order.updated_at, payment and payment.updated_at]
    return State(
        order=order,
        payment=payment,
        in_flight=await load_in_flight(connection, customer_id) if isinstance(command, CreateOrder) else None,
        prices=await _load_prices_of(connection, command) if order is None else {},
        receipts=await _load_receipts(connection, command, order_id),
        refunds=await _load_refunds(connection, command, order_id),
        is_event_known=await _is_event_known(connection, command),
        now=max(time for time in times if time is not None),
    )


def order_id_of(command: Command[Any]) -> UUID | None:
    """The order that a command is about; None for a webhook that names none of ours."""
    if isinstance(command, DraftCommand):
        return command.draft.order_id
    if isinstance(command, ReceiveEvent):
        return command.event.order_id
    assert isinstance(command, OrderCommand)
    return command.order_id


async def load_in_flight(connection: Connection, customer_id: UUID | None) -> InFlight | None:
    """The order that holds the customer's one slot."""
    row = await queries.find_in_flight(connection, customer_id)
    return None if row is None else InFlight(row["order_id"], OrderState(row["state"]))


async def load_prices(connection: Connection, price_ids: list[UUID]) -> Mapping[UUID, Price]:
    """Those of the prices that exist."""
    rows = await queries.load_prices(connection, price_ids)
    return {row["price_id"]: Price(**row) for row in rows}


async def _lock_customer(connection: Connection, command: Command[Any], order_id: UUID | None) -> UUID | None:
    """The customer, locked; None when the command brings none and its order is unknown: then nothing is shared."""
    if not isinstance(command, DraftCommand):
        row = await queries.lock_customer_of_order(connection, order_id)
        return None if row is None else row["customer_id"]
    customer_id: UUID = command.draft.customer_id
    # Most customers were seen before.
    if await queries.lock_customer(connection, customer_id) is None:
        await queries.insert_customer(connection, customer_id)
        await queries.lock_customer(connection, customer_id)
    return customer_id


async def _load_prices_of(connection: Connection, command: Command[Any]) -> Mapping[UUID, Price]:
    if not isinstance(command, CreateOrder):
        return {}
    return await load_prices(connection, [line.price_id for line in command.draft.lines])


async def _is_event_known(connection: Connection, command: Command[Any]) -> bool:
    if not isinstance(command, ReceiveEvent):
        return False
    event = command.event
    return await queries.find_event(connection, event.provider, event.event_id) is not None


def _is_about_money(command: Command[Any]) -> bool:
    """Whether it looks at money that came or goes back."""
    if isinstance(command, ReceiveEvent):
        return command.news is not None or command.refund is not None
    return isinstance(command, ApplyNews | RequestRefund | ApplyRefundNews | CompleteRefund)


async def _load_receipts(connection: Connection, command: Command[Any], order_id: UUID | None) -> tuple[Receipt, ...]:
    if not _is_about_money(command):
        return ()
    provider, provider_payment_id = receipt_key_of(command) or (None, None)
    rows = await queries.load_receipts(connection, order_id, provider, provider_payment_id)
    return tuple(receipt_of(row) for row in rows)


async def _load_refunds(connection: Connection, command: Command[Any], order_id: UUID | None) -> tuple[Refund, ...]:
    if not _is_about_money(command):
        return ()
    return tuple(refund_of(row) for row in await queries.load_refunds(connection, order_id))


def receipt_key_of(command: Command[Any]) -> ReceiptKey | None:
    """The receipt that a command speaks of, apart from those of its order."""
    if isinstance(command, ApplyRefundNews):
        return command.news.key
    if not isinstance(command, ReceiveEvent):
        return None
    if command.refund is not None:
        return command.refund.key
    if command.news is None or command.news.provider_payment_id is None:
        return None
    return ReceiptKey(command.event.provider, command.news.provider_payment_id)
