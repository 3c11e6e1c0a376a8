"""Histories of every path, recorded from real workflows, go the same way through today's code (S-6)."""

import base64
import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from orchestrator import order_steps as steps
from orchestrator.checkout_workflow import CheckoutWorkflow
from orchestrator.main import WORKFLOWS
from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2
from services.runtime.payloads import data_converter
from tests.orchestrator.paths import LONG_PATHS, PATHS
from tests.orchestrator.record_histories import DIRECTORY, files_of

FILES = sorted(DIRECTORY.glob("*.json"))
NAMES = [*PATHS, *LONG_PATHS]


def replayer(*workflows: type) -> Replayer:
    """Runs histories through these workflows, as the worker would."""
    return Replayer(
        workflows=workflows or WORKFLOWS,
        workflow_runner=UnsandboxedWorkflowRunner(),
        data_converter=data_converter,
    )


def history_of(recorded: dict[str, Any]) -> WorkflowHistory:
    """A recorded history as Temporal would send it."""
    return WorkflowHistory.from_json(recorded["workflowId"], recorded)


def read(path: Path) -> dict[str, Any]:
    """The file's content."""
    recorded: dict[str, Any] = json.loads(path.read_text())
    return recorded


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_recorded_history_goes_the_same_way_through_todays_code(path: Path) -> None:
    await replayer().replay_workflow(history_of(read(path)))


def test_every_path_is_recorded_and_every_record_is_of_a_path() -> None:
    assert [name for name in NAMES if not files_of(name)] == []
    assert {path.name.partition(".")[0] for path in FILES} == set(NAMES)
    workflows = {
        read(path)["events"][0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"] for path in FILES
    }
    assert workflows == {workflow._Definition.must_from_class(each).name for each in WORKFLOWS}
    assert [len(files_of(name)) for name in LONG_PATHS] == [2] * len(LONG_PATHS)


def test_records_hold_no_machine_no_code_and_no_pay_page() -> None:
    """C-3: nor anything that changes from one recording to the next for no reason."""
    for path in FILES:
        text = path.read_text()
        payloads = [base64.b64decode(each).decode() for each in re.findall(r'"data": "([^"]*)"', text)]
        for each in (text, *payloads):
            assert not re.search(r"/(work|home|root|tmp|usr)/|\d+@\w|https?://|WALK-[0-9A-F]{8}-[0-9A-F]{4}", each), (
                path
            )


async def test_step_of_another_name_is_found() -> None:
    """Each step of the recorded order is guarded: no other one may take its place."""
    recorded = read(files_of("paid")[0])
    places = [
        place
        for place, event in enumerate(recorded["events"])
        if event["eventType"] in ("EVENT_TYPE_MARKER_RECORDED", "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED")
    ]
    assert len(places) > 8
    for place in places:
        changed = copy.deepcopy(recorded)
        event = changed["events"][place]
        if event["eventType"] == "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED":
            event["activityTaskScheduledEventAttributes"]["activityType"]["name"] = "checkout.SomethingElse"
        else:
            details = event["markerRecordedEventAttributes"]["details"]["data"]["payloads"][0]
            marker = json.loads(base64.b64decode(details["data"]))
            marker["activity_type"] = "checkout.SomethingElse"
            details["data"] = base64.b64encode(json.dumps(marker).encode()).decode()
        with pytest.raises(workflow.NondeterminismError):
            await replayer().replay_workflow(history_of(changed))


@workflow.defn(name="CheckoutWorkflow")
class SkipsThePivot(CheckoutWorkflow):
    """Somebody has left out a step without thinking of orders that are on their way."""

    @workflow.init
    def __init__(
        self, draft: order_workflow_pb2.OrderDraft, progress: order_workflow_pb2.OrderProgress | None = None
    ) -> None:
        super().__init__(draft, progress)

    @workflow.run
    async def run(
        self, draft: order_workflow_pb2.OrderDraft, progress: order_workflow_pb2.OrderProgress | None = None
    ) -> order_workflow_pb2.OrderResult:
        created = await self._try(steps.CREATE_ORDER, self._requests.create_order())
        assert created.lines
        await self._order.insist(steps.COMPLETE_ORDER, self._requests.complete_order())
        self._give_answer()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return order_workflow_pb2.OrderResult(order_state=checkout_pb2.ORDER_STATE_PLACED)


async def test_workflow_with_a_step_less_is_found() -> None:
    for name in ("paid", "placed-by-credits"):
        with pytest.raises(workflow.NondeterminismError):
            await replayer(SkipsThePivot).replay_workflow(history_of(read(files_of(name)[0])))
