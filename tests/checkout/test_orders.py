"""Quotes, and what PlaceOrder answers without starting a workflow. Everything after that is tested with Temporal."""

import asyncio

import asyncpg
import grpc
import pytest

from deploy.local.ports import free_port
from quittance.checkout.v1 import checkout_pb2
from services.checkout.main import CheckoutSettings
from services.checkout.servicer.decode import place_request
from tests.checkout.conftest import Checkout, Peers, serving_checkout
from tests.checkout.shop import CURRENCY, PRICE_MINOR, Shop, fresh_id, refused
from tests.payments.sandbox_process import SandboxProcess

FAILED = checkout_pb2.ORDER_STATE_FAILED


def parts(breakdown: checkout_pb2.PriceBreakdown) -> tuple[int, int, int, int]:
    """Subtotal, discount, credits, amount due."""
    return (
        breakdown.subtotal_minor,
        breakdown.discount_minor,
        breakdown.credits_minor,
        breakdown.amount_due_minor,
    )


# Quotes


async def test_quote_of_lines_alone_is_their_list_price(shop: Shop) -> None:
    """C2."""
    price_id = await shop.price(1_500)
    lines = [checkout_pb2.LineRequest(price_id=price_id, quantity=quantity) for quantity in (2, 3)]
    quote = await shop.quote(lines=lines)
    assert parts(quote.breakdown) == (7_500, 0, 0, 7_500)
    assert [(line.line_number, line.amount_minor) for line in quote.lines] == [(1, 3_000), (2, 4_500)]


async def test_quote_takes_discount_voucher_credits_and_wallet_in_this_order(shop: Shop) -> None:
    """V6."""
    customer_id = fresh_id()
    await shop.give_credits(customer_id, 7_000)
    codes = [await shop.code(off_minor=5_000), await shop.code(credit_minor=10_000)]
    quote = await shop.quote(customer_id=customer_id, voucher_codes=codes, use_credits=True)
    assert parts(quote.breakdown) == (50_000, 5_000, 17_000, 28_000)
    assert quote.lines[0].discount_minor == 5_000
    assert [(voucher.discount_minor, voucher.credit_minor) for voucher in quote.vouchers] == [(5_000, 0), (0, 10_000)]


async def test_quote_leaves_the_wallet_alone_unless_asked(shop: Shop) -> None:
    customer_id = fresh_id()
    await shop.give_credits(customer_id, 7_000)
    quote = await shop.quote(customer_id=customer_id, use_credits=False)
    assert parts(quote.breakdown) == (50_000, 0, 0, 50_000)


async def test_quote_uses_no_more_credits_than_needed(shop: Shop) -> None:
    customer_id = fresh_id()
    await shop.give_credits(customer_id, 90_000)
    quote = await shop.quote(customer_id=customer_id, use_credits=True)
    assert parts(quote.breakdown) == (50_000, 0, 50_000, 0)


async def test_quote_with_an_unknown_code_says_so_and_counts_it_for_nothing(shop: Shop) -> None:
    quote = await shop.quote(voucher_codes=["NO-SUCH-CODE"])
    assert quote.vouchers[0].refusal.reason == "VOUCHER_NOT_FOUND"
    assert parts(quote.breakdown) == (50_000, 0, 0, 50_000)


async def test_quote_of_an_unknown_price_is_refused(shop: Shop) -> None:
    async with refused("PRICE_NOT_FOUND"):
        await shop.quote(lines=[checkout_pb2.LineRequest(price_id=fresh_id(), quantity=1)])


async def test_quote_of_too_large_an_amount_is_refused(shop: Shop) -> None:
    lines = [checkout_pb2.LineRequest(price_id=await shop.price(10**12), quantity=10**6)]
    async with refused("AMOUNT_OUT_OF_RANGE"):
        await shop.quote(lines=lines)


async def test_quote_without_the_other_services_is_unavailable(
    checkout_settings: CheckoutSettings, configured: pytest.MonkeyPatch, peers: Peers, shop: Shop
) -> None:
    """Nothing was begun, so nothing is final."""
    lines = [checkout_pb2.LineRequest(price_id=await shop.price(), quantity=1)]
    settings = checkout_settings.model_copy(
        update={"http_address": "127.0.0.1:0", "vouchers_address": f"127.0.0.1:{free_port()}"}
    )
    async with serving_checkout(settings) as lonely:
        alone = Shop(lonely.orders, lonely.steps, peers.ledger, peers.campaigns, peers.codes)
        async with refused("SERVICE_UNAVAILABLE") as answer:
            await alone.quote(lines=lines, voucher_codes=["ANY-CODE"])
        assert answer.metadata == {"service": "vouchers"}
        request = await shop.request(lines=lines)
        request.voucher_codes.append("ANY-CODE")
        async with refused("SERVICE_UNAVAILABLE") as answer:
            await alone.place(request)
    assert "order_state" not in answer.metadata
    async with refused("ORDER_NOT_FOUND"):
        await shop.read_order(request.order_id)


