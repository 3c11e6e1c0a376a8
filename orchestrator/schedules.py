"""What runs again and again by itself: one line each. The set-up command brings Temporal's schedules to this table."""

from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.message import Message
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)

from quittance.checkout.v1 import order_workflow_pb2, payment_workflows_pb2

# After Temporal was away, runs that are older than this are left out: the next one does their work.
_CATCH_UP = timedelta(minutes=1)


# One that is not configured is left out.
PROVIDERS = ("sandbox", "stripe", "yookassa")


@dataclass(frozen=True)
class Repeated:
    """A workflow that is started every so often, by its type's name; while one runs, no second one is started.

    `schedule_id` never changes: under a new one a second schedule would run beside the old one.
    """

    schedule_id: str
    workflow: str
    what_for: str
    every: timedelta
    # After midnight UTC, for what is not run at any odd time.
    offset: timedelta = timedelta(0)
    argument: Message | None = None

    def schedule(self, task_queue: str) -> Schedule:
        """As Temporal wants it."""
        return Schedule(
            action=ScheduleActionStartWorkflow(
                self.workflow,
                args=[self.argument] if self.argument is not None else [],
                id=self.schedule_id,
                task_queue=task_queue,
                static_summary=self.what_for,
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=self.every, offset=self.offset)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP),
            state=ScheduleState(note=self.what_for),
        )


SCHEDULES: tuple[Repeated, ...] = (
    Repeated(
        schedule_id="order-sweep",
        workflow="OrderSweepWorkflow",
        what_for="Find open orders whose workflow is gone, and repair them",
        every=timedelta(minutes=1),
        argument=order_workflow_pb2.SweepRequest(unchanged_for_s=60),
    ),
    Repeated(
        schedule_id="reconciliation",
        workflow="ReconciliationWorkflow",
        what_for="Compare payment providers, orders and the ledger",
        every=timedelta(minutes=15),
        offset=timedelta(minutes=7),
        # Two days: what a provider is late with is compared more than once.
        argument=payment_workflows_pb2.ReconciliationInput(providers=PROVIDERS, window_s=2 * 86_400),
    ),
)
