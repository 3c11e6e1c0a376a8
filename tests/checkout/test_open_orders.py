"""Orders that something is still to be done for: what a repair reads, and what a sweep lists (S-1, S-3)."""

from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2
from tests.checkout.shop import PRICE_MINOR, Shop
from tests.payments.sandbox_process import SandboxProcess

EXPIRED = checkout_pb2.ORDER_STATE_EXPIRED
CANCELLED = checkout_pb2.ORDER_STATE_CANCELLED
BY_CREDITS = checkout_pb2.PriceBreakdown(subtotal_minor=PRICE_MINOR, credits_minor=PRICE_MINOR)


async def test_order_is_open_until_it_is_placed(shop: Shop) -> None:
    """S-1: whoever looks for orders without a workflow finds it at every step of its way."""
    draft = await shop.draft(use_credits=True, expected=BY_CREDITS)
    assert draft.order_id not in await shop.open_orders()
    steps = (
        lambda: shop.create(draft),
        lambda: shop.settle_price(draft.order_id, credits_held_minor=PRICE_MINOR),
        lambda: shop.begin_settling(draft.order_id),
    )
    for step in steps:
        await step()
        assert draft.order_id in await shop.open_orders()
        assert (await shop.standing(draft.order_id)).is_open
    await shop.complete(draft.order_id)
    assert draft.order_id not in await shop.open_orders()
    assert not (await shop.standing(draft.order_id)).is_open


async def test_ended_order_is_open_until_everything_is_undone(shop: Shop) -> None:
    """The customer's slot is free all the same; what says so first is the end, whatever comes after it."""
    draft = await shop.priced()
    assert await shop.end(draft, EXPIRED, undo_pending=True) == EXPIRED
    standing = await shop.standing(draft.order_id)
    assert (standing.order_state, standing.is_open, standing.refusal.reason) == (EXPIRED, True, "PAYMENT_EXPIRED")
    assert standing.draft == draft
    await shop.create(await shop.draft(customer_id=draft.customer_id))

    another = order_workflow_pb2.OrderDraft()
    another.CopyFrom(draft)
    another.request_fingerprint = b"another-request!"
    assert await shop.end(another, CANCELLED) == EXPIRED
    assert draft.order_id in await shop.open_orders()

    assert await shop.end(draft, CANCELLED, "ORDER_CANCELLED") == EXPIRED
    assert await shop.end(draft, EXPIRED, undo_pending=True) == EXPIRED
    assert draft.order_id not in await shop.open_orders()
    assert (await shop.standing(draft.order_id)).refusal.reason == "PAYMENT_EXPIRED"


async def test_end_of_an_unknown_order_with_something_left_stays_open(shop: Shop) -> None:
    draft = await shop.draft()
    await shop.end(draft, undo_pending=True)
    assert draft.order_id in await shop.open_orders()
    await shop.end(draft)
    assert draft.order_id not in await shop.open_orders()


async def test_open_orders_come_page_by_page_and_only_when_unchanged_for_long(shop: Shop) -> None:
    drafts = [await shop.draft() for _ in range(5)]
    for draft in drafts:
        await shop.create(draft)
    found = await shop.open_orders(page_size=2)
    assert len(found) == len(set(found))
    assert {draft.order_id for draft in drafts} <= set(found)
    assert not {draft.order_id for draft in drafts} & set(await shop.open_orders(unchanged_for_s=3600))


async def test_standing_of_an_order_tells_of_its_page_and_never_its_address(
    shop: Shop, sandbox: SandboxProcess
) -> None:
    """C-3: what a repair reads goes through a history."""
    order = await shop.awaiting_payment()
    standing = await shop.standing(order.order_id)
    assert (standing.has_page, standing.is_handed_over, standing.is_open) == (True, True, True)
    assert standing.payment.amount_minor == order.payment.amount_minor
    assert not standing.payment.payment_url
    assert order.payment.payment_url not in str(standing)
    await shop.close(order.order_id)
    assert not (await shop.standing(order.order_id)).has_page
