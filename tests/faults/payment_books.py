"""What the providers' journals, checkout's rows, the ledger and Temporal must say once all payments have ended."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import asyncpg
from temporalio.client import WorkflowExecutionStatus

from deploy.local.stack import Stack
from orchestrator.order_ids import order_ids
from orchestrator.order_requests import REVENUE
from orchestrator.schedules import SCHEDULES
from tests.checkout.soundness import assert_checkout_sound
from tests.faults.payers import HABITS
from tests.faults.tills import Till
from tests.ledger.soundness import assert_ledger_sound
from tests.orchestrator.payment_stack import PaymentStack
from tests.shop import PRICE_MINOR

PaymentKey = tuple[str, str]

_UNFINISHED = """
    SELECT (SELECT count(*) FROM orders WHERE placed_at IS NULL AND undone_at IS NULL) AS orders,
        (SELECT count(*) FROM refunds WHERE completed_at IS NULL) AS refunds,
        (SELECT count(*) FROM receipts AS r WHERE standing = 'unwanted' AND amount_minor > (
            SELECT coalesce(sum(amount_minor), 0) FROM refunds AS f
            WHERE (f.provider, f.provider_payment_id) = (r.provider, r.provider_payment_id) AND f.state = 'refunded'
        )) AS unreturned
"""
_ALLOCATED = """
    SELECT t.transaction_id, sum(t.amount_minor)::bigint AS amount_minor FROM transfers AS t
    JOIN accounts AS a ON (a.book_id, a.account_id) = (t.book_id, t.credit_account_id)
    WHERE a.code = $1 GROUP BY t.transaction_id
"""
# What may be found in such weather; the last two only of what was late or lost.
_EXPECTED_FINDINGS = {"UNWANTED_PAYMENT", "REFUND_MADE_AT_PROVIDER", "PAYMENT_MISSED", "REFUND_MISSED"}


@dataclass
class Journals:
    """What the providers know, added up. `taken` and `returned` by payment, `left` by order."""

    taken: Counter[PaymentKey] = field(default_factory=Counter)
    returned: Counter[PaymentKey] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, tills: Mapping[str, Till]) -> Self:
        journals = cls()
        for provider, till in tills.items():
            for movement in till.double.journal.movements:
                side = journals.taken if movement.amount_minor > 0 else journals.returned
                side[provider, movement.payment] += abs(movement.amount_minor)
                journals.left[movement.order_id] += movement.amount_minor
        return journals


async def unfinished(stack: Stack) -> dict[str, int]:
    """How much is still to be done, by what it is; empty when all has come to its end."""
    connection = await asyncpg.connect(stack.database_url("checkout", owner=True))
    try:
        row = await connection.fetchrow(_UNFINISHED)
    finally:
        await connection.close()
    assert row is not None
    return {name: count for name, count in row.items() if count}


async def assert_no_difference(
    stack: PaymentStack, tills: Mapping[str, Till], habits: Mapping[str, str]
) -> Counter[str]:
    """`habits`: of each order's customer. Answers how many orders have ended how."""
    journals = Journals.of(tills)
    connection = await asyncpg.connect(stack.running.stack.database_url("checkout", owner=True))
    try:
        await assert_checkout_sound(connection)
        states = {
            str(row["order_id"]): row["state"] for row in await connection.fetch("SELECT order_id, state FROM orders")
        }
        await _assert_rows_are_the_journals(connection, journals)
        await _assert_findings_are_what_there_was(connection)
    finally:
        await connection.close()
    _assert_customers_paid_what_they_got(states, habits, journals)
    await _assert_ledger_says(stack, states, habits)
    await stack.assert_books_agree()
    await _assert_temporal_says(stack, states)
    return Counter(states.values())


