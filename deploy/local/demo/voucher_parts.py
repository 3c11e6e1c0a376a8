"""Parts (a) and (b): the order that must not burn its voucher, and the same code on an order that is paid."""

import grpc

from deploy.local.demo.standing import LIVE
from deploy.local.demo.story import CREDIT_MINOR, DUE_MINOR, Story
from quittance.checkout.v1 import checkout_pb2

_REFUSED = (grpc.StatusCode.UNAVAILABLE, "PAYMENT_PROVIDER_NOT_CONFIGURED")


async def not_configured(story: Story) -> None:
    """The case that started it."""
    report = story.report
    report.part(
        "(a) The payment processor is not configured",
        f"A customer redeems {story.code} on a 50 OMR order. The voucher is reserved, its credit granted and held; "
        "then checkout finds that it has no credentials for the payment processor. The order has to fail without "
        "burning the voucher.",
    )
    request = await story.quote("(a) not configured", story.customer_id, story.code)
    refusal = await story.shop.place_refused(request)
    standing = await story.look(request)

    report.fact("the caller is told UNAVAILABLE, and why", (refusal.status, refusal.reason), _REFUSED)
    report.fact("the voucher is not burnt: 0 of 1 uses", standing.uses, ["0/1"])
    report.fact("no live redemption is left", [state for state in standing.redemptions if state in LIVE], [])
    report.fact("the wallet is as before: empty", standing.wallet.balance_minor, 0)
    report.fact("the ledger shows the grant and its reversal", standing.sums("grant", "reversal"), [CREDIT_MINOR] * 2)
    again = await story.shop.place_refused(request)
    said_again = (again.status, again.reason, again.metadata.get("order_state"))
    report.fact("the same order id gets the same, final refusal", said_again, (*_REFUSED, "failed"))


async def paid(story: Story) -> None:
    """The same code, now that the processor is configured."""
    report = story.report
    report.part(
        "(b) The same code again, with the processor configured",
        "Checkout is restarted with credentials. The same customer offers the same code on a new order, and pays the "
        "rest on the processor's pay page.",
    )
    await story.stack.restart("checkout", {"SANDBOX_API_KEY": story.api_key})
    request = await story.quote("(b) paid", story.customer_id, story.code)
    order = await story.shop.place(request)
    await story.shop.press(order.payment.payment_url, "pay")
    await story.until(request, checkout_pb2.ORDER_STATE_PLACED)
    standing = await story.look(request)

    parts = (order.breakdown.credits_minor, order.breakdown.amount_due_minor)
    report.fact("50 OMR are 10 of credit and 40 to pay", parts, (CREDIT_MINOR, DUE_MINOR))
    report.fact("the order is placed, its payment paid", (standing.state, standing.payment), ("placed", "paid"))
    report.fact("the voucher is used: 1 of 1", (standing.uses, standing.redemptions), (["1/1"], ["confirmed"]))
    report.fact("the credit is spent, nothing is left in the wallet", standing.wallet.balance_minor, 0)
    sums = standing.sums("capture", "payment.booked", "payment.allocated")
    report.fact("revenue got 10 of credit and 40 of money", sums, [CREDIT_MINOR, DUE_MINOR, DUE_MINOR])
