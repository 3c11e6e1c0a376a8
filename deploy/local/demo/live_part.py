"""The last part, without an end of its own: an order whose pay page waits for the reader."""

import os

from deploy.local.demo.report import near
from deploy.local.demo.shop import state_name
from deploy.local.demo.story import CREDIT_MINOR, Story, fresh_code
from quittance.checkout.v1 import checkout_pb2
from services.runtime.ids import new_id

_OPEN_FOR_S = 1800
_ENDED_WITHIN_S = _OPEN_FOR_S + 60.0
_ENDS = (
    checkout_pb2.ORDER_STATE_PLACED,
    checkout_pb2.ORDER_STATE_FAILED,
    checkout_pb2.ORDER_STATE_EXPIRED,
    checkout_pb2.ORDER_STATE_CANCELLED,
)


async def invite(story: Story) -> None:
    """Shows the links, waits until the reader has decided, and shows what came of it."""
    report = story.report
    report.part("Your turn", "One more order waits for its payment: open its pay page and decide.")
    code = fresh_code("YOURS")
    await story.shop.credit_voucher(code, CREDIT_MINOR)
    request = await story.quote("your order", str(new_id()), code, payment_window_s=_OPEN_FOR_S)
    order = await story.shop.place(request)
    report.link("pay page", order.payment.payment_url)
    for called, order_id in story.orders.items():
        report.link(called, _workflow_url(story, order_id))
    report.say("[dim]Ctrl-C stops everything; data and logs stay in[/] " + near(story.stack.directory))
    ended = await story.shop.order_in(request.order_id, *_ENDS, within_s=_ENDED_WITHIN_S)
    report.say(f"Your order is [bold]{state_name(ended.state)}[/].")
    await story.look(request)


def _workflow_url(story: Story, order_id: str) -> str:
    """The order's story in Temporal's UI."""
    namespace = os.environ.get("TEMPORAL_NAMESPACE", "default")
    return f"{story.stack.temporal_ui_url}/namespaces/{namespace}/workflows/order-{order_id}"
