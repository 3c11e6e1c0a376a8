"""Whole orders through the public API, on real servers (rows V1, V2, V6, C2, P5)."""

import asyncio
from typing import Any
from uuid import UUID

import grpc
import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from orchestrator.checkout_workflow import CheckoutWorkflow
from quittance.checkout.v1 import checkout_pb2
from quittance.ledger.v1 import ledger_pb2
from quittance.vouchers.v1 import vouchers_pb2
from services.runtime.grpc_errors import Refusal, refusal_of
from services.runtime.payloads import data_converter
from tests.faults.proxy import Fault
from tests.faults.scenario import DUE_MINOR, assert_clean_slate, assert_kept, assert_placed, new_purchase
from tests.faulty_stack import FaultyStack
from tests.shop import PRICE_MINOR, Shop, fresh_id

PLACED = checkout_pb2.ORDER_STATE_PLACED
AWAITING_PAYMENT = checkout_pb2.ORDER_STATE_AWAITING_PAYMENT


async def refused(call: Any) -> Refusal:
    """What a call that is bound to be refused was told."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return refusal_of(raised.value)


async def test_order_with_unconfigured_provider_is_unavailable_and_leaves_nothing(stack: FaultyStack) -> None:
    """V2, V3: the case that started it."""
    purchase = await new_purchase(stack)
    await stack.shop.sandbox("unconfigured")
    try:
        refusal = await purchase.place_refused()
    finally:
        await stack.shop.sandbox("ok")
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "PAYMENT_PROVIDER_NOT_CONFIGURED")
    assert refusal.metadata["order_state"] == "failed"
    await assert_clean_slate(purchase)
    kinds = [transfer.kind for transfer in await stack.shop.transfers(purchase.request.customer_id)]
    assert kinds.count(ledger_pb2.TRANSFER_KIND_REVERSAL) == 1


async def test_refusal_is_final_for_its_order_id(stack: FaultyStack) -> None:
    """C-1: the same id gets the same refusal, also when it would go through now."""
    purchase = await new_purchase(stack)
    await stack.shop.sandbox("unconfigured")
    try:
        first = await purchase.place_refused()
    finally:
        await stack.shop.sandbox("ok")
    second = await stack.shop.refused(purchase.request)
    assert (second.status, second.reason, second.domain) == (first.status, first.reason, first.domain)
    assert second.metadata["order_state"] == "failed"
    await assert_clean_slate(purchase)


async def test_order_that_is_paid_is_placed_with_all_its_parts(stack: FaultyStack) -> None:
    """V1, V6: voucher, credits and payment add up."""
    purchase = await new_purchase(stack)
    order = await purchase.place_and_pay()
    assert order.breakdown.amount_due_minor == DUE_MINOR
    await assert_placed(purchase)


async def test_order_covered_by_credits_is_placed_at_once(shop: Shop) -> None:
    customer = fresh_id()
    await shop.give_credits(customer, PRICE_MINOR + 1)
    order = await shop.place(await shop.order(customer))
    assert order.state == PLACED
    assert order.breakdown.credits_minor == PRICE_MINOR
    assert not order.HasField("payment")
    assert (await shop.wallet(customer)).balance_minor == 1


async def test_credit_voucher_larger_than_the_order_leaves_the_rest_in_the_wallet(shop: Shop) -> None:
    """L4: the charge may be less than the reservation; the rest returns."""
    customer = fresh_id()
    code = await shop.credit_voucher(PRICE_MINOR + 10_000)
    order = await shop.place(await shop.order(customer, [code], use_credits=False))
    assert order.state == PLACED
    wallet = await shop.wallet(customer)
    assert (wallet.balance_minor, wallet.held_minor, wallet.available_minor) == (10_000, 0, 10_000)


async def test_voucher_for_first_orders_is_taken_once_and_refused_for_the_second_order(shop: Shop) -> None:
    """V7: checkout tells the vouchers how many orders this customer has placed."""
    customer = fresh_id()
    await shop.give_credits(customer, 2 * PRICE_MINOR)
    codes = [await shop.discount_voucher(first_order_only=True) for _ in range(2)]
    first = await shop.place(await shop.order(customer, codes[:1]))
    assert (first.state, first.breakdown.discount_minor) == (PLACED, 5_000)
    second = await shop.order(customer, codes[1:])
    assert second.expected.discount_minor == 0
    refusal = await shop.refused(second)
    assert (refusal.reason, refusal.metadata["orders_placed"]) == ("NOT_FIRST_ORDER", "1")


async def test_declined_payment_keeps_credit_and_returns_discount(stack: FaultyStack) -> None:
    """V1: the pay page's address had been handed over."""
    purchase = await new_purchase(stack)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "refuse")
    assert (await stack.shop.read_order(purchase.order_id)).state == AWAITING_PAYMENT
    await stack.shop.on_pay_page(order.payment.payment_url, "decline")
    failed = await stack.shop.until_state(purchase.order_id, checkout_pb2.ORDER_STATE_FAILED)
    assert failed.refusal.reason == "PAYMENT_DECLINED"
    await stack.workflow_of(purchase.order_id).result()
    await assert_kept(purchase, checkout_pb2.ORDER_STATE_FAILED)


