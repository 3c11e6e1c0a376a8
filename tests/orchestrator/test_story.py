"""What Temporal's UI tells of an order: to everybody, also when no worker is there, and nothing that is a secret."""

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecutionDescription

from orchestrator import order_steps as steps
from orchestrator.checkout_workflow import CheckoutWorkflow
from orchestrator.order_story import SEARCH_ATTRIBUTES
from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2
from tests.faults.proxy import Fault, until
from tests.faults.scenario import Purchase, new_purchase
from tests.faulty_stack import FaultyStack


async def current_details(stack: FaultyStack, purchase: Purchase) -> str:
    """As a worker answers it."""
    query = "__temporal_workflow_metadata"
    workflow = stack.workflow_of(purchase.order_id)
    metadata: WorkflowMetadata = await workflow.query(query, result_type=WorkflowMetadata)
    return metadata.current_details


def rows_of(details: str) -> list[tuple[str, str]]:
    """Step and outcome of each row."""
    cells = [line.strip("| ").split(" | ") for line in details.splitlines() if line.startswith("|")][2:]
    assert all(len(row) == 3 for row in cells)
    return [(step, outcome) for _, step, outcome in cells]


def attributes_of(description: WorkflowExecutionDescription) -> dict[str, object]:
    return {pair.key.name: pair.value for pair in description.typed_search_attributes}


@pytest.fixture
async def undone(stack: FaultyStack) -> Purchase:
    """An order whose payment provider turned out not to be configured."""
    purchase = await new_purchase(stack)
    await stack.shop.sandbox("unconfigured")
    try:
        await purchase.place_refused()
    finally:
        await stack.shop.sandbox("ok")
    await stack.workflow_of(purchase.order_id).result()
    return purchase


async def test_story_of_an_undone_order_names_reason_steps_and_undos(stack: FaultyStack, undone: Purchase) -> None:
    details = await current_details(stack, undone)
    assert details.startswith("**Failed** because of PAYMENT_PROVIDER_NOT_CONFIGURED.")
    rows = rows_of(details)
    forward = [steps.CREATE_ORDER, steps.REDEEM_VOUCHERS, steps.HOLD_CREDITS, steps.SETTLE_PRICE]
    assert rows[:4] == [(step.summary, "done") for step in forward]
    assert rows[4] == (steps.OPEN_PAYMENT_SESSION.summary, "**refused**")
    undos = [
        *(steps.CLOSE_PAYMENT_SESSION, steps.RELEASE_HOLD),
        *(steps.ROLLBACK_REDEMPTIONS, steps.END_ORDER),
    ]
    assert sorted(rows[5:]) == sorted((f"↩ {step.summary.removeprefix('UNDO: ')}", "undone") for step in undos)


async def test_story_is_readable_without_a_worker(stack: FaultyStack, undone: Purchase) -> None:
    """By memo, result and search attributes, which Temporal answers by itself."""
    await stack.stack.kill("orchestrator", stay_down=True)
    try:
        workflow = stack.workflow_of(undone.order_id)
        description = await workflow.describe()
        story = (await description.memo())["Story"]
        assert story[0].startswith("Failed because of PAYMENT_PROVIDER_NOT_CONFIGURED.")
        assert steps.REDEEM_VOUCHERS.summary in story[2]
        assert (await workflow.result()).refusal.reason == "PAYMENT_PROVIDER_NOT_CONFIGURED"
        assert attributes_of(description)["QuittanceState"] == "failed"
    finally:
        await stack.stack.restart("orchestrator")


async def test_waiting_order_shows_what_was_confirmed_with_masked_codes(stack: FaultyStack) -> None:
    purchase = await new_purchase(stack)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    workflow = stack.workflow_of(purchase.order_id)
    description = await workflow.describe()
    assert description.id == f"order-{purchase.order_id}"
    confirmed = await description.static_details() or ""
    assert all(part in confirmed for part in ("50.000 OMR", "-5.000 OMR", "-17.000 OMR", "28.000 OMR"))
    assert await description.static_summary() == "Order of 50.000 OMR with 2 vouchers"

    attributes = attributes_of(description)
    ours = {name for name in attributes if name.startswith("Quittance")}
    assert ours == {key.name for key in SEARCH_ATTRIBUTES} - {"QuittanceStuck"}
    assert attributes["QuittanceAmountMinor"] == 50_000
    masked = attributes["QuittanceVouchers"]
    assert isinstance(masked, list)
    assert all(code in confirmed for code in masked)

    details = await current_details(stack, purchase)
    assert details.startswith("**Waiting for the customer to pay.**")
    secrets = [purchase.credit_code, purchase.discount_code, order.payment.payment_url]
    assert [secret for secret in secrets if secret in confirmed + details + str(masked)] == []
    await stack.shop.cancel(purchase.order_id)


async def test_stuck_order_says_what_it_waits_for_and_later_that_it_is_placed(stack: FaultyStack) -> None:
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, "ledger.CaptureHold", Fault.REFUSED_BEFORE)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    workflow = stack.workflow_of(purchase.order_id)

    async def is_stuck() -> bool:
        return attributes_of(await workflow.describe()).get("QuittanceStuck") is True

    await until(is_stuck)
    details = await current_details(stack, purchase)
    assert "REFUSED_BY_TEST" in details.splitlines()[0]
    assert "`resolve`" in details.splitlines()[0]
    assert (steps.CAPTURE_HOLD.summary, "**stuck**") in rows_of(details)

    retry = order_workflow_pb2.ResolveUpdate(resolution=order_workflow_pb2.RESOLUTION_RETRY)
    await workflow.execute_update(CheckoutWorkflow.resolve, retry)
    await workflow.result()
    rows = rows_of(await current_details(stack, purchase))
    assert (steps.CAPTURE_HOLD.summary, "done") in rows
    assert {outcome for _, outcome in rows} == {"done"}
    assert attributes_of(await workflow.describe())["QuittanceStuck"] is False


async def test_history_memo_and_attributes_hold_no_planted_mark(stack: FaultyStack) -> None:
    """C-3: what is a bearer value, and what people have written, stays out of Temporal."""
    purchase = await new_purchase(stack)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    workflow = stack.workflow_of(purchase.order_id)
    await workflow.result()
    history = (await workflow.fetch_history()).to_json()
    description = str((await workflow.describe()).raw_description)
    details = await current_details(stack, purchase)
    marks = [purchase.credit_code, purchase.discount_code, order.payment.payment_url.rpartition("/")[2], "A walk"]
    assert all(marks)
    assert [mark for mark in marks if mark in history + description + details] == []