# Refused before anything is begun


async def refused_for_good(shop: Shop, request: checkout_pb2.PlaceOrderRequest, reason: str) -> dict[str, str]:
    """Refused twice alike, final, and kept under the order's id (S-1); answers the metadata."""
    async with refused(reason) as first:
        await shop.place(request)
    async with refused(reason) as second:
        await shop.place(request)
    assert first.refusal == second.refusal
    assert first.metadata["order_state"] == "failed"
    order = await shop.read_order(request.order_id)
    assert (order.state, order.refusal.reason) == (FAILED, reason)
    return first.metadata


async def test_place_with_a_stale_total_is_refused_for_good(shop: Shop) -> None:
    """C2."""
    request = await shop.request(expected=checkout_pb2.PriceBreakdown(subtotal_minor=1, amount_due_minor=1))
    metadata = await refused_for_good(shop, request, "STALE_QUOTE")
    assert (metadata["field"], metadata["expected_minor"], metadata["actual_minor"]) == ("subtotal_minor", "1", "50000")


async def test_place_with_an_unknown_code_is_refused_with_the_vouchers_own_reason(shop: Shop) -> None:
    """Errors cross boundaries whole."""
    request = await shop.request()
    request.voucher_codes.append("NO-SUCH-CODE")
    async with refused("VOUCHER_NOT_FOUND") as answer:
        await shop.place(request)
    assert answer.refusal.domain == "vouchers.quittance"
    assert answer.refusal.status is grpc.StatusCode.NOT_FOUND
    assert "NO-SUCH-CODE" not in str(answer.refusal)
    await refused_for_good(shop, request, "VOUCHER_NOT_FOUND")


async def test_place_with_an_unknown_price_is_refused_for_good(shop: Shop) -> None:
    lines = [checkout_pb2.LineRequest(price_id=fresh_id(), quantity=1)]
    request = await shop.request(lines=lines, expected=checkout_pb2.PriceBreakdown())
    await refused_for_good(shop, request, "PRICE_NOT_FOUND")


async def test_place_with_a_refused_id_and_other_fields_is_another_request(shop: Shop) -> None:
    """K-3: that is not the end of the order that has the id."""
    request = await shop.request(expected=checkout_pb2.PriceBreakdown(subtotal_minor=1, amount_due_minor=1))
    await refused_for_good(shop, request, "STALE_QUOTE")
    request.use_credits = not request.use_credits
    async with refused("ORDER_EXISTS_WITH_DIFFERENT_FIELD") as answer:
        await shop.place(request)
    assert "order_state" not in answer.metadata


async def test_place_while_another_order_waits_names_it_and_its_pay_page(
    shop: Shop, sandbox: SandboxProcess, owner_connection: asyncpg.Connection
) -> None:
    """P5. The address is in the answer only: in no row but its own."""
    waiting = await shop.awaiting_payment()
    request = await shop.request(customer_id=waiting.customer_id)
    metadata = await refused_for_good(shop, request, "CHECKOUT_IN_FLIGHT")
    assert metadata == {
        "order_state": "failed",
        "in_flight_order_id": waiting.order_id,
        "in_flight_order_state": "awaiting_payment",
        "payment_url": waiting.payment.payment_url,
    }
    stored = await owner_connection.fetchval(
        "SELECT refusal_metadata FROM orders WHERE order_id = $1", request.order_id
    )
    assert waiting.payment.payment_url not in stored


async def test_place_while_another_order_is_prepared_names_no_pay_page(shop: Shop) -> None:
    draft = await shop.priced()
    await shop.open(draft.order_id)
    request = await shop.request(customer_id=draft.customer_id)
    metadata = await refused_for_good(shop, request, "CHECKOUT_IN_FLIGHT")
    assert metadata["in_flight_order_state"] == "pending"
    assert "payment_url" not in metadata


async def test_place_that_replaces_a_paid_order_is_refused(shop: Shop, owner_connection: asyncpg.Connection) -> None:
    """P5: it turned out paid."""
    expected = checkout_pb2.PriceBreakdown(subtotal_minor=PRICE_MINOR, credits_minor=PRICE_MINOR)
    draft = await shop.draft(expected=expected)
    await shop.create(draft)
    await shop.settle_price(draft.order_id, credits_held_minor=PRICE_MINOR)
    await shop.begin_settling(draft.order_id)
    request = await shop.request(customer_id=draft.customer_id, replace=True)
    metadata = await refused_for_good(shop, request, "CHECKOUT_IN_FLIGHT")
    assert metadata["in_flight_order_state"] == "settling"