async def test_abandoned_order_expires_and_its_code_is_answered_from_the_wallet(stack: FaultyStack) -> None:
    """V1: the credit waits in the wallet for the next attempt."""
    shop = stack.shop
    purchase = await new_purchase(stack, payment_window_s=5)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await shop.on_pay_page(order.payment.payment_url, "walk_away")
    expired = await shop.until_state(purchase.order_id, checkout_pb2.ORDER_STATE_EXPIRED)
    assert expired.refusal.reason == "PAYMENT_EXPIRED"
    await stack.workflow_of(purchase.order_id).result()
    await assert_kept(purchase, checkout_pb2.ORDER_STATE_EXPIRED)

    again = await shop.order(purchase.request.customer_id, [purchase.discount_code, purchase.credit_code])
    second = await shop.place(again)
    assert second.breakdown.amount_due_minor == DUE_MINOR
    await shop.on_pay_page(second.payment.payment_url, "pay")
    await shop.until_state(second.order_id, PLACED)
    assert (await shop.wallet(purchase.request.customer_id)).balance_minor == 0
    assert (await shop.uses(purchase.credit_code), await shop.uses(purchase.discount_code)) == (1, 1)


async def test_cancel_before_payment_undoes_the_order(stack: FaultyStack) -> None:
    purchase = await new_purchase(stack)
    await purchase.place()
    answer = await stack.shop.cancel(purchase.order_id)
    assert answer.order.state == checkout_pb2.ORDER_STATE_CANCELLED
    assert not answer.undo_pending
    await stack.workflow_of(purchase.order_id).result()
    await assert_kept(purchase, checkout_pb2.ORDER_STATE_CANCELLED)
    again = await stack.shop.cancel(purchase.order_id)
    assert again.order.state == checkout_pb2.ORDER_STATE_CANCELLED


async def test_cancel_in_temporal_undoes_the_order(stack: FaultyStack) -> None:
    """An operator's cancellation in Temporal's UI is no failure and leaves nothing."""
    purchase = await new_purchase(stack)
    await purchase.place()
    workflow = stack.workflow_of(purchase.order_id)
    await workflow.cancel()
    await workflow.result()
    assert (await workflow.describe()).status == WorkflowExecutionStatus.COMPLETED
    await assert_kept(purchase, checkout_pb2.ORDER_STATE_CANCELLED)


async def test_cancel_of_a_placed_order_is_refused(shop: Shop) -> None:
    customer = fresh_id()
    await shop.give_credits(customer, PRICE_MINOR)
    order = await shop.place(await shop.order(customer))
    refusal = await refused(shop.cancel(order.order_id))
    assert refusal.reason == "ORDER_ALREADY_PLACED"


async def test_cancel_of_an_unknown_order_is_not_found(shop: Shop) -> None:
    assert (await refused(shop.cancel(fresh_id()))).reason == "ORDER_NOT_FOUND"