async def _assert_rows_are_the_journals(connection: asyncpg.Connection, journals: Journals) -> None:
    """Payment by payment: each success once, each refund once."""
    receipts = await connection.fetch("SELECT provider, provider_payment_id, amount_minor FROM receipts")
    assert {(row[0], row[1]): row[2] for row in receipts} == dict(journals.taken)
    refunds = await connection.fetch(
        "SELECT provider, provider_payment_id, sum(amount_minor)::bigint FROM refunds WHERE state = 'refunded'"
        " GROUP BY provider, provider_payment_id"
    )
    assert {(row[0], row[1]): row[2] for row in refunds} == dict(journals.returned)
    assert await connection.fetchval("SELECT count(*) FROM refunds WHERE state <> 'refunded'") == 0


async def _assert_findings_are_what_there_was(connection: asyncpg.Connection) -> None:
    found: dict[str, list[str]] = {}
    for row in await connection.fetch("SELECT kind, subject FROM payment_findings"):
        found.setdefault(row["kind"], []).append(row["subject"])
    assert found.keys() <= _EXPECTED_FINDINGS
    unwanted = await connection.fetch("SELECT provider_payment_id FROM receipts WHERE standing = 'unwanted'")
    assert sorted(found.get("UNWANTED_PAYMENT", [])) == sorted(row[0] for row in unwanted)
    strange = await connection.fetch("SELECT provider_refund_id FROM refunds WHERE source = 'provider'")
    assert sorted(found.get("REFUND_MADE_AT_PROVIDER", [])) == sorted(row[0] for row in strange)


def _assert_customers_paid_what_they_got(
    states: Mapping[str, str], habits: Mapping[str, str], journals: Journals
) -> None:
    """P-2: each order ended as it may; who has none has no money with the provider, who has one has paid it once."""
    assert states.keys() == habits.keys()
    ends = {order_id: (habits[order_id], state) for order_id, state in states.items()}
    assert {order_id: end for order_id, end in ends.items() if end[1] not in HABITS[end[0]].ends} == {}
    should = {order_id: _kept(states[order_id], habits[order_id]) for order_id in states}
    differences = {order_id: journals.left[order_id] - kept for order_id, kept in should.items()}
    assert {order_id: minor for order_id, minor in differences.items() if minor} == {}
    assert journals.left.keys() <= states.keys()


def _kept(state: str, habit: str) -> int:
    return HABITS[habit].kept_minor if state == "placed" else 0


async def _assert_ledger_says(stack: PaymentStack, states: Mapping[str, str], habits: Mapping[str, str]) -> None:
    """Every placed order's money became revenue once; what was given back has left it; nothing lies in between."""
    connection = await asyncpg.connect(stack.running.stack.database_url("ledger", owner=True))
    try:
        await assert_ledger_sound(connection)
        rows = await connection.fetch(_ALLOCATED, REVENUE)
    finally:
        await connection.close()
    placed = [order_id for order_id, state in states.items() if state == "placed"]
    allocated = {order_ids(order_id, 0).allocate_transaction_id: PRICE_MINOR for order_id in placed}
    assert {str(row["transaction_id"]): row["amount_minor"] for row in rows} == allocated
    assert await stack.balance(REVENUE) == sum(_kept("placed", habits[order_id]) for order_id in placed)
    for provider in ("stripe", "yookassa"):
        assert await stack.unallocated(provider) == 0


async def _assert_temporal_says(stack: PaymentStack, states: Mapping[str, str]) -> None:
    """One run for each order, completed; nothing else is left but watchers of pages and what schedules start."""
    temporal = stack.running.temporal
    runs = Counter[str]()
    async for run in temporal.list_workflows("WorkflowType = 'CheckoutWorkflow'"):
        assert run.status is WorkflowExecutionStatus.COMPLETED, run.id
        runs[run.id.removeprefix("order-")] += 1
    assert runs == dict.fromkeys(states, 1)
    running = [run async for run in temporal.list_workflows("ExecutionStatus = 'Running'")]
    may_run = {"SessionWatchWorkflow"} | {repeated.workflow for repeated in SCHEDULES}
    assert {run.workflow_type for run in running} <= may_run
