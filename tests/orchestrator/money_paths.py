"""The paths of money that goes back, with the sandbox provider."""

import asyncio
import json
import time

from deploy.local.sandbox_provider.signature import HEADER, sign
from orchestrator.reconciliation_workflow import ReconciliationWorkflow
from orchestrator.session_watch_workflow import SessionWatchWorkflow
from quittance.checkout.v1 import checkout_pb2, payment_workflows_pb2, payments_pb2
from quittance.checkout.v1.payments_pb2_grpc import PaymentsServiceStub
from services.runtime.channels import open_channel
from tests.checkout.webhook_sender import event_of
from tests.faulty_stack import FaultyStack
from tests.shop import fresh_id

_TASK_QUEUE = "quittance"


async def refunded(stack: FaultyStack) -> list[str]:
    order = await _awaiting(stack)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    await stack.shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)
    request = payments_pb2.RefundPaymentRequest(
        refund_id=fresh_id(), order_id=order.order_id, amount_minor=20_000, reason="customer.request"
    )
    async with open_channel(stack.stack.address("checkout")) as channel:
        await PaymentsServiceStub(channel).RefundPayment(request)
    workflow_id = f"refund-{request.refund_id}"
    await _until_ended(stack, workflow_id)
    return [workflow_id]


async def returned_in_vain(stack: FaultyStack) -> list[str]:
    """Money of which the provider knows nothing: it cannot give it back."""
    order = await _awaiting(stack)
    event = event_of(order, "ses_unknown", "payment.paid", amount_minor=1, provider_payment_id=f"pay_{fresh_id()}")
    event["event_id"] = f"evt_{fresh_id()}"
    body = json.dumps(event).encode()
    environment = stack.stack.settings.environment("checkout", stack.stack.databases)
    headers = {HEADER: sign(body, environment["SANDBOX_WEBHOOK_SECRET"], int(time.time()))}
    url = f"http://{stack.stack.address('checkout_http')}/webhooks/sandbox"
    async with stack.shop.http.post(url, data=body, headers=headers) as answer:
        assert answer.status == 200
    workflow_id = f"late-payment-sandbox-{event['session']['provider_payment_id']}"
    await _until_ended(stack, workflow_id)
    await stack.shop.cancel(order.order_id)
    return [workflow_id]


async def watched(stack: FaultyStack) -> list[str]:
    order = await _awaiting(stack)
    await stack.shop.cancel(order.order_id)
    session = payment_workflows_pb2.SessionWatchInput(order_id=order.order_id)
    workflow_id = f"watch-session-{order.order_id}"
    await stack.temporal.execute_workflow(SessionWatchWorkflow.run, session, id=workflow_id, task_queue=_TASK_QUEUE)
    return [workflow_id]


async def reconciled(stack: FaultyStack) -> list[str]:
    request = payment_workflows_pb2.ReconciliationInput(providers=["sandbox", "stripe"], window_s=3600)
    workflow_id = f"reconciliation-{fresh_id()}"
    await stack.temporal.execute_workflow(ReconciliationWorkflow.run, request, id=workflow_id, task_queue=_TASK_QUEUE)
    return [workflow_id]


async def _awaiting(stack: FaultyStack) -> checkout_pb2.Order:
    return await stack.shop.place(await stack.shop.order(fresh_id(), use_credits=False))


async def _until_ended(stack: FaultyStack, workflow_id: str) -> None:
    """It is started by checkout, sooner or later."""
    async with asyncio.timeout(60):
        while not [each async for each in stack.temporal.list_workflows(f"WorkflowId = '{workflow_id}'")]:
            await asyncio.sleep(0.1)
        await stack.temporal.get_workflow_handle(workflow_id).result()
