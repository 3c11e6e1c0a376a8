"""What is unfinished is looked at in turns, so that nothing waits behind what stays unfinished for long (P3, P4)."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from services.checkout.finding_log import report_finding
from services.checkout.main import CheckoutSettings
from services.checkout.store.money_store import MoneyStore
from services.checkout.unfinished import Round
from services.runtime.database import open_pool
from services.runtime.ids import new_id
from tests.checkout.till import Till


async def all_of(find: Callable[[UUID, int], Awaitable[list[UUID]]], count: int) -> list[UUID]:
    """A whole round, two at a time, after another whole round: it begins again."""
    turns = Round(find, 2)
    rounds = [[one for _ in range(count // 2 + 1) for one in await turns.next()] for _ in range(2)]
    assert rounds[0] == rounds[1]
    return rounds[0]


@pytest.mark.parametrize("count", range(6))
async def test_round_comes_to_everything_and_begins_again(count: int) -> None:
    ids = sorted(new_id() for _ in range(count))

    async def find(after: UUID, count_max: int) -> list[UUID]:
        return [one for one in ids if one > after][:count_max]

    assert await all_of(find, count) == ids


async def test_pages_that_could_not_be_closed_and_refunds_on_their_way_are_all_found(
    till: Till, checkout_settings: CheckoutSettings, owner_connection: asyncpg.Connection
) -> None:
    orders = [UUID((await till.shop.awaiting_payment()).order_id) for _ in range(3)]
    await owner_connection.execute(
        "UPDATE payments SET closing_at = now(), closed_at = now() WHERE order_id = ANY ($1)", orders
    )
    unwatched = await owner_connection.fetch(
        "SELECT order_id FROM payments WHERE state = 'pending' AND closed_at IS NOT NULL ORDER BY order_id"
    )
    placed = await till.placed()
    refunds = [UUID((await till.refund(placed.order_id, 1_000)).refund_id) for _ in range(3)]
    uncompleted = await owner_connection.fetch(
        "SELECT refund_id FROM refunds WHERE completed_at IS NULL ORDER BY refund_id"
    )
    async with open_pool(checkout_settings, "tests") as pool:
        money = MoneyStore(pool, report_finding)
        found = await all_of(money.find_unwatched, len(unwatched))
        assert found == [row["order_id"] for row in unwatched]
        assert set(orders) <= set(found)
        found = await all_of(money.find_uncompleted_refunds, len(uncompleted))
        assert found == [row["refund_id"] for row in uncompleted]
        assert set(refunds) <= set(found)
