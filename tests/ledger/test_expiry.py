"""What the ledger ends by itself when its time has come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import grpc
import pytest

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.ledger.main import LedgerSettings
from tests.ledger.aging import age_grant, age_hold
from tests.ledger.conftest import connected
from tests.ledger.requests import Customer, grant, post, refused
from tests.ledger.soundness import assert_ledger_sound

WAIT_S = 10.0


@pytest.fixture
async def sweeping(ledger_settings: LedgerSettings) -> AsyncIterator[tuple[LedgerServiceStub, LedgerServiceStub]]:
    """Two servers that look for what has expired all the time."""
    settings = ledger_settings.model_copy(update={"sweep_interval_s": 0.02})
    async with connected(settings) as first, connected(settings) as second:
        yield first, second


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what has to come."""
    async with asyncio.timeout(WAIT_S):
        while not await is_so():
            await asyncio.sleep(0.01)


async def balances(ledger: LedgerServiceStub, customer: Customer) -> tuple[int, int, int]:
    """Balance, held, available."""
    wallet = await ledger.GetWallet(customer.wallet())
    return wallet.balance_minor, wallet.held_minor, wallet.available_minor


async def breakage_minor(ledger: LedgerServiceStub, customer: Customer) -> int:
    """The posted sum of the breakage account in the customer's book."""
    transfers = (await ledger.ListTransfers(customer.transfers(account="breakage", page_size=1))).transfers
    return transfers[0].credit_posted_minor if transfers else 0


async def test_hold_that_nobody_ends_is_freed_by_the_sweep(
    sweeping: tuple[LedgerServiceStub, LedgerServiceStub], owner_connection: asyncpg.Connection
) -> None:
    """L4: a reservation nobody ends expires by itself; L-5: it is over for good."""
    ledger, customer = sweeping[0], Customer()
    await ledger.GrantCredits(customer.grant(100))
    request = customer.hold(110, born_held_grants=[grant(20)])
    await ledger.HoldCredits(request)
    await age_hold(owner_connection, request.hold_id)

    async def is_freed() -> bool:
        return await balances(ledger, customer) == (120, 0, 120)

    await until(is_freed)
    refusal = await refused(ledger.CaptureHold(customer.capture(request.hold_id, 80)))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOLD_EXPIRED")
    assert (await refused(ledger.HoldCredits(request))).reason in (
        "HOLD_ALREADY_UNDONE",
        "HOLD_EXISTS_WITH_DIFFERENT_FIELD",
    )
    assert await ledger.ReleaseHold(customer.release(request.hold_id)) == ledger_pb2.ReleaseHoldResponse()


async def test_grant_that_has_expired_goes_to_breakage_but_for_what_is_held(
    sweeping: tuple[LedgerServiceStub, LedgerServiceStub], owner_connection: asyncpg.Connection
) -> None:
    """Design, section 5: the held part can still be captured; what is freed of it follows in the same transaction."""
    ledger, customer = sweeping[0], Customer(currency="SEK")
    given = (await ledger.GrantCredits(customer.grant(100))).grant
    captured, released = customer.hold(30), customer.hold(20)
    await ledger.HoldCredits(captured)
    await ledger.HoldCredits(released)
    before = await breakage_minor(ledger, customer)
    await age_grant(owner_connection, given.grant_id)

    async def is_swept() -> bool:
        return await balances(ledger, customer) == (50, 50, 0)

    await until(is_swept)
    assert await breakage_minor(ledger, customer) == before + 50
    assert (await ledger.ReleaseHold(customer.release(released.hold_id))).released_minor == 20
    assert (await ledger.CaptureHold(customer.capture(captured.hold_id, 25))).hold.captured_minor == 25
    assert await balances(ledger, customer) == (0, 0, 0)
    assert await breakage_minor(ledger, customer) == before + 75
    newest = (await ledger.ListTransfers(customer.transfers(account="breakage", page_size=1))).transfers[0]
    assert newest.transaction_id == captured.hold_id


async def test_release_into_a_grant_that_has_expired_does_not_wait_for_the_sweep(
    ledger: LedgerServiceStub, owner_connection: asyncpg.Connection
) -> None:
    customer = Customer(currency="NOK")
    given = (await ledger.GrantCredits(customer.grant(100))).grant
    request = customer.hold(30)
    await ledger.HoldCredits(request)
    await age_grant(owner_connection, given.grant_id)
    await ledger.ReleaseHold(customer.release(request.hold_id))
    assert await balances(ledger, customer) == (70, 0, 0)
    newest = (await ledger.ListTransfers(customer.transfers(page_size=1))).transfers[0]
    assert (newest.credit_account, newest.amount_minor, newest.transaction_id) == ("breakage", 30, request.hold_id)


