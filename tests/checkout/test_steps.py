"""The steps of an order's saga against the real provider: what each does, and what it says when it does not fit."""

import asyncio
from datetime import UTC
from uuid import UUID

import aiohttp

from quittance.checkout.v1 import checkout_pb2, order_steps_pb2
from quittance.vouchers.v1 import vouchers_pb2
from tests.checkout.shop import PRICE_MINOR, Shop, fresh_id, refused
from tests.payments.sandbox_process import SandboxProcess, click

FAILED = checkout_pb2.ORDER_STATE_FAILED
EXPIRED = checkout_pb2.ORDER_STATE_EXPIRED
CANCELLED = checkout_pb2.ORDER_STATE_CANCELLED


async def until_payment_is(shop: Shop, order_id: str, state: str) -> None:
    async with asyncio.timeout(60):
        while await shop.payment_state(order_id) != state:
            await asyncio.sleep(0.02)


async def sessions_of(sandbox: SandboxProcess, order_id: str) -> list[str]:
    """States of the order's pay pages at the provider."""
    journal = await sandbox.journal()
    return [session["state"] for session in journal["sessions"] if session["order_id"] == order_id]


async def test_paid_order_goes_all_the_way(shop: Shop, sandbox: SandboxProcess) -> None:
    draft = await shop.draft(payment_window_s=600)
    created = await shop.create(draft)
    assert created.subtotal_minor == PRICE_MINOR
    kept_s = created.backstop_time.seconds - (await shop.read_order(draft.order_id)).create_time.seconds
    assert kept_s == 30 * 86_400 + 600
    await shop.settle_price(draft.order_id)
    opened = await shop.open(draft.order_id)
    assert (opened.amount_minor, opened.payment_url) == (PRICE_MINOR, "")
    hidden = await shop.read_order(draft.order_id)
    assert (hidden.state, hidden.payment.payment_url) == (checkout_pb2.ORDER_STATE_PENDING, "")
    await shop.hand_over(draft.order_id)
    waiting = await shop.read_order(draft.order_id)
    assert waiting.state == checkout_pb2.ORDER_STATE_AWAITING_PAYMENT
    await click(waiting.payment.payment_url, "pay")
    await until_payment_is(shop, draft.order_id, "PAID")
    settling = await shop.begin_settling(draft.order_id)
    assert settling.payment.provider_payment_id
    assert settling.breakdown.amount_due_minor == PRICE_MINOR
    placed_at = await shop.complete(draft.order_id)
    assert await shop.complete(draft.order_id) == placed_at
    placed = await shop.read_order(draft.order_id)
    assert (placed.state, placed.payment.payment_url) == (checkout_pb2.ORDER_STATE_PLACED, "")


async def test_free_order_settles_without_a_payment(shop: Shop) -> None:
    expected = checkout_pb2.PriceBreakdown(subtotal_minor=PRICE_MINOR, credits_minor=PRICE_MINOR)
    draft = await shop.draft(expected=expected)
    await shop.create(draft)
    await shop.settle_price(draft.order_id, credits_held_minor=PRICE_MINOR)
    async with refused("ORDER_STATE_CONFLICT"):
        await shop.open(draft.order_id)
    assert not (await shop.begin_settling(draft.order_id)).HasField("payment")
    await shop.complete(draft.order_id)


async def test_discounts_are_stored_line_by_line(shop: Shop) -> None:
    lines = [checkout_pb2.LineRequest(price_id=await shop.price(100), quantity=2) for _ in range(2)]
    expected = checkout_pb2.PriceBreakdown(
        subtotal_minor=400, discount_minor=50, credits_minor=30, amount_due_minor=320
    )
    draft = await shop.draft(lines=lines, expected=expected)
    await shop.create(draft)
    discounts = [vouchers_pb2.LineDiscount(line_number=number, discount_minor=25) for number in (1, 2)]
    await shop.settle_price(draft.order_id, line_discounts=discounts, credits_held_minor=30)
    order = await shop.read_order(draft.order_id)
    assert [line.discount_minor for line in order.lines] == [25, 25]
    assert order.breakdown == expected
    await shop.settle_price(draft.order_id, line_discounts=discounts, credits_held_minor=30)
    async with refused("ORDER_STATE_CONFLICT"):
        await shop.settle_price(draft.order_id, credits_held_minor=30)