async def test_place_of_a_wrong_shape_is_refused_and_leaves_nothing(shop: Shop) -> None:
    request = await shop.request(payment_window_s=1)
    async with refused("INVALID_REQUEST"):
        await shop.place(request)
    async with refused("ORDER_NOT_FOUND"):
        await shop.read_order(request.order_id)


# Answered from the order's row


async def test_place_of_an_order_that_waits_gives_its_pay_page_again(
    shop: Shop, sandbox: SandboxProcess, app_connection: asyncpg.Connection
) -> None:
    """Without any workflow: the row has the answer."""
    request = await shop.request()
    draft = await shop.draft(
        order_id=request.order_id,
        customer_id=request.customer_id,
        request_fingerprint=place_request(request, "sandbox", await fingerprint_key(app_connection)).fingerprint,
    )
    await shop.create(draft)
    await shop.settle_price(draft.order_id)
    await shop.open(draft.order_id)
    await shop.hand_over(draft.order_id)
    order = await shop.place(request)
    assert order == await shop.read_order(request.order_id)
    assert order.payment.payment_url


async def fingerprint_key(connection: asyncpg.Connection) -> bytes:
    key: bytes = await connection.fetchval("SELECT key FROM fingerprint_keys")
    return key


async def test_cancel_of_an_ended_order_succeeds(shop: Shop) -> None:
    draft = await shop.priced()
    await shop.end(draft)
    cancelled = await shop.cancel(draft.order_id)
    assert (cancelled.order.state, cancelled.undo_pending) == (FAILED, False)


async def test_cancel_of_a_placed_order_is_refused(shop: Shop) -> None:
    expected = checkout_pb2.PriceBreakdown(subtotal_minor=PRICE_MINOR, credits_minor=PRICE_MINOR)
    draft = await shop.draft(expected=expected)
    await shop.create(draft)
    await shop.settle_price(draft.order_id, credits_held_minor=PRICE_MINOR)
    await shop.begin_settling(draft.order_id)
    for state in ("settling", "placed"):
        async with refused("ORDER_ALREADY_PLACED") as answer:
            await shop.cancel(draft.order_id)
        assert answer.metadata["order_state"] == state
        await shop.complete(draft.order_id)


# Without Temporal


async def test_place_without_temporal_is_unavailable_and_leaves_nothing(shop: Shop) -> None:
    """Whether it was begun is unknown, so nothing is stored as refused."""
    request = await shop.request()
    async with refused("WORKFLOWS_UNAVAILABLE") as answer:
        await shop.place(request)
    assert "order_state" not in answer.metadata
    async with refused("ORDER_NOT_FOUND"):
        await shop.read_order(request.order_id)


async def test_cancel_without_temporal_is_unavailable(shop: Shop) -> None:
    draft = await shop.priced()
    async with refused("WORKFLOWS_UNAVAILABLE"):
        await shop.cancel(draft.order_id)


async def test_place_many_at_once_with_one_id_are_refused_alike(shop: Shop, checkout: Checkout) -> None:
    """K-1: one row, one answer."""
    request = await shop.request(expected=checkout_pb2.PriceBreakdown(subtotal_minor=1, amount_due_minor=1))

    async def attempt() -> str:
        async with refused("STALE_QUOTE") as answer:
            await shop.place(request)
        return answer.metadata["order_state"]

    assert await asyncio.gather(*(attempt() for _ in range(8))) == ["failed"] * 8


# Confidential


async def test_codes_and_pay_pages_stand_in_no_log_line_and_no_row_of_an_order(
    shop: Shop, sandbox: SandboxProcess, owner_connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """C-3."""
    code, unknown = await shop.code(off_minor=1_000), f"SECRET-{fresh_id()[-8:].upper()}"
    waiting = await shop.awaiting_payment()
    await shop.quote(voucher_codes=[code, unknown])
    request = await shop.request([code, unknown], customer_id=waiting.customer_id)
    await refused_for_good(shop, request, "CHECKOUT_IN_FLIGHT")
    other = await shop.request([code, unknown])
    await refused_for_good(shop, other, "VOUCHER_NOT_FOUND")
    seen = capsys.readouterr()
    orders = await owner_connection.fetch(
        "SELECT o::text || coalesce(v::text, '') FROM orders AS o LEFT JOIN order_vouchers AS v USING (order_id)"
    )
    said = f"{seen.out}{seen.err}{orders}"
    assert "PlaceOrder" in said
    for secret in (code, code.replace("-", ""), unknown, unknown.replace("-", ""), waiting.payment.payment_url):
        assert secret not in said


async def test_currency_of_the_draft_is_the_requests(shop: Shop) -> None:
    request = await shop.request(expected=checkout_pb2.PriceBreakdown(subtotal_minor=1, amount_due_minor=1))
    await refused_for_good(shop, request, "STALE_QUOTE")
    order = await shop.read_order(request.order_id)
    assert (order.currency, order.customer_id) == (CURRENCY, request.customer_id)
