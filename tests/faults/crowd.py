"""Many customers with one order each, and what the three databases and Temporal must say once all have ended.

Every order takes all of its customer's credits. Some carry one code that is not enough for all of them, so that their
losers have to be undone.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self

import asyncpg
import grpc
from temporalio.client import Client, WorkflowExecutionStatus

from deploy.local.stack import Stack
from orchestrator.order_ids import order_ids
from quittance.checkout.v1 import checkout_pb2
from quittance.ledger.v1 import ledger_pb2
from services.runtime.grpc_errors import refusal_of
from tests.checkout.soundness import assert_checkout_sound
from tests.ledger.soundness import assert_ledger_sound
from tests.shop import CURRENCY, PRICE_MINOR, Shop, fresh_id
from tests.vouchers.soundness import assert_vouchers_sound

DISCOUNT_MINOR = 5_000
GRANTS_PER_CALL = 500
PLACE_TIMEOUT_S = 300
# What says nothing about an order: its caller asks again.
UNKNOWN = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
RUNNING = "ExecutionStatus = 'Running'"
ORDERS = "WorkflowType = 'CheckoutWorkflow'"


@dataclass(frozen=True)
class Crowd:
    """Orders ready to be placed; `code` may be used by `code_uses_max` of those that carry it."""

    requests: Sequence[checkout_pb2.PlaceOrderRequest]
    code: str
    code_uses_max: int

    @classmethod
    async def of(cls, shop: Shop, size: int, dice: random.Random) -> Self:
        """A quarter of the orders carry the code, and half of these are one too many."""
        with_code = set(dice.sample(range(size), size // 4))
        code = await shop.discount_voucher(DISCOUNT_MINOR, uses_max=max(1, len(with_code) // 2))
        customers = [fresh_id() for _ in range(size)]
        for first in range(0, size, GRANTS_PER_CALL):
            await _give_credits(shop, customers[first : first + GRANTS_PER_CALL])
        plain = await shop.order(customers[0])
        discounted = await shop.order(customers[0], [code])
        requests = []
        for number, customer in enumerate(customers):
            request = checkout_pb2.PlaceOrderRequest()
            request.CopyFrom(discounted if number in with_code else plain)
            request.order_id, request.customer_id = fresh_id(), customer
            # On a slow machine a worker's death may cost more than the usual minute.
            request.place_timeout_s = PLACE_TIMEOUT_S
            requests.append(request)
        return cls(requests, code, max(1, len(with_code) // 2))


async def _give_credits(shop: Shop, customers: Sequence[str]) -> None:
    grants = [
        ledger_pb2.GrantCreditsRequest(
            owner_id=customer,
            currency=CURRENCY,
            grant=ledger_pb2.GrantRequest(
                grant_id=fresh_id(),
                amount_minor=PRICE_MINOR,
                category=ledger_pb2.CREDIT_CATEGORY_PAID,
                source_account="clearing:test",
            ),
            reason="topup",
        )
        for customer in customers
    ]
    await shop.ledger.GrantCreditsBatch(ledger_pb2.GrantCreditsBatchRequest(grants=grants))


async def ask_once(shop: Shop, request: checkout_pb2.PlaceOrderRequest, timeout_s: float) -> str:
    """ "placed", the reason of a refusal, or the status of an answer that says nothing."""
    try:
        order = await shop.place(request, timeout_s=timeout_s)
    except grpc.aio.AioRpcError as error:
        if error.code() in UNKNOWN:
            return error.code().name
        return refusal_of(error).reason or error.code().name
    return checkout_pb2.OrderState.Name(order.state).removeprefix("ORDER_STATE_").lower()


async def ask_until_answered(shop: Shop, request: checkout_pb2.PlaceOrderRequest, timeout_s: float) -> str:
    """As callers do: the same order id again, until there is an answer."""
    unknown = {status.name for status in UNKNOWN}
    while (answer := await ask_once(shop, request, timeout_s)) in unknown:
        await asyncio.sleep(0.1)
    return answer


async def all_at(
    callers: int,
    requests: Sequence[checkout_pb2.PlaceOrderRequest],
    ask: Callable[[checkout_pb2.PlaceOrderRequest], Awaitable[str]],
) -> dict[str, str]:
    """Order id → answer, so many callers at once."""
    answers: dict[str, str] = {}
    waiting = iter(requests)

    async def call() -> None:
        for request in waiting:
            answers[request.order_id] = await ask(request)

    await asyncio.gather(*(call() for _ in range(callers)))
    return answers


async def until_all_ended(temporal: Client, within_s: float) -> None:
    """Waits until no order's workflow runs any more."""
    async with asyncio.timeout(within_s):
        while (await temporal.count_workflows(f"{ORDERS} AND {RUNNING}")).count > 0:
            await asyncio.sleep(0.5)


