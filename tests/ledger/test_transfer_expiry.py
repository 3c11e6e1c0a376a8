"""Holds of transactions that nobody ends: the ledger frees them when their time has come."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.ledger.domain.books import book_of
from services.ledger.main import LedgerSettings
from tests.ledger.conftest import connected
from tests.ledger.requests import Customer, in_days, post, refused
from tests.ledger.soundness import assert_ledger_sound
from tests.ledger.test_expiry import until
from tests.ledger.test_transfer_kinds import CAPTURE, RELEASE, end_of, hold_of, made

SECOND = 1 / 86_400


def expiring_hold(customer: Customer, expire_time: Timestamp, amount_minor: int = 100) -> ledger_pb2.Transaction:
    transaction = hold_of(customer, amount_minor)
    transaction.transfers[0].expire_time.CopyFrom(expire_time)
    return transaction


async def purse(ledger: LedgerServiceStub, customer: Customer) -> ledger_pb2.Account:
    return (await ledger.GetAccount(customer.account(f"purse:{customer.owner_id}"))).account


@pytest.fixture
async def sweeping(ledger_settings: LedgerSettings) -> AsyncIterator[tuple[LedgerServiceStub, LedgerServiceStub]]:
    """Two servers that look for what has expired all the time."""
    settings = ledger_settings.model_copy(update={"sweep_interval_s": 0.02})
    async with connected(settings) as first, connected(settings) as second:
        yield first, second


async def test_hold_of_a_transaction_that_nobody_ends_is_freed_by_the_sweep(
    sweeping: tuple[LedgerServiceStub, LedgerServiceStub],
) -> None:
    """L4: by a release of its own, which names the hold; L-5: it is over for good."""
    ledger, customer = sweeping[0], Customer()
    hold = expiring_hold(customer, in_days(SECOND))
    (held,) = (await made(ledger, hold)).transfers
    assert held.debit_held_minor == 100

    async def is_freed() -> bool:
        return (await purse(ledger, customer)).held_minor == 0

    await until(is_freed)
    release, listed = (await ledger.ListTransfers(customer.transfers(f"purse:{customer.owner_id}"))).transfers
    assert (release.kind, release.reason, release.target_sequence) == (RELEASE, "hold.expired", held.sequence)
    assert (release.amount_minor, release.debit_posted_minor, release.debit_held_minor) == (100, 0, 0)
    assert release.create_time.ToMicroseconds() >= hold.transfers[0].expire_time.ToMicroseconds()
    assert not release.HasField("expire_time")
    assert listed.expire_time.ToMicroseconds() == hold.transfers[0].expire_time.ToMicroseconds()
    for end in (end_of(hold, CAPTURE, 1), end_of(hold, RELEASE)):
        assert (await made(ledger, end)).refusal.reason == "TRANSFER_ALREADY_ENDED"


async def test_hold_of_a_transaction_is_read_with_its_expiry(ledger: LedgerServiceStub) -> None:
    """Of two holds in one transaction each has its own, or none."""
    customer = Customer()
    transaction = expiring_hold(customer, in_days(1))
    transaction.transfers.append(hold_of(customer, 7).transfers[0])
    await made(ledger, transaction)
    request = ledger_pb2.GetTransactionRequest(owner_id=customer.owner_id, transaction_id=transaction.transaction_id)
    first, second = (await ledger.GetTransaction(request)).transfers
    assert first.expire_time.ToMicroseconds() == transaction.transfers[0].expire_time.ToMicroseconds()
    assert not second.HasField("expire_time")


async def test_hold_sent_again_with_another_expiry_is_refused(ledger: LedgerServiceStub) -> None:
    """K-2, K-3."""
    transaction = expiring_hold(Customer(), in_days(1))
    first = await made(ledger, transaction)
    assert await made(ledger, transaction) == first
    transaction.transfers[0].expire_time.seconds += 1
    for _ in range(2):
        refusal = (await made(ledger, transaction)).refusal
        assert (refusal.reason, refusal.metadata["field"]) == ("TRANSACTION_EXISTS_WITH_DIFFERENT_FIELD", "transfers")
        transaction.transfers[0].ClearField("expire_time")


async def test_hold_that_expires_in_the_past_is_refused(ledger: LedgerServiceStub) -> None:
    """With all that its transaction did before; the account holds nothing."""
    customer = Customer()
    transaction = customer.transaction(("till", f"purse:{customer.owner_id}", 5))
    transaction.transfers.append(expiring_hold(customer, in_days(-SECOND)).transfers[0])
    refusal = (await made(ledger, transaction)).refusal
    assert (refusal.reason, refusal.metadata["field"]) == ("EXPIRE_TIME_PASSED", "transfers.expire_time")
    assert (await made(ledger, customer.transaction((f"purse:{customer.owner_id}", "till", 1)))).transfers
    account = await purse(ledger, customer)
    assert (account.posted_minor, account.held_minor) == (-1, 0)


async def test_capture_after_the_time_but_before_the_sweep_succeeds(
    ledger: LedgerServiceStub, ledger_settings: LedgerSettings
) -> None:
    """The clock alone ends nothing; and what was captured is not swept afterwards."""
    customer = Customer()
    hold = expiring_hold(customer, in_days(0.3 * SECOND))
    await made(ledger, hold)
    await asyncio.sleep(0.5)
    capture, release = (await made(ledger, end_of(hold, CAPTURE, 60))).transfers
    assert (capture.debit_posted_minor, release.debit_held_minor) == (-60, 0)
    other = Customer()
    await made(ledger, expiring_hold(other, in_days(0.1 * SECOND)))
    settings = ledger_settings.model_copy(update={"sweep_interval_s": 0.02})
    async with connected(settings) as sweeping:

        async def is_freed() -> bool:
            return (await purse(sweeping, other)).held_minor == 0

        await until(is_freed)
    account = await purse(ledger, customer)
    assert (account.posted_minor, account.held_minor) == (-60, 0)


async def test_expiries_and_ends_at_once_on_two_servers_end_every_hold_once(
    sweeping: tuple[LedgerServiceStub, LedgerServiceStub], owner_connection: asyncpg.Connection
) -> None:
    """L-5, K-1: whoever comes first, the other one is told so."""
    customers = [Customer() for _ in range(40)]
    holds = [expiring_hold(customer, in_days(0.5 * SECOND)) for customer in customers]
    await sweeping[0].PostTransactions(post(*holds))
    await asyncio.sleep(0.4)
    results = []
    for number, hold in enumerate(holds):
        ends = [end_of(hold, CAPTURE, 30), end_of(hold, RELEASE)]
        results += await asyncio.gather(*(made(sweeping[(number + k) % 2], end) for k, end in enumerate(ends)))
    assert {result.refusal.reason for result in results} <= {"", "TRANSFER_ALREADY_ENDED"}
    for customer, hold in zip(customers, holds, strict=True):

        async def is_freed(customer: Customer = customer) -> bool:
            return (await purse(sweeping[0], customer)).held_minor == 0

        await until(is_freed)
        ends_of_hold = await owner_connection.fetchval(
            "SELECT count(*) FILTER (WHERE e.kind = 'capture') + count(*) FILTER (WHERE e.amount_minor = 100)"
            " FROM transfers AS t JOIN transfers AS e ON e.book_id = t.book_id AND e.target_seq = t.seq"
            " WHERE t.transaction_id = $1",
            hold.transaction_id,
        )
        assert ends_of_hold == 1
    await assert_ledger_sound(owner_connection)


async def test_holds_of_one_id_in_two_books_expire_each_in_its_own(
    sweeping: tuple[LedgerServiceStub, LedgerServiceStub],
) -> None:
    """K-1: an id is known within its book only, the ids that expiries are known by as well."""
    ledger, one, other = sweeping[0], Customer(), Customer()
    while book_of(UUID(other.owner_id), 16) == book_of(UUID(one.owner_id), 16):
        other = Customer()
    holds = [expiring_hold(customer, in_days(SECOND)) for customer in (one, other)]
    holds[1].transaction_id = holds[0].transaction_id
    assert [len(result.transfers) for result in (await ledger.PostTransactions(post(*holds))).results] == [1, 1]

    async def are_freed() -> bool:
        return [(await purse(ledger, customer)).held_minor for customer in (one, other)] == [0, 0]

    await until(are_freed)


async def test_account_with_a_hold_is_closed_only_after_its_expiry(
    sweeping: tuple[LedgerServiceStub, LedgerServiceStub],
) -> None:
    ledger, customer = sweeping[0], Customer()
    close = customer.close(f"purse:{customer.owner_id}")
    await made(ledger, expiring_hold(customer, in_days(SECOND)))
    refusal = await refused(ledger.CloseAccount(close))
    assert (refusal.reason, refusal.metadata["held_minor"]) == ("ACCOUNT_NOT_EMPTY", "100")

    async def is_freed() -> bool:
        return (await purse(ledger, customer)).held_minor == 0

    await until(is_freed)
    assert (await ledger.CloseAccount(close)).account.HasField("close_time")
