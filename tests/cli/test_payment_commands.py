"""The `quittance payments` commands as an operator runs them, with doubles of Stripe and YooKassa."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from temporalio.client import WorkflowExecutionStatus

from deploy.local.ports import free_port
from tests.faults.proxy import until
from tests.orchestrator.payment_stack import PaymentStack
from tests.shop import PRICE_MINOR


class Ran(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
async def tills(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PaymentStack]:
    async with PaymentStack(tmp_path_factory.mktemp("payment_commands")) as stack:
        yield stack


async def run(tills: PaymentStack, *arguments: str, address: str = "") -> Ran:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli", "payments", *arguments),
        env={**os.environ, "CHECKOUT_ADDRESS": address or tills.running.stack.address("checkout")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


def rows_of(table: str) -> dict[str, list[int]]:
    """The numbers of a printed table by their provider."""
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if "│" in line]
    return {name: [int(number) for number in numbers] for name, *numbers in cells}


async def test_reconcile_applies_what_was_missed_and_findings_name_it(tills: PaymentStack) -> None:
    ran = await run(tills, "findings")
    assert (ran.code, ran.out) == (0, "0 findings\n")
    order = await tills.awaiting("yookassa")
    payment = tills.yookassa.payment_of(order.order_id)
    url, tills.yookassa.deliveries.url = tills.yookassa.deliveries.url, ""
    # Money that no webhook tells of, for a page that nobody waits for any more.
    await tills.shop.cancel(order.order_id)
    tills.yookassa.pay(payment)
    tills.yookassa.deliveries.url = url
    ran = await run(tills, "reconcile", "--days", "1")
    # 1 when nobody else had noticed it before; whoever watches the page may have.
    assert ran.code in (0, 1), ran.err
    assert rows_of(ran.out).keys() == {"sandbox", "stripe", "yookassa"}
    assert rows_of(ran.out)["yookassa"][0] == 1
    await tills.until_all_returned(order)
    ran = await run(tills, "findings")
    assert ran.code == 1
    assert f"UNWANTED_PAYMENT yookassa {payment['id']} order {order.order_id}: amount_minor {PRICE_MINOR}" in ran.out
    assert (await run(tills, "findings", "--since", "2999-01-01")).out == "0 findings\n"


async def test_reconcile_counts_what_there_is(tills: PaymentStack) -> None:
    before = rows_of((await run(tills, "reconcile")).out)
    order, _ = await tills.placed_by_stripe()
    await tills.refund(order)
    await tills.until_all_returned(order)
    ran = await run(tills, "reconcile")
    payments, refunds, missed, findings = before["stripe"]
    assert (ran.code, rows_of(ran.out)["stripe"]) == (0, [payments + 1, refunds + 1, missed, findings])


async def test_reconcile_that_a_provider_refuses_says_so(tills: PaymentStack) -> None:
    tills.stripe.refused_calls.add("list_payments")
    ran = await run(tills, "reconcile")
    tills.stripe.refused_calls.clear()
    assert (ran.code, "FAILED_PRECONDITION" in ran.err, "stripe" in ran.err) == (2, True, True)


async def test_reconcile_that_is_stopped_from_outside_says_so(tills: PaymentStack) -> None:
    tills.stripe.faults.rate = 1.0
    asked = asyncio.create_task(run(tills, "reconcile", "--days", "7"))
    workflow = tills.running.temporal.get_workflow_handle(f"reconciliation-by-hand-{7 * 86_400}s")

    async def is_running() -> bool:
        described = [each async for each in tills.running.temporal.list_workflows(f"WorkflowId = '{workflow.id}'")]
        return [each.status for each in described] == [WorkflowExecutionStatus.RUNNING]

    await until(is_running)
    await workflow.terminate("by a test")
    ran = await asked
    tills.stripe.faults.rate = 0.0
    assert (ran.code, "UNAVAILABLE" in ran.err) == (2, True)


async def test_wrong_usage_is_answered_by_its_own_exit_code(tills: PaymentStack) -> None:
    wrong = (("reconcile", "--days", "0"), ("reconcile", "--days", "366"), ("findings", "--since", "yesterday"))
    answers = await asyncio.gather(*(run(tills, *arguments) for arguments in wrong))
    assert [(ran.code, bool(ran.err)) for ran in answers] == [(2, True)] * len(wrong)
    ran = await run(tills, "findings", address=f"127.0.0.1:{free_port()}")
    assert (ran.code, "UNAVAILABLE" in ran.err) == (2, True)