async def assert_all_ended_once(stack: Stack, temporal: Client, crowd: Crowd, answers: dict[str, str]) -> Counter[str]:
    """S-1 to S-3 by queries over the three databases, and Temporal's count; answers how many ended how."""
    states = await _states_of_orders(stack)
    assert states.keys() == {request.order_id for request in crowd.requests}
    await _assert_temporal_says(temporal, states)
    told = {order_id: "placed" if answer == "placed" else "failed" for order_id, answer in answers.items()}
    assert told == states
    placed = {order_id for order_id, state in states.items() if state == "placed"}
    with_code = {request.order_id for request in crowd.requests if request.voucher_codes}
    assert {request.order_id for request in crowd.requests} - with_code <= placed
    await _assert_vouchers_say(stack, crowd, placed & with_code)
    await _assert_ledger_says(stack, crowd, placed)
    return Counter(answers.values())


async def _states_of_orders(stack: Stack) -> dict[str, str]:
    connection = await asyncpg.connect(stack.database_url("checkout", owner=True))
    try:
        await assert_checkout_sound(connection)
        assert (
            await connection.fetchval("SELECT count(*) FROM orders WHERE placed_at IS NULL AND undone_at IS NULL") == 0
        )
        return {str(row["order_id"]): row["state"] for row in await connection.fetch("SELECT * FROM orders")}
    finally:
        await connection.close()


async def _assert_temporal_says(temporal: Client, states: dict[str, str]) -> None:
    """One run for each order, completed; none only for what was refused before its workflow was started."""
    runs = [workflow async for workflow in temporal.list_workflows(ORDERS)]
    assert {run.status for run in runs} == {WorkflowExecutionStatus.COMPLETED}
    started = [run.id.removeprefix("order-") for run in runs]
    assert len(started) == len(set(started))
    assert {states[order_id] for order_id in states.keys() - set(started)} <= {"failed"}


async def _assert_vouchers_say(stack: Stack, crowd: Crowd, placed: set[str]) -> None:
    connection = await asyncpg.connect(stack.database_url("vouchers", owner=True))
    try:
        await assert_vouchers_sound(connection)
        rows = await connection.fetch("SELECT order_id, state FROM redemptions WHERE state NOT IN ('tombstone')")
    finally:
        await connection.close()
    in_effect = [str(row["order_id"]) for row in rows if row["state"] != "rolled_back"]
    assert sorted(in_effect) == sorted(placed)
    assert {row["state"] for row in rows} <= {"confirmed", "rolled_back"}
    assert len(placed) == crowd.code_uses_max


async def _assert_ledger_says(stack: Stack, crowd: Crowd, placed: set[str]) -> None:
    """Each placed order has spent its hold once and in whole; of the others nothing is held or spent."""
    connection = await asyncpg.connect(stack.database_url("ledger", owner=True))
    try:
        await assert_ledger_sound(connection)
        rows = await connection.fetch("SELECT hold_id, state, captured_minor FROM holds WHERE state <> 'released'")
    finally:
        await connection.close()
    price = {
        order_ids(request.order_id, len(request.voucher_codes)).hold_id: request.expected.credits_minor
        for request in crowd.requests
        if request.order_id in placed
    }
    assert {row["state"] for row in rows} <= {"captured"}
    assert {str(row["hold_id"]): row["captured_minor"] for row in rows} == price