# Create and settle price


async def test_create_order_twice_is_once(shop: Shop) -> None:
    """K-2."""
    draft = await shop.draft()
    assert await shop.create(draft) == await shop.create(draft)


async def test_create_order_with_a_taken_id_is_refused(shop: Shop) -> None:
    """K-3."""
    draft = await shop.draft()
    await shop.create(draft)
    draft.request_fingerprint = b"another-request!"
    async with refused("ORDER_EXISTS_WITH_DIFFERENT_FIELD"):
        await shop.create(draft)


async def test_create_order_repeated_after_it_was_placed_tells_the_same_facts(shop: Shop) -> None:
    """S-5: a worker that was too slow takes all steps again, and no step may find another request under its id."""
    lines = [checkout_pb2.LineRequest(price_id=await shop.price(0), quantity=1)]
    draft = await shop.draft(lines=lines, expected=checkout_pb2.PriceBreakdown())
    first = await shop.create(draft)
    await shop.settle_price(draft.order_id)
    await shop.begin_settling(draft.order_id)
    await shop.complete(draft.order_id)
    assert await shop.create(draft) == first
    later = await shop.draft(customer_id=draft.customer_id)
    assert (await shop.create(later)).orders_placed == first.orders_placed + 1


async def test_create_order_while_another_is_on_its_way_names_it(shop: Shop) -> None:
    """P5. The pay page's address is not in it: steps go through workflows."""
    first = await shop.awaiting_payment()
    async with refused("CHECKOUT_IN_FLIGHT") as answer:
        await shop.create(await shop.draft(customer_id=first.customer_id))
    assert answer.metadata == {
        "in_flight_order_id": first.order_id,
        "in_flight_order_state": "awaiting_payment",
    }


