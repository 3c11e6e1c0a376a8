"""What two packages must agree on without importing one another: names that are in histories, and derived ids."""

from typing import Any
from uuid import UUID

import pytest
from temporalio import workflow

from orchestrator.checkout_workflow import CheckoutWorkflow
from orchestrator.code_steps import CODE_STEPS
from orchestrator.main import WORKFLOWS
from orchestrator.order_ids import order_ids
from orchestrator.order_repair_workflow import REPAIR_SUMMARY, OrderRepairWorkflow, repair_id_of
from orchestrator.order_steps import ALL_STEPS
from orchestrator.order_story import SEARCH_ATTRIBUTES, state_name
from orchestrator.refund_steps import REFUND_STEPS
from orchestrator.schedules import SCHEDULES
from orchestrator.steps import Step
from quittance.checkout.v1 import checkout_pb2, order_steps_pb2, payments_pb2
from quittance.ledger.v1 import ledger_pb2
from quittance.vouchers.v1 import codes_pb2, vouchers_pb2
from services.checkout import payment_workflow_client, workflow_client
from services.checkout.domain import kinds, payments

SERVICES = {
    "checkout": order_steps_pb2.DESCRIPTOR.services_by_name["OrderStepsService"],
    "ledger": ledger_pb2.DESCRIPTOR.services_by_name["LedgerService"],
    "vouchers": vouchers_pb2.DESCRIPTOR.services_by_name["VouchersService"],
    "payments": payments_pb2.DESCRIPTOR.services_by_name["PaymentStepsService"],
    "codes": codes_pb2.DESCRIPTOR.services_by_name["CodesService"],
}


def test_workflow_has_the_names_that_checkout_calls() -> None:
    definition = workflow._Definition.must_from_class(CheckoutWorkflow)
    assert definition.name == workflow_client.WORKFLOW_TYPE
    assert {workflow_client.PLACE_UPDATE, workflow_client.CANCEL_UPDATE} <= definition.updates.keys()
    assert workflow_client.PAYMENT_SIGNAL in definition.signals


def test_repair_is_the_same_for_all_who_start_it() -> None:
    """There is one at a time, whoever found the order."""
    order_id = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
    definition = workflow._Definition.must_from_class(OrderRepairWorkflow)
    assert definition.name == workflow_client.REPAIR_WORKFLOW_TYPE
    assert repair_id_of(str(order_id)) == workflow_client.repair_id_of(order_id)
    assert REPAIR_SUMMARY == workflow_client.REPAIR_SUMMARY


def test_schedules_start_workflows_that_there_are() -> None:
    names = {workflow._Definition.must_from_class(each).name for each in WORKFLOWS}
    assert {repeated.workflow for repeated in SCHEDULES} <= names


def test_workflows_of_payments_have_the_names_that_checkout_starts() -> None:
    started = {name for word, name in vars(payment_workflow_client).items() if word.endswith("_WORKFLOW_TYPE")}
    assert started
    assert started <= {workflow._Definition.must_from_class(each).name for each in WORKFLOWS}


def test_search_attributes_are_the_same_for_all_who_name_them() -> None:
    set_at_the_start = [attribute for name, attribute in vars(workflow_client).items() if name.endswith("_ATTRIBUTE")]
    known = {attribute.name: attribute.indexed_value_type for attribute in SEARCH_ATTRIBUTES}
    assert set_at_the_start
    assert all(known[attribute.name] == attribute.indexed_value_type for attribute in set_at_the_start)


def test_order_states_are_written_alike_by_both_sides() -> None:
    """In lists of workflows and in checkout's own."""
    numbers = [number for number in checkout_pb2.OrderState.values() if number != checkout_pb2.ORDER_STATE_UNSPECIFIED]
    assert {state_name(number) for number in numbers} == {state.value for state in kinds.OrderState}


@pytest.mark.parametrize("step", [*ALL_STEPS, *CODE_STEPS, *REFUND_STEPS], ids=lambda step: step.summary)
def test_step_is_a_call_that_exists(step: Step[Any, Any]) -> None:
    service, _, method = step.activity.partition(".")
    rpc = SERVICES[service].methods_by_name[method]
    assert (rpc.input_type, rpc.output_type) == (step.request.DESCRIPTOR, step.response.DESCRIPTOR)


def test_payment_id_is_derived_alike_by_both_sides() -> None:
    """Checkout's webhooks find a payment under the id that the order's workflow books its money with."""
    order_id = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
    assert order_ids(str(order_id), 0).payment_id == str(payments.payment_id_of(order_id))