async def test_expiry_opens_a_closed_breakage_account_again(
    sweeping: tuple[LedgerServiceStub, LedgerServiceStub], owner_connection: asyncpg.Connection
) -> None:
    """Closed to callers, as any system account may be; what expires has nowhere else to go."""
    ledger, customer = sweeping[0], Customer(currency="HUF")
    await ledger.PostTransactions(post(customer.transaction(("till", "breakage", 5), ("breakage", "till", 5))))
    assert (await ledger.CloseAccount(customer.close("breakage"))).account.HasField("close_time")
    (result,) = (await ledger.PostTransactions(post(customer.transaction(("till", "breakage", 5))))).results
    assert result.refusal.reason == "ACCOUNT_CLOSED"
    given = (await ledger.GrantCredits(customer.grant(100))).grant
    await age_grant(owner_connection, given.grant_id)

    async def is_swept() -> bool:
        return await balances(ledger, customer) == (0, 0, 0)

    await until(is_swept)
    account = (await ledger.GetAccount(customer.account("breakage"))).account
    assert (account.posted_minor, account.HasField("close_time")) == (100, False)


async def test_revoke_of_a_grant_that_expired_takes_it_back_from_breakage(
    sweeping: tuple[LedgerServiceStub, LedgerServiceStub], owner_connection: asyncpg.Connection
) -> None:
    """An undo takes back what its step gave, wherever time has put it."""
    ledger, customer = sweeping[0], Customer(currency="DKK")
    source = f"campaign:{customer.owner_id}"
    given = (await ledger.GrantCredits(customer.grant(100, source_account=source))).grant
    await age_grant(owner_connection, given.grant_id)

    async def is_swept() -> bool:
        return await balances(ledger, customer) == (0, 0, 0)

    await until(is_swept)
    before = await breakage_minor(ledger, customer)
    assert (await ledger.RevokeGrant(customer.revoke(given.grant_id))).reversed_minor == 100
    newest = (await ledger.ListTransfers(customer.transfers(account=source, page_size=1))).transfers[0]
    assert (newest.debit_account, newest.credit_posted_minor) == ("breakage", 0)
    assert newest.debit_posted_minor == before - 100


async def test_release_with_reversal_of_a_grant_that_expired_is_never_refused(
    sweeping: tuple[LedgerServiceStub, LedgerServiceStub], owner_connection: asyncpg.Connection
) -> None:
    """A grant born held expires while it is held: its undo takes back all of it."""
    ledger, customer = sweeping[0], Customer()
    born = grant(60)
    request = customer.hold(0, born_held_grants=[born])
    await ledger.HoldCredits(request)
    await age_grant(owner_connection, born.grant_id)

    async def is_swept() -> bool:
        state = await owner_connection.fetchval("SELECT state FROM grants WHERE grant_id = $1", born.grant_id)
        return str(state) == "expired"

    await until(is_swept)
    released = await ledger.ReleaseHold(customer.release(request.hold_id, reverse=True))
    assert (released.released_minor, released.reversed_minor) == (60, 60)
    assert await balances(ledger, customer) == (0, 0, 0)


async def test_two_servers_that_sweep_at_once_end_everything_once(
    sweeping: tuple[LedgerServiceStub, LedgerServiceStub], owner_connection: asyncpg.Connection
) -> None:
    """L-5, K-1: while callers capture and release the same holds."""
    customers = [Customer(currency="ISK") for _ in range(20)]
    holds = []
    for index, customer in enumerate(customers):
        server = sweeping[index % 2]
        given = [(await server.GrantCredits(customer.grant(10))).grant for _ in range(5)]
        hold = customer.hold(35)
        await server.HoldCredits(hold)
        holds.append((customer, hold.hold_id))
        for each in given[:4]:
            await age_grant(owner_connection, each.grant_id)
    for _, hold_id in holds:
        await age_hold(owner_connection, hold_id)
    ends = [
        server.CaptureHold(customer.capture(hold_id, 5)) if index % 3 else server.ReleaseHold(customer.release(hold_id))
        for index, (customer, hold_id) in enumerate(holds)
        for server in sweeping
    ]
    await asyncio.gather(*ends, return_exceptions=True)

    async def is_over() -> bool:
        left = await owner_connection.fetchval(
            "SELECT (SELECT count(*) FROM holds WHERE currency = 'ISK' AND state = 'held')"
            " + (SELECT count(*) FROM grants WHERE currency = 'ISK' AND state = 'live' AND expires_at < now()"
            "    AND empty_since IS NULL)"
        )
        return int(left) == 0

    await until(is_over)
    for customer in customers:
        assert await balances(sweeping[0], customer) == (10, 0, 10)
    await assert_ledger_sound(owner_connection)