async def test_same_request_again_gets_the_same_order(shop: Shop) -> None:
    """K-2: an order id has one effect."""
    customer = fresh_id()
    await shop.give_credits(customer, 2 * PRICE_MINOR)
    request = await shop.order(customer)
    first, second = await asyncio.gather(shop.place(request), shop.place(request))
    third = await shop.place(request)
    assert first.order_id == second.order_id == third.order_id
    assert third.state == PLACED
    assert (await shop.wallet(customer)).balance_minor == PRICE_MINOR


async def test_same_order_id_with_other_fields_is_refused(shop: Shop) -> None:
    """K-3."""
    customer = fresh_id()
    await shop.give_credits(customer, PRICE_MINOR)
    request = await shop.order(customer)
    await shop.place(request)
    request.lines[0].quantity = 2
    assert (await refused(shop.place(request))).reason == "ORDER_EXISTS_WITH_DIFFERENT_FIELD"


async def test_second_checkout_in_flight_is_told_of_the_first(shop: Shop) -> None:
    """P5."""
    customer = fresh_id()
    first = await shop.place(await shop.order(customer))
    second = await shop.order(customer)
    refusal = await shop.refused(second)
    assert refusal.reason == "CHECKOUT_IN_FLIGHT"
    assert refusal.metadata["in_flight_order_id"] == first.order_id
    assert refusal.metadata["payment_url"] == first.payment.payment_url
    third = await shop.order(customer, replace=True)
    placed = await shop.place(third)
    assert placed.state == AWAITING_PAYMENT
    assert (await shop.read_order(first.order_id)).state == checkout_pb2.ORDER_STATE_CANCELLED
    await shop.cancel(placed.order_id)


async def test_stale_quote_is_refused_and_charges_nothing(shop: Shop) -> None:
    """C2."""
    customer = fresh_id()
    await shop.give_credits(customer, 10_000)
    request = await shop.order(customer)
    await shop.give_credits(customer, 10_000)
    refusal = await shop.refused(request)
    assert refusal.reason == "STALE_QUOTE"
    assert refusal.metadata["order_state"] == "failed"
    wallet = await shop.wallet(customer)
    assert (wallet.balance_minor, wallet.held_minor) == (20_000, 0)


async def test_refused_voucher_names_its_rule_and_leaves_nothing(shop: Shop) -> None:
    """V2: the reason comes whole from the service that refused."""
    code = await shop.credit_voucher(uses_max=1)
    winner, loser = fresh_id(), fresh_id()
    request = await shop.order(loser, [code])
    await shop.place(await shop.order(winner, [code]))
    refusal = await shop.refused(request)
    assert (refusal.domain, refusal.reason) == ("vouchers.quittance", "VOUCHER_EXHAUSTED")
    assert refusal.metadata["order_state"] == "failed"
    assert (await shop.wallet(loser)).balance_minor == 0
    assert await shop.uses(code) == 1


async def test_unknown_code_is_refused(shop: Shop) -> None:
    request = await shop.order(fresh_id())
    request.voucher_codes.append("NO-SUCH-CODE-1")
    assert (await shop.refused(request)).reason == "VOUCHER_NOT_FOUND"


