"""One order with everything in it, and what all parts must say when it was placed or undone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from orchestrator.order_ids import order_ids
from quittance.checkout.v1 import checkout_pb2
from quittance.ledger.v1 import ledger_pb2
from quittance.vouchers.v1 import vouchers_pb2
from services.runtime.grpc_errors import Refusal, refusal_of
from tests.faulty_stack import FaultyStack
from tests.shop import PRICE_MINOR, fresh_id, patiently

CREDITS_MINOR = 7_000
CREDIT_VOUCHER_MINOR = 10_000
DISCOUNT_MINOR = 5_000
DUE_MINOR = PRICE_MINOR - CREDITS_MINOR - CREDIT_VOUCHER_MINOR - DISCOUNT_MINOR

COUNTED = (
    vouchers_pb2.REDEMPTION_STATE_RESERVED,
    vouchers_pb2.REDEMPTION_STATE_KEPT,
    vouchers_pb2.REDEMPTION_STATE_CONFIRMED,
)

ORDERS_ON_THEIR_WAY = """
select count(*) from orders where customer_id = $1 and state in ('pending', 'awaiting_payment', 'settling')
"""


@dataclass(frozen=True)
class Purchase:
    """An order of a customer with credits, a credit voucher, a discount voucher and a rest to pay."""

    stack: FaultyStack
    request: checkout_pb2.PlaceOrderRequest
    credit_code: str
    discount_code: str

    @property
    def order_id(self) -> str:
        """The order's id."""
        return self.request.order_id

    @property
    def workflow_id(self) -> str:
        """The id of the order's workflow."""
        return f"order-{self.order_id}"

    async def place(self) -> checkout_pb2.Order | Refusal:
        """Places it as a good caller does: what says nothing about the outcome is asked again with the same id."""
        async with asyncio.timeout(120):
            while True:
                try:
                    return await self.stack.shop.place(self.request, timeout_s=30)
                except grpc.aio.AioRpcError as error:
                    refusal = refusal_of(error)
                    if "order_state" in refusal.metadata:
                        return refusal
                    assert refusal.status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED), refusal
                    await asyncio.sleep(0.2)

    async def place_and_pay(self) -> checkout_pb2.Order:
        """Places it, pays on the pay page, and waits until it is placed."""
        order = await self.place()
        assert isinstance(order, checkout_pb2.Order), order
        assert order.breakdown.amount_due_minor == DUE_MINOR
        await self.stack.shop.on_pay_page(order.payment.payment_url, "pay")
        return await self.stack.shop.until_state(self.order_id, checkout_pb2.ORDER_STATE_PLACED, within_s=120)

    async def place_refused(self) -> Refusal:
        """Places it and is refused; waits until its workflow has ended, so that nothing is pending."""
        refusal = await self.place()
        assert isinstance(refusal, Refusal), "the order was not refused"
        await self.stack.workflow_of(self.order_id).result()
        return refusal


async def new_purchase(stack: FaultyStack, *, place_timeout_s: int = 60, **fields: object) -> Purchase:
    """A quoted purchase, not placed yet."""
    shop = stack.shop
    customer_id = fresh_id()
    await shop.give_credits(customer_id, CREDITS_MINOR)
    credit_code = await shop.credit_voucher(CREDIT_VOUCHER_MINOR)
    discount_code = await shop.discount_voucher(DISCOUNT_MINOR)
    request = await shop.order(customer_id, [discount_code, credit_code], place_timeout_s=place_timeout_s, **fields)
    return Purchase(stack, request, credit_code, discount_code)


async def assert_clean_slate(
    purchase: Purchase, *, state: checkout_pb2.OrderState.ValueType = checkout_pb2.ORDER_STATE_FAILED
) -> None:
    """V1, V2, S-3: nothing of the order is left in any of the three databases."""
    shop = purchase.stack.shop
    for code in (purchase.credit_code, purchase.discount_code):
        assert await _counted(purchase, code) == []
        assert await shop.uses(code) == 0
    wallet = await shop.wallet(purchase.request.customer_id)
    assert (wallet.balance_minor, wallet.held_minor, wallet.available_minor) == (CREDITS_MINOR, 0, CREDITS_MINOR)
    order = await shop.read_order(purchase.order_id)
    assert order.state == state, checkout_pb2.OrderState.Name(order.state)
    assert not order.payment.payment_url
    await _assert_slot_is_free(purchase)
    await _assert_no_session_open(purchase)