async def test_orders_of_one_customer_at_once_get_one_slot(shop: Shop) -> None:
    """P5, whatever the race."""
    customer_id = fresh_id()
    drafts = [await shop.draft(customer_id=customer_id) for _ in range(8)]
    answers = await asyncio.gather(*(shop.create(draft) for draft in drafts), return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1


async def test_slot_is_free_again_after_the_end(shop: Shop) -> None:
    draft = await shop.draft()
    await shop.create(draft)
    await shop.end(draft)
    await shop.create(await shop.draft(customer_id=draft.customer_id))


async def test_create_order_with_an_unknown_price_leaves_nothing(shop: Shop) -> None:
    draft = await shop.draft(lines=[checkout_pb2.LineRequest(price_id=fresh_id(), quantity=1)])
    async with refused("PRICE_NOT_FOUND"):
        await shop.create(draft)
    async with refused("ORDER_NOT_FOUND"):
        await shop.read_order(draft.order_id)


async def test_create_order_in_another_currency_is_refused(shop: Shop) -> None:
    lines = [checkout_pb2.LineRequest(price_id=await shop.price(currency="EUR"), quantity=1)]
    async with refused("CURRENCY_MISMATCH"):
        await shop.create(await shop.draft(lines=lines))


async def test_settle_price_that_is_not_what_was_confirmed_is_refused(shop: Shop) -> None:
    """C2."""
    draft = await shop.draft()
    await shop.create(draft)
    async with refused("STALE_QUOTE") as answer:
        await shop.settle_price(draft.order_id, credits_held_minor=1)
    assert answer.metadata == {"field": "credits_minor", "expected_minor": "0", "actual_minor": "1"}
    assert (await shop.read_order(draft.order_id)).breakdown == checkout_pb2.PriceBreakdown()


async def test_settle_price_with_more_credits_than_needed_uses_what_is_needed(shop: Shop) -> None:
    """V6: a credit voucher is worth more than the order."""
    draft = await shop.draft(
        expected=checkout_pb2.PriceBreakdown(subtotal_minor=PRICE_MINOR, credits_minor=PRICE_MINOR)
    )
    await shop.create(draft)
    await shop.settle_price(draft.order_id, credits_held_minor=PRICE_MINOR * 2)


# The pay page


async def test_open_twice_is_one_page(shop: Shop, sandbox: SandboxProcess) -> None:
    draft = await shop.priced()
    first = await shop.open(draft.order_id)
    assert await shop.open(draft.order_id) == first
    assert await sessions_of(sandbox, draft.order_id) == ["open"]


async def test_open_after_a_lost_answer_finds_the_same_page(shop: Shop, sandbox: SandboxProcess) -> None:
    draft = await shop.priced()
    await sandbox.set_mode("lose_answer")
    async with refused("PAYMENT_PROVIDER_UNAVAILABLE"):
        await shop.open(draft.order_id)
    await sandbox.set_mode("ok")
    await shop.open(draft.order_id)
    assert await sessions_of(sandbox, draft.order_id) == ["open"]


async def test_open_without_a_configured_provider_is_a_definite_no_and_closes_at_once(
    shop: Shop, sandbox: SandboxProcess
) -> None:
    """V2: what was refused can be undone while the provider is still not there."""
    draft = await shop.priced()
    await sandbox.set_mode("unconfigured")
    async with refused("PAYMENT_PROVIDER_NOT_CONFIGURED") as answer:
        await shop.open(draft.order_id)
    assert answer.metadata == {"provider": "sandbox"}
    assert await shop.close(draft.order_id) == "CLOSED"
    assert await shop.end(draft) == FAILED


async def test_open_at_an_unknown_provider_is_a_definite_no(shop: Shop) -> None:
    draft = await shop.priced(payment_provider="nobody")
    async with refused("PAYMENT_PROVIDER_NOT_CONFIGURED"):
        await shop.open(draft.order_id)
    assert await shop.close(draft.order_id) == "CLOSED"


async def test_open_that_the_provider_refuses_is_a_definite_no(shop: Shop, sandbox: SandboxProcess) -> None:
    """V2."""
    draft = await shop.priced()
    await sandbox.set_mode("refusing", code="customer_blocked")
    async with refused("PAYMENT_PROVIDER_REFUSED") as answer:
        await shop.open(draft.order_id)
    assert answer.metadata == {"provider": "sandbox", "provider_code": "customer_blocked"}
    await sandbox.set_mode("ok")
    assert await shop.close(draft.order_id) == "CLOSED"


async def test_close_after_an_open_in_doubt_finds_the_page_and_closes_it(shop: Shop, sandbox: SandboxProcess) -> None:
    draft = await shop.priced()
    await sandbox.set_mode("lose_answer")
    async with refused("PAYMENT_PROVIDER_UNAVAILABLE"):
        await shop.open(draft.order_id)
    await sandbox.set_mode("ok")
    assert await shop.close(draft.order_id) == "CLOSED"
    assert await sessions_of(sandbox, draft.order_id) == ["expired"]


async def test_open_that_is_answered_after_the_close_leaves_no_open_page(shop: Shop, sandbox: SandboxProcess) -> None:
    """A try that the worker has given up may still land."""
    is_late = False
    while not is_late:
        draft = await shop.priced()
        await sandbox.set_mode("ok", slow_s=0.6)
        late = asyncio.create_task(shop.open(draft.order_id))
        await asyncio.sleep(0.2)
        await sandbox.set_mode("ok")
        assert await shop.close(draft.order_id) == "CLOSED"
        # On a busy machine it may have come first: then once more.
        is_late = not late.done()
        if is_late:
            async with refused("ORDER_STATE_CONFLICT"):
                await late
    assert await sessions_of(sandbox, draft.order_id) == ["expired"]


async def test_close_before_open_refuses_the_open(shop: Shop, sandbox: SandboxProcess) -> None:
    draft = await shop.priced()
    assert await shop.close(draft.order_id) == "CLOSED"
    async with refused("ORDER_STATE_CONFLICT"):
        await shop.open(draft.order_id)
    assert await sessions_of(sandbox, draft.order_id) == []
    assert not (await shop.read_order(draft.order_id)).HasField("payment")


async def test_close_before_its_order_comes_refuses_the_open(shop: Shop) -> None:
    draft = await shop.draft()
    assert await shop.close(draft.order_id) == "CLOSED"
    await shop.create(draft)
    await shop.settle_price(draft.order_id)
    async with refused("ORDER_STATE_CONFLICT"):
        await shop.open(draft.order_id)


async def test_close_twice_is_once(shop: Shop, sandbox: SandboxProcess) -> None:
    order = await shop.awaiting_payment()
    assert [await shop.close(order.order_id) for _ in range(2)] == ["CLOSED", "CLOSED"]
    assert await sessions_of(sandbox, order.order_id) == ["expired"]
    async with refused("ORDER_STATE_CONFLICT"):
        await shop.hand_over((await shop.priced()).order_id)


async def test_close_after_a_lost_answer_is_once(shop: Shop, sandbox: SandboxProcess) -> None:
    order = await shop.awaiting_payment()
    await sandbox.set_mode("lose_answer")
    async with refused("PAYMENT_PROVIDER_UNAVAILABLE"):
        await shop.close(order.order_id)
    await sandbox.set_mode("ok")
    assert await shop.close(order.order_id) == "CLOSED"


async def test_close_of_an_open_page_without_a_configured_provider_stays_in_doubt(
    shop: Shop, sandbox: SandboxProcess
) -> None:
    """A customer may be paying there."""
    order = await shop.awaiting_payment()
    await sandbox.set_mode("unconfigured")
    async with refused("PAYMENT_PROVIDER_UNAVAILABLE"):
        await shop.close(order.order_id)


async def test_close_of_a_paid_page_says_paid_and_keeps_the_order(shop: Shop, sandbox: SandboxProcess) -> None:
    """The customer was faster than the end, and the webhook is lost: nobody's money is taken for nothing."""
    draft = await shop.priced()
    await shop.open(draft.order_id)
    await shop.hand_over(draft.order_id)
    order = await shop.read_order(draft.order_id)
    await click(order.payment.payment_url, "pay")
    assert await shop.close(draft.order_id) == "PAID"
    async with refused("PAYMENT_IS_PAID"):
        await shop.end(draft)
    await shop.begin_settling(draft.order_id)
    async with refused("ORDER_ALREADY_PLACED"):
        await shop.end(draft)


async def test_read_payment_asks_the_provider_only_when_told_to(shop: Shop, sandbox: SandboxProcess) -> None:
    """Polling is the safety net for lost webhooks."""
    order = await shop.awaiting_payment()
    assert (await shop.read_payment(order.order_id, refresh=True)).state == checkout_pb2.PAYMENT_STATE_PENDING
    await sandbox.set_mode("failing")
    assert (await shop.read_payment(order.order_id)).state == checkout_pb2.PAYMENT_STATE_PENDING
    async with refused("PAYMENT_PROVIDER_UNAVAILABLE"):
        await shop.read_payment(order.order_id, refresh=True)
    await sandbox.set_mode("ok")
    await click(order.payment.payment_url, "decline")
    declined = await shop.read_payment(order.order_id, refresh=True)
    assert (declined.state, declined.payment_url) == (checkout_pb2.PAYMENT_STATE_FAILED, "")


async def test_page_that_has_expired_at_the_provider_ends_the_payment(shop: Shop, sandbox: SandboxProcess) -> None:
    draft = await shop.priced()
    payment = await shop.open(draft.order_id)
    assert await shop.hand_over(draft.order_id) == payment.expire_time.ToDatetime(tzinfo=UTC)
    [session] = await sandbox.sessions_of(UUID(draft.order_id))
    provider = sandbox.client()
    await provider.close_session(session["session_id"])
    await provider.close()
    await until_payment_is(shop, draft.order_id, "EXPIRED")
    assert await shop.close(draft.order_id) == "CLOSED"
    assert await shop.end(draft, EXPIRED) == EXPIRED


async def test_hand_over_without_a_page_is_refused(shop: Shop) -> None:
    draft = await shop.priced()
    async with refused("ORDER_STATE_CONFLICT") as answer:
        await shop.hand_over(draft.order_id)
    assert answer.metadata["step"] == "hand_over"


# The pivot and the end


async def test_begin_settling_without_a_payment_is_refused(shop: Shop) -> None:
    order = await shop.awaiting_payment()
    async with refused("PAYMENT_NOT_SETTLED") as answer:
        await shop.begin_settling(order.order_id)
    assert answer.metadata["payment_state"] == "pending"


async def test_begin_settling_before_the_price_is_settled_is_refused(shop: Shop) -> None:
    draft = await shop.draft()
    await shop.create(draft)
    async with refused("PAYMENT_NOT_SETTLED"):
        await shop.begin_settling(draft.order_id)


async def test_complete_before_the_pivot_is_refused(shop: Shop) -> None:
    order = await shop.awaiting_payment()
    async with refused("ORDER_STATE_CONFLICT"):
        await shop.complete(order.order_id)


async def test_end_of_an_unknown_order_refuses_its_creation(shop: Shop) -> None:
    """V4: an undo that arrives before its step."""
    draft = await shop.draft()
    assert await shop.end(draft, CANCELLED) == CANCELLED
    async with refused("ORDER_ALREADY_ENDED") as answer:
        await shop.create(draft)
    assert answer.metadata["order_state"] == "cancelled"
    order = await shop.read_order(draft.order_id)
    assert (order.state, order.refusal.reason) == (CANCELLED, "PAYMENT_EXPIRED")
    assert [(line.price_id, line.product_id) for line in order.lines] == [(draft.lines[0].price_id, "")]


async def test_first_end_wins(shop: Shop) -> None:
    draft = await shop.priced()
    assert await shop.end(draft, EXPIRED, "PAYMENT_EXPIRED") == EXPIRED
    assert await shop.end(draft, CANCELLED, "ORDER_CANCELLED") == EXPIRED
    order = await shop.read_order(draft.order_id)
    assert order.refusal.reason == "PAYMENT_EXPIRED"
    assert dict(order.refusal.metadata) == {"a": "b"}


async def test_end_by_another_request_under_the_id_is_refused(shop: Shop) -> None:
    draft = await shop.draft()
    await shop.create(draft)
    draft.request_fingerprint = b"another-request!"
    async with refused("ORDER_EXISTS_WITH_DIFFERENT_FIELD"):
        await shop.end(draft)


async def test_every_step_after_the_end_is_refused(shop: Shop) -> None:
    draft = await shop.priced()
    await shop.open(draft.order_id)
    await shop.close(draft.order_id)
    await shop.end(draft)
    async with refused("ORDER_ALREADY_ENDED"):
        await shop.create(draft)
    for step in (shop.settle_price, shop.open, shop.hand_over, shop.begin_settling):
        async with refused("ORDER_ALREADY_ENDED"):
            await step(draft.order_id)


async def test_every_step_of_an_unknown_order_is_refused(shop: Shop) -> None:
    for step in (
        *(shop.settle_price, shop.open, shop.hand_over, shop.begin_settling, shop.complete),
        *(shop.read_payment, shop.read_order, shop.cancel, shop.standing),
    ):
        async with refused("ORDER_NOT_FOUND"):
            await step(fresh_id())


async def test_end_with_a_state_that_is_no_end_is_refused(shop: Shop) -> None:
    request = order_steps_pb2.EndOrderRequest(
        draft=await shop.draft(), order_state=checkout_pb2.ORDER_STATE_PLACED, refusal={"reason": "X"}
    )
    async with refused("INVALID_REQUEST"):
        await shop.steps.EndOrder(request)


async def test_pay_page_of_the_provider_answers(shop: Shop, sandbox: SandboxProcess) -> None:
    """The address that a customer gets is one that works."""
    order = await shop.awaiting_payment()
    async with aiohttp.ClientSession() as http, http.get(order.payment.payment_url) as page:
        assert page.status == 200
