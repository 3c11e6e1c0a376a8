"""Writing what a command decided: rows that are new are inserted, those that changed are updated."""

import json
from collections.abc import Sequence
from typing import Any

from services.checkout.domain.findings import Finding
from services.checkout.domain.orders import Order
from services.checkout.domain.payments import Payment
from services.checkout.domain.receipts import Receipt, Refund
from services.checkout.domain.state import Change, State
from services.checkout.store.rows import (
    draft_columns,
    line_rows,
    payment_columns,
    receipt_columns,
    refund_columns,
    refund_request_columns,
    request_columns,
    standing_columns,
)
from services.checkout.store.statements import columns, queries
from services.runtime.database import Connection


async def write(connection: Connection, state: State, change: Change[Any]) -> list[Finding]:
    """Writes the rows that differ from what was loaded; answers the findings that nobody had made before."""
    if change.order is not None and change.order != state.order:
        await _write_order(connection, state.order, change.order)
    if change.payment is not None and change.payment != state.payment:
        await _write_payment(connection, state.payment, change.payment)
    if change.receipt is not None:
        await _write_receipt(connection, state, change.receipt)
    if change.refund is not None:
        await _write_refund(connection, state, change.refund)
    if change.event is not None:
        await _write_event(connection, state, change)
    return await write_findings(connection, change.findings) if change.findings else []


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


async def _write_receipt(connection: Connection, state: State, receipt: Receipt) -> None:
    if any(each.key == receipt.key for each in state.receipts):
        await queries.update_receipt(connection, *receipt.key, receipt.standing, receipt.why)
    else:
        await queries.insert_receipt(connection, *receipt_columns(receipt))


async def _write_refund(connection: Connection, state: State, refund: Refund) -> None:
    if any(each.refund_id == refund.refund_id for each in state.refunds):
        await queries.update_refund(connection, refund.refund_id, *refund_columns(refund))
    else:
        await queries.insert_refund(connection, *refund_request_columns(refund), *refund_columns(refund))


async def _write_event(connection: Connection, state: State, change: Change[Any]) -> None:
    assert change.event is not None
    event, status, error = change.event
    await queries.insert_event(
        connection,
        event.provider,
        event.event_id,
        event.kind,
        event.order_id,
        event.session_id,
        event.raw_body,
        status,
        error,
        event.received_at,
        event.is_told,
    )
    if change.dispute is not None:
        dispute = change.dispute
        await queries.put_dispute(
            connection,
            event.provider,
            dispute.dispute_id,
            dispute.provider_payment_id,
            event.order_id,
            dispute.amount_minor,
            dispute.currency,
            dispute.state,
            state.now,
        )


async def write_findings(connection: Connection, found: Sequence[Finding]) -> list[Finding]:
    """Those that are new."""
    rows = [(f.kind, f.provider, f.subject, f.order_id, json.dumps(dict(f.details))) for f in found]
    new = {tuple(row) for row in await queries.put_findings(connection, *columns(rows))}
    return [finding for finding in found if (finding.kind, finding.provider, finding.subject) in new]
