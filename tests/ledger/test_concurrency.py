"""Many callers at once, on one server and on two."""

import asyncio
import random

import asyncpg
import grpc

from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.runtime.grpc_errors import refusal_of
from tests.ledger.requests import Customer, grant, post
from tests.ledger.soundness import assert_ledger_sound


async def test_holds_at_once_on_one_wallet_never_take_more_than_it_has(
    ledger: LedgerServiceStub, second_ledger: LedgerServiceStub
) -> None:
    """L3: 100 holds of 30 race for 1,000 through two servers."""
    customer = Customer()
    for amount in (400, 350, 250):
        await ledger.GrantCredits(customer.grant(amount))
    calls = [server.HoldCredits(customer.hold(30)) for _ in range(50) for server in (ledger, second_ledger)]
    held = [response.hold.held_minor for response in await asyncio.gather(*calls)]
    assert sum(held) == 1000
    assert sorted(held, reverse=True)[:34] == [30] * 33 + [10]
    wallet = await ledger.GetWallet(customer.wallet())
    assert (wallet.balance_minor, wallet.held_minor, wallet.available_minor) == (1000, 1000, 0)


async def test_one_hold_sent_many_times_at_once_is_made_once(
    ledger: LedgerServiceStub, second_ledger: LedgerServiceStub
) -> None:
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    request = customer.hold(70, born_held_grants=[grant(20)])
    calls = [server.HoldCredits(request) for _ in range(20) for server in (ledger, second_ledger)]
    first, *others = await asyncio.gather(*calls)
    assert all(other == first for other in others)
    assert (await ledger.GetWallet(customer.wallet())).held_minor == 70


async def test_capture_and_release_at_once_end_the_hold_once(
    ledger: LedgerServiceStub, second_ledger: LedgerServiceStub
) -> None:
    """L5, L-5: one of the two wins, whoever it is."""
    for _ in range(10):
        customer = Customer()
        await ledger.GrantCredits(customer.grant(100))
        hold = customer.hold(70)
        await ledger.HoldCredits(hold)
        ends = await asyncio.gather(
            ledger.CaptureHold(customer.capture(hold.hold_id, 70)),
            second_ledger.ReleaseHold(customer.release(hold.hold_id)),
            return_exceptions=True,
        )
        (refused,) = [end for end in ends if isinstance(end, grpc.aio.AioRpcError)]
        assert refusal_of(refused).reason in ("HOLD_ALREADY_RELEASED", "HOLD_ALREADY_CAPTURED")
        balance_minor = (await ledger.GetWallet(customer.wallet())).balance_minor
        assert balance_minor == (30 if refusal_of(refused).reason == "HOLD_ALREADY_CAPTURED" else 100)


async def test_two_servers_under_mixed_load_keep_the_ledger_sound(
    ledger: LedgerServiceStub,
    second_ledger: LedgerServiceStub,
    owner_connection: asyncpg.Connection,
    dice: random.Random,
) -> None:
    """L1 to L5; every transaction that was acknowledged is there once."""
    servers = (ledger, second_ledger)
    customers = [Customer() for _ in range(10)]
    posted: list[str] = []

    async def buy(customer: Customer) -> None:
        server = dice.choice(servers)
        await server.GrantCredits(customer.grant(dice.randint(1, 500)))
        hold = customer.hold(dice.randint(0, 400), born_held_grants=[grant(dice.randint(1, 50))])
        held = (await server.HoldCredits(hold)).hold.held_minor
        if dice.random() < 0.5:
            await dice.choice(servers).CaptureHold(customer.capture(hold.hold_id, dice.randint(1, held)))
        else:
            await dice.choice(servers).ReleaseHold(customer.release(hold.hold_id, reverse=dice.random() < 0.5))

    async def book(customer: Customer) -> None:
        transactions = [customer.transaction(("clearing:load", "revenue", 1)) for _ in range(20)]
        requests = [server.PostTransactions(post(*transactions)) for server in servers]
        first, second = await asyncio.gather(*requests)
        assert first == second
        posted.extend(transaction.transaction_id for transaction in transactions)

    await asyncio.gather(*(step(customer) for _ in range(5) for customer in customers for step in (buy, book)))
    count = await owner_connection.fetchval(
        "SELECT count(*) FROM transfers WHERE transaction_id = ANY ($1::uuid[])", posted
    )
    assert count == len(posted) == 1000
    await assert_ledger_sound(owner_connection)
