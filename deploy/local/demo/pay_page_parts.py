"""Parts (c) and (d): the pay page was handed over, but nobody paid."""

from deploy.local.demo.shop import state_name
from deploy.local.demo.story import CREDIT_MINOR, DUE_MINOR, Story, fresh_code
from quittance.checkout.v1 import checkout_pb2
from services.runtime.ids import new_id

_DISCOUNT_MINOR = 5_000
# The shortest that checkout takes.
_WINDOW_S = 5


async def declined(story: Story) -> None:
    """A payment that is declined for good."""
    report = story.report
    report.part(
        "(c) Declined for good",
        "Another customer, another code. The first card is refused and the pay page stays open; then the payment is "
        "declined for good. The customer had got as far as the pay page, so the credit stays in the wallet.",
    )
    code = fresh_code("CARD")
    await story.shop.credit_voucher(code, CREDIT_MINOR)
    request = await story.quote("(c) declined", str(new_id()), code)
    order = await story.shop.place(request)
    await story.shop.press(order.payment.payment_url, "refuse")
    after_refusal = await story.shop.order(request.order_id)
    await story.shop.press(order.payment.payment_url, "decline")
    await story.until(request, checkout_pb2.ORDER_STATE_FAILED)
    standing = await story.look(request)

    report.fact("a refused card leaves the pay page open", state_name(after_refusal.state), "awaiting payment")
    ended = (standing.state, standing.payment, standing.order.refusal.reason)
    report.fact("a declined payment ends the order", ended, ("failed", "failed", "PAYMENT_DECLINED"))
    story.credit_is_kept(standing)
    report.fact("no money was booked", standing.sums("payment.booked"), [0])


async def abandoned(story: Story) -> None:
    """A cart that is left, and taken up again."""
    report = story.report
    report.part(
        "(d) Abandoned, expired, and taken up again",
        "A customer offers a credit voucher and one that takes 5 OMR off, then walks away from the pay page. It "
        f"closes after {_WINDOW_S} seconds. The credit stays in the wallet, the discount's use returns. Then the "
        "customer comes back and offers both codes again.",
    )
    credit, discount = fresh_code("CREDIT"), fresh_code("LESS")
    await story.shop.credit_voucher(credit, CREDIT_MINOR)
    await story.shop.discount_voucher(discount, _DISCOUNT_MINOR)
    request = await story.quote("(d) abandoned", str(new_id()), credit, discount, payment_window_s=_WINDOW_S)
    order = await story.shop.place(request)
    await story.shop.press(order.payment.payment_url, "walk_away")
    await story.until(request, checkout_pb2.ORDER_STATE_EXPIRED)
    standing = await story.look(request)

    report.fact("the order has expired", standing.state, "expired")
    story.credit_is_kept(standing)
    returned = (standing.uses[1], standing.redemptions[1])
    report.fact("the discount's use has returned: 0 of 1", returned, ("0/1", "rolled back"))
    await _taken_up_again(story, request)


async def _taken_up_again(story: Story, abandoned_order: checkout_pb2.PlaceOrderRequest) -> None:
    customer_id, codes = abandoned_order.customer_id, abandoned_order.voucher_codes
    request = await story.quote("(d) taken up again", customer_id, *codes)
    order = await story.shop.place(request)
    await story.shop.press(order.payment.payment_url, "pay")
    await story.until(request, checkout_pb2.ORDER_STATE_PLACED)
    standing = await story.look(request)

    due_minor = DUE_MINOR - _DISCOUNT_MINOR
    what = "the credit code is answered from the wallet: 35 OMR are left to pay"
    story.report.fact(what, order.payment.amount_minor, due_minor)
    story.report.fact("the order is placed", standing.state, "placed")
    story.report.fact("each code counts one use", standing.uses, ["1/1", "1/1"])
    spent = (standing.sums("grant"), standing.wallet.balance_minor)
    story.report.fact("the credit was not granted twice, and is spent", spent, ([0], 0))