async def assert_kept(purchase: Purchase, state: checkout_pb2.OrderState.ValueType) -> None:
    """V1: the pay page had been handed over, so the credit stays; the discount's use returns."""
    shop = purchase.stack.shop
    assert await _counted(purchase, purchase.credit_code) == [vouchers_pb2.REDEMPTION_STATE_KEPT]
    assert await _counted(purchase, purchase.discount_code) == []
    assert (await shop.uses(purchase.credit_code), await shop.uses(purchase.discount_code)) == (1, 0)
    wallet = await shop.wallet(purchase.request.customer_id)
    whole = CREDITS_MINOR + CREDIT_VOUCHER_MINOR
    assert (wallet.balance_minor, wallet.held_minor, wallet.available_minor) == (whole, 0, whole)
    assert (await shop.read_order(purchase.order_id)).state == state
    await _assert_slot_is_free(purchase)
    await _assert_no_session_open(purchase)


async def assert_placed(purchase: Purchase) -> None:
    """The order's workflow has ended well, and every step is in effect, once."""
    await purchase.stack.workflow_of(purchase.order_id).result()
    await assert_all_in_effect(purchase)


def _paid_state_of(order: checkout_pb2.Order) -> checkout_pb2.PaymentState.ValueType:
    """It was paid; somebody may have given some or all of it back since, at the provider's dashboard too."""
    if not order.payment.refunded_minor:
        return checkout_pb2.PAYMENT_STATE_PAID
    if order.payment.refunded_minor < order.breakdown.amount_due_minor:
        return checkout_pb2.PAYMENT_STATE_PARTIALLY_REFUNDED
    return checkout_pb2.PAYMENT_STATE_REFUNDED


async def assert_all_in_effect(purchase: Purchase) -> None:
    """S-3, P-2, V6: every step of a placed order is in effect, once."""
    shop = purchase.stack.shop
    for code in (purchase.credit_code, purchase.discount_code):
        assert await _counted(purchase, code) == [vouchers_pb2.REDEMPTION_STATE_CONFIRMED]
        assert await shop.uses(code) == 1
    wallet = await shop.wallet(purchase.request.customer_id)
    assert (wallet.balance_minor, wallet.held_minor) == (0, 0)
    order = await shop.read_order(purchase.order_id)
    assert order.state == checkout_pb2.ORDER_STATE_PLACED
    assert order.payment.state == _paid_state_of(order)
    parts = order.breakdown
    assert parts.discount_minor + parts.credits_minor + parts.amount_due_minor == parts.subtotal_minor == PRICE_MINOR
    ids = order_ids(purchase.order_id, 2)
    revenue = await shop.transfers(purchase.request.customer_id, "revenue")
    from_credits = [t for t in revenue if t.kind == ledger_pb2.TRANSFER_KIND_CAPTURE and _belongs(t, ids.hold_id)]
    from_payment = [t for t in revenue if t.transaction_id == ids.allocate_transaction_id]
    assert sum(t.amount_minor for t in from_credits) == CREDITS_MINOR + CREDIT_VOUCHER_MINOR
    assert [t.amount_minor for t in from_payment] == [DUE_MINOR]
    await _assert_slot_is_free(purchase)


def _belongs(transfer: ledger_pb2.Transfer, hold_id: str) -> bool:
    return transfer.transaction_id == hold_id


async def _counted(purchase: Purchase, code: str) -> Sequence[vouchers_pb2.RedemptionState.ValueType]:
    voucher = await purchase.stack.shop.read_voucher(code)
    return [each.state for each in voucher.redemptions if each.state in COUNTED]


async def _assert_slot_is_free(purchase: Purchase) -> None:
    connection = await purchase.stack.connect("checkout")
    try:
        on_their_way = await connection.fetchval(ORDERS_ON_THEIR_WAY, purchase.request.customer_id)
    finally:
        await connection.close()
    assert on_their_way == 0


async def _assert_no_session_open(purchase: Purchase) -> None:
    """Nobody can pay for an order that has ended. A provider that was killed comes back."""
    url = f"http://{purchase.stack.stack.address('sandbox')}/journal"

    async def read_journal() -> Any:
        async with purchase.stack.shop.http.get(url) as response:
            return await response.json()

    journal = await patiently(read_journal)
    mine = [session for session in journal["sessions"] if session["order_id"] == purchase.order_id]
    assert [session["state"] for session in mine if session["state"] == "open"] == []