async def test_customer_who_tries_codes_out_is_refused_with_a_retry_time(shop: Shop) -> None:
    """At once, not after the time that a step in doubt is given; and without a word about the right code."""
    customer_id, code = fresh_id(), await shop.discount_voucher()
    for _ in range(10):
        request = await shop.order(customer_id)
        request.voucher_codes.append(f"WRONG-{fresh_id()[-8:]}")
        assert (await shop.refused(request)).reason == "VOUCHER_NOT_FOUND"
    request = await shop.order(customer_id)
    request.voucher_codes.append(code)
    for _ in range(2):
        refusal = await shop.refused(request, timeout_s=10)
        assert (refusal.status, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_ATTEMPTS")
        assert (refusal.domain, refusal.metadata["order_state"]) == ("vouchers.quittance", "failed")
        assert 500 < (refusal.retry_after_s or 0) <= 600
    assert await shop.uses(code) == 0
    assert (await shop.place(await shop.order(customer_id))).state == AWAITING_PAYMENT


async def test_unknown_price_is_refused(shop: Shop) -> None:
    """V2: a price cannot be resolved."""
    request = await shop.order(fresh_id())
    request.lines[0].price_id = fresh_id()
    assert (await shop.refused(request)).reason == "PRICE_NOT_FOUND"


async def test_malformed_request_is_refused_with_its_field(shop: Shop) -> None:
    request = await shop.order(fresh_id())
    request.customer_id = "somebody"
    refusal = await refused(shop.place(request))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refusal.metadata["field"] == "customer_id"


async def test_200_customers_race_for_a_code_with_cap_50(shop: Shop) -> None:
    """V5: exactly 50 orders carry it, and 150 customers get their whole order back undone."""
    code = await shop.discount_voucher(PRICE_MINOR, uses_max=50)
    customers = [fresh_id() for _ in range(200)]
    # A slow machine decides nothing here: nobody's order is given up for its time.
    requests = [await shop.order(customer, [code], use_credits=False, place_timeout_s=300) for customer in customers]

    async def attempt(request: checkout_pb2.PlaceOrderRequest) -> str:
        try:
            order = await shop.place(request, timeout_s=300)
        except grpc.aio.AioRpcError as error:
            return refusal_of(error).reason or ""
        assert order.state == PLACED
        return "placed"

    outcomes = await asyncio.gather(*(attempt(request) for request in requests))
    assert outcomes.count("placed") == 50
    assert outcomes.count("VOUCHER_EXHAUSTED") == 150
    voucher = await shop.read_voucher(code)
    assert voucher.voucher.uses == 50
    states = {redemption.state for redemption in voucher.redemptions}
    assert states == {vouchers_pb2.REDEMPTION_STATE_CONFIRMED}


async def test_worker_killed_in_the_middle_of_a_compensation_still_undoes_everything(stack: FaultyStack) -> None:
    """V2: the demo's last act."""
    purchase = await new_purchase(stack)
    await stack.shop.sandbox("unconfigured")

    async def kill_worker() -> None:
        await stack.stack.kill("orchestrator")

    plan = stack.faults.plan(purchase.workflow_id, "vouchers.RollbackRedemptions", Fault.HOOK_BEFORE, hook=kill_worker)
    try:
        await purchase.place_refused()
    finally:
        await stack.shop.sandbox("ok")
    assert plan.hits == 1
    await assert_clean_slate(purchase)
    await stack.stack.wait_ready("orchestrator")


async def test_histories_hold_no_codes_and_no_pay_page(stack: FaultyStack) -> None:
    """C-3: what is a bearer value stays out of Temporal."""
    purchase = await new_purchase(stack)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    await stack.shop.until_state(purchase.order_id, PLACED)
    workflow = stack.workflow_of(purchase.order_id)
    await workflow.result()
    history = (await workflow.fetch_history()).to_json()
    description = str((await workflow.describe()).raw_description)
    secrets = [purchase.credit_code, purchase.discount_code, order.payment.payment_url.rpartition("/")[2]]
    assert [secret for secret in secrets if secret in history or secret in description] == []


async def test_every_order_so_far_ended_well_and_replays(stack: FaultyStack) -> None:
    """S-2, S-6: no workflow failed, and today's code takes the same way through every history."""
    replayer = Replayer(
        workflows=[CheckoutWorkflow], workflow_runner=UnsandboxedWorkflowRunner(), data_converter=data_converter
    )
    workflows = [each async for each in stack.temporal.list_workflows('WorkflowType = "CheckoutWorkflow"')]
    assert workflows
    # Tests of repairs terminate workflows; nobody else does.
    failed = {WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT}
    assert [each.id for each in workflows if each.status in failed] == []
    for each in workflows[:60]:
        history = await stack.temporal.get_workflow_handle(each.id, run_id=each.run_id).fetch_history()
        await replayer.replay_workflow(history)
        assert UUID(each.id.removeprefix("order-"))
