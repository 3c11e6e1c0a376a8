"""Writing what a command decided: rows that are new are inserted, those that changed are updated."""

from typing import Any

from services.checkout.domain.orders import Order
from services.checkout.domain.payments import Payment
from services.checkout.domain.state import Change, ProcessedEvent, State
from services.checkout.store.rows import (
    draft_columns,
    line_rows,
    payment_columns,
    request_columns,
    standing_columns,
)
from services.checkout.store.statements import columns, queries
from services.runtime.database import Connection


async def write(connection: Connection, state: State, change: Change[Any]) -> None:
    """Writes the rows that differ from what was loaded."""
    if change.order is not None and change.order != state.order:
        await _write_order(connection, state.order, change.order)
    if change.payment is not None and change.payment != state.payment:
        await _write_payment(connection, state.payment, change.payment)
    if change.event is not None:
        await _write_event(connection, change.event)


async def _write_order(connection: Connection, before: Order | None, order: Order) -> None:
    if before is None:
        await _insert_order(connection, order)
        return
    await queries.update_order(connection, order.order_id, *standing_columns(order))
    if order.lines != before.lines:
        discounts = [(line.line_number, line.discount_minor) for line in order.lines]
        await queries.update_line_discounts(connection, order.order_id, *columns(discounts))


async def _insert_order(connection: Connection, order: Order) -> None:
    fixed = (*draft_columns(order.draft), order.created_at)
    await queries.insert_order(connection, *fixed, *standing_columns(order))
    await queries.insert_order_lines(connection, order.order_id, *columns(line_rows(order)))
    if order.draft.vouchers:
        vouchers = [(position, *voucher) for position, voucher in enumerate(order.draft.vouchers, start=1)]
        await queries.insert_order_vouchers(connection, order.order_id, *columns(vouchers))


async def _write_payment(connection: Connection, before: Payment | None, payment: Payment) -> None:
    if before is None:
        await queries.insert_payment(connection, *request_columns(payment), *payment_columns(payment))
    else:
        await queries.update_payment(connection, payment.payment_id, *payment_columns(payment))


async def _write_event(connection: Connection, processed: ProcessedEvent) -> None:
    event = processed.event
    await queries.insert_event(
        connection,
        event.provider,
        event.event_id,
        event.kind,
        event.order_id,
        event.session_id,
        event.raw_body,
        processed.status,
        processed.error,
        event.received_at,
    )
