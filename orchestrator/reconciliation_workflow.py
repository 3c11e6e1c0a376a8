"""Compares each payment provider's lists, checkout's rows and the ledger. A schedule starts it again and again.

What checkout had missed is applied; what differs is stored as a finding, once. A reconciliation that fails has left
nothing half done: the next one begins anew, and its window is wide enough for both.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio import workflow

from orchestrator import refund_steps as steps
from orchestrator.steps import StepRefused, require_step, try_step
from quittance.checkout.v1 import payment_workflows_pb2, payments_pb2

_STEP_WITHIN = timedelta(minutes=30)
# A provider without credentials here is none of this deployment's.
_NOT_CONFIGURED = "PAYMENT_PROVIDER_NOT_CONFIGURED"


@workflow.defn(name="ReconciliationWorkflow")
class ReconciliationWorkflow:
    """One comparison of all providers; its workflow id is "reconciliation"."""

    @workflow.run
    async def run(
        self, request: payment_workflows_pb2.ReconciliationInput
    ) -> payment_workflows_pb2.ReconciliationResult:
        """What it has seen. Fails when a provider, checkout or the ledger cannot be asked."""
        seen = [await _reconcile(provider, request.window_s) for provider in request.providers]
        return payment_workflows_pb2.ReconciliationResult(providers=[each for each in seen if each is not None])


async def _reconcile(provider: str, window_s: int) -> payments_pb2.ProviderReconciliation | None:
    since, until = Timestamp(), Timestamp()
    since.FromDatetime(workflow.now() - timedelta(seconds=window_s))
    until.FromDatetime(workflow.now())
    asked = payments_pb2.ReconcileProviderRequest(provider=provider, since_time=since, until_time=until)
    try:
        compared = await try_step(steps.RECONCILE_PROVIDER, asked, give_up_at=workflow.now() + _STEP_WITHIN)
    except StepRefused as refused:
        if refused.refusal.reason == _NOT_CONFIGURED:
            return None
        raise refused.as_failure() from refused
    differences = await _compare_with_ledger(provider)
    if differences:
        report = payments_pb2.ReportClearingRequest(provider=provider, differences=differences)
        await require_step(steps.REPORT_CLEARING, report, within=_STEP_WITHIN)
    return payments_pb2.ProviderReconciliation(
        provider=provider,
        payments=compared.payments,
        refunds=compared.refunds,
        missed=compared.missed,
        findings=compared.findings + len(differences),
    )


async def _compare_with_ledger(provider: str) -> list[payments_pb2.ClearingDifference]:
    """The rows are summed up before and after the ledger, so that money on its way is no difference."""
    asked = payments_pb2.ReadHoldingsRequest(provider=provider)
    before = await require_step(steps.READ_HOLDINGS, asked, within=_STEP_WITHIN)
    asked_of_ledger = payment_workflows_pb2.ReadClearingRequest(provider=provider)
    cleared = await require_step(steps.READ_CLEARING, asked_of_ledger, within=_STEP_WITHIN)
    after = await require_step(steps.READ_HOLDINGS, asked, within=_STEP_WITHIN)
    return differences_of(before.holdings, {each.currency: each.cleared_minor for each in cleared.sums}, after.holdings)


def differences_of(
    before: Iterable[payments_pb2.Holding], cleared: Mapping[str, int], after: Iterable[payments_pb2.Holding]
) -> list[payments_pb2.ClearingDifference]:
    """Currencies in which the ledger holds less than what was booked for certain, or more than what there is at all."""
    earlier = {each.currency: each for each in before}
    later = {each.currency: each for each in after}
    differences = []
    for currency in sorted({*earlier, *later, *cleared}):
        first = earlier.get(currency, payments_pb2.Holding())
        last = later.get(currency, payments_pb2.Holding())
        least = first.received_booked_minor - last.refunded_minor
        most = last.received_minor - first.refunded_booked_minor
        if not least <= cleared.get(currency, 0) <= most:
            differences.append(
                payments_pb2.ClearingDifference(
                    currency=currency,
                    held_min_minor=least,
                    held_max_minor=most,
                    cleared_minor=cleared.get(currency, 0),
                )
            )
    return differences
