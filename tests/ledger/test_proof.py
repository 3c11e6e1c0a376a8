"""Seals, verifications and what they leave behind, the trial balance; on a ledger that nobody tampers with, or once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import asyncpg
import pytest

from deploy.local.postgres import EmbeddedPostgres
from quittance.ledger.v1 import ledger_pb2, proof_pb2
from services.ledger.domain.books import book_of
from services.ledger.domain.seals import FIRST_PREVIOUS, SealHash, StoredTransfer, canonical_bytes
from services.ledger.main import LedgerSettings
from services.ledger.proofs import Proofs
from services.ledger.store.proof_store import ProofStore
from services.runtime.database import open_pool
from services.runtime.migrations import migrate_up, migrations_of
from tests.ledger.proving import Served, served, tell_story, verify
from tests.ledger.requests import PAID, Customer, refused
from tests.ledger.soundness import assert_ledger_sound

DATABASE = "ledger_proof"


@pytest.fixture
async def administrator(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Of a new database."""
    await asyncio.to_thread(postgres.create_database, DATABASE, "ledger")
    await migrate_up(postgres.url(DATABASE, "ledger_owner"), migrations_of("ledger"), "ledger_app")
    connection = await asyncpg.connect(postgres.superuser_url(DATABASE))
    yield connection
    await connection.close()
    await asyncio.to_thread(postgres.drop_database, DATABASE)


@pytest.fixture
def url(administrator: asyncpg.Connection, postgres: EmbeddedPostgres) -> str:
    return postgres.url(DATABASE, "ledger_app")


@pytest.fixture
async def server(url: str) -> AsyncIterator[Served]:
    async with served(url) as started:
        yield started


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for something that happens in the background."""
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.05)


async def assert_sealed_once(connection: asyncpg.Connection) -> None:
    """The seals of every book follow one another and cover all of it."""
    for book in await connection.fetch("SELECT book_id, next_seq FROM books"):
        seals = await connection.fetch("SELECT * FROM seals WHERE book_id = $1 ORDER BY from_seq", book["book_id"])
        assert [seal["from_seq"] for seal in seals[:1]] in ([1], [])
        assert [seal["previous_sha256"] for seal in seals[:1]] in ([FIRST_PREVIOUS], [])
        for before, after in pairwise(seals):
            assert (after["from_seq"], after["previous_sha256"]) == (before["to_seq"] + 1, before["sha256"])
        assert sum(seal["to_seq"] - seal["from_seq"] + 1 for seal in seals) == book["next_seq"] - 1


async def test_seals_of_replicas_at_once_cover_every_transfer_once(url: str, administrator: asyncpg.Connection) -> None:
    """Three processes seal while two of them write."""
    async with (
        served(url, seal_interval_s=0.01, seal_transfers_max=5) as first,
        served(url, seal_interval_s=0.01, seal_transfers_max=3) as second,
        served(url, seal_interval_s=0.02, seal_transfers_max=8),
    ):
        for _ in range(5):
            await asyncio.gather(*(tell_story(server.ledger) for server in (first, second)))

        async def all_sealed() -> bool:
            total = "SELECT coalesce(sum(to_seq - from_seq + 1), 0) FROM seals"
            return bool(await administrator.fetchval(f"SELECT (SELECT sum(next_seq - 1) FROM books) = ({total})"))

        await until(all_sealed)
        assert (await verify(first.proof)).findings == []
    await assert_sealed_once(administrator)


async def test_seal_of_an_incomplete_range_is_not_made(
    url: str, server: Served, administrator: asyncpg.Connection
) -> None:
    """A gap is never sealed away; the other books are sealed all the same."""
    for number in range(6):
        # Some in each book.
        await tell_story(server.ledger, owner_id=UUID(int=number))
    await administrator.execute("ALTER TABLE transfers DISABLE TRIGGER ALL")
    await administrator.execute("DELETE FROM transfers WHERE book_id = 0 AND seq = 3")
    async with open_pool(LedgerSettings(database_url=url), "tests") as pool:
        await Proofs(ProofStore(pool, 2), 100, timedelta(days=1)).seal()
    books = await administrator.fetch("SELECT DISTINCT book_id FROM seals")
    assert [book["book_id"] for book in books] == [1]


def test_canonical_bytes_of_a_transfer_never_change() -> None:
    """Seals that were kept depend on them: these values may not be edited."""
    transfer = StoredTransfer(
        *(3, 17, UUID("0190a5e4-0000-7000-8000-000000000001"), "capture", 5, 6, 250, -250, 0, 250, 0, 12),
        "test.walk é",
        datetime(2026, 11, 21, 13, 45, 59, 123456, tzinfo=UTC),
    )
    of_command = transfer._replace(
        expires_at=datetime(2026, 12, 21, tzinfo=UTC),
        command_kind="transaction",
        owner_id=UUID("0190a5e4-0000-7000-8000-000000000002"),
        currency="OMR",
        fingerprint=bytes(range(16)),
        metadata={"order_id": "é", "a": "1"},
    )
    assert canonical_bytes(transfer).hex() == (
        "000300000000000000110190a5e400007000800000000000000100000000000000050000000000000006000000000000"
        "00faffffffffffffff06000000000000000000000000000000fa0000000000000000000660c994a9f600000000000000"
        "000c0000000000000000000763617074757265000c746573742e77616c6b20c3a900"
    )
    assert canonical_bytes(of_command).hex() == (
        "000300000000000000110190a5e400007000800000000000000100000000000000050000000000000006000000000000"
        "00faffffffffffffff06000000000000000000000000000000fa0000000000000000000660c994a9f600000000000000"
        "000c0006631989f30000000763617074757265000c746573742e77616c6b20c3a9010190a5e400007000800000000000"
        "00020000000b7472616e73616374696f6e000000034f4d5200000010000102030405060708090a0b0c0d0e0f0000001d"
        "7b2261223a2231222c226f726465725f6964223a225c7530306539227d"
    )
    sealing = SealHash(3, 17, 17, FIRST_PREVIOUS)
    sealing.add(transfer)
    sealing.add(of_command)
    assert sealing.digest().hex() == "2a10e191754743faa76248b9b60a95a40df635d167b7f7e7132f1f39a176f2cf"


CHANGES = ("UPDATE seals SET to_seq = to_seq + 1", "DELETE FROM seals", "TRUNCATE seals")


@pytest.mark.parametrize("statement", CHANGES)
async def test_change_of_seals_is_refused_to_everybody(
    url: str, server: Served, administrator: asyncpg.Connection, postgres: EmbeddedPostgres, statement: str
) -> None:
    await tell_story(server.ledger)
    async with open_pool(LedgerSettings(database_url=url), "tests") as pool:
        await Proofs(ProofStore(pool, 2), 100, timedelta(days=1)).seal()
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
    owner = await asyncpg.connect(postgres.url(DATABASE, "ledger_owner"))
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute(statement)
    await owner.close()
    await administrator.execute("SET session_replication_role = replica")
    with pytest.raises(asyncpg.RestrictViolationError):
        await administrator.execute(statement)


async def test_verification_during_writes_finds_nothing_and_counts_up(server: Served) -> None:
    """Each book is one snapshot, so what is being written does not matter."""
    for _ in range(3):
        await tell_story(server.ledger)

    async def write() -> None:
        for _ in range(10):
            await tell_story(server.ledger)

    writing = asyncio.create_task(write())
    while not writing.done():
        report = await verify(server.proof)
        assert report.findings == []
        assert set(report.books) == {0, 1}
    report = await verify(server.proof)
    assert report.progress[-1].transfers_done == sum(book.transfers for book in report.books.values())
    assert report.progress[-1].transfers_done == report.progress[-1].transfers_total


async def test_verification_of_a_book_that_does_not_exist_is_refused(server: Served) -> None:
    await tell_story(server.ledger)
    call = server.proof.Verify(proof_pb2.VerifyRequest(book_ids=[2]))
    refusal = await refused(call.read())
    assert refusal.reason == "BOOK_NOT_FOUND"
    assert refusal.metadata == {"book_id": "2", "book_count": "2"}


async def test_verification_of_one_book_leaves_the_others_out(server: Served) -> None:
    await tell_story(server.ledger)
    books = [
        response.book.book_id
        async for response in server.proof.Verify(proof_pb2.VerifyRequest(book_ids=[1]))
        if response.HasField("book")
    ]
    assert books == [1]


async def tamper_with_revenue(server: Served, administrator: asyncpg.Connection) -> Customer:
    """Five too many in one account."""
    customer = await tell_story(server.ledger)
    await administrator.execute("UPDATE accounts SET posted_minor = posted_minor + 5 WHERE code = 'revenue'")
    # Processes remember sums until somebody else changes the book.
    await administrator.execute("UPDATE books SET stamp = stamp + 1")
    return customer


async def test_finding_seen_again_is_stored_once(server: Served, administrator: asyncpg.Connection) -> None:
    """L8: however often the check runs, also while the wrong sum goes on moving."""
    customer = await tamper_with_revenue(server, administrator)
    for _ in range(3):
        await verify(server.proof)
        await server.ledger.PostTransactions(
            ledger_pb2.PostTransactionsRequest(transactions=[customer.transaction(("clearing:card", "revenue", 1))])
        )
    rows = await administrator.fetch("SELECT kind, subject, last_seen_at > first_seen_at AS is_older FROM findings")
    found = {(row["kind"], row["subject"]) for row in rows}
    assert ("account_sum_differs", "account revenue OMR, posted") in found
    assert len(rows) == len(found)
    assert [row["is_older"] for row in rows if row["kind"] == "account_sum_differs"] == [True]


async def test_findings_page_by_page_are_complete_and_newest_first(
    server: Served, administrator: asyncpg.Connection
) -> None:
    await tamper_with_revenue(server, administrator)
    await verify(server.proof)
    await administrator.execute("UPDATE accounts SET held_minor = held_minor + 1 WHERE posted_minor > held_minor + 1")
    await verify(server.proof)
    listed, token = [], ""
    while True:
        request = proof_pb2.ListFindingsRequest(page_size=1, page_token=token)
        response = await server.proof.ListFindings(request)
        listed.extend(response.findings)
        token = response.next_page_token
        if not token:
            break
    assert len(listed) == await administrator.fetchval("SELECT count(*) FROM findings") >= 3
    moments = [finding.first_seen_time.ToMicroseconds() for finding in listed]
    assert moments == sorted(moments, reverse=True)
    assert listed[-1].first_seen_time.ToMicroseconds() < listed[-1].last_seen_time.ToMicroseconds()


@pytest.mark.parametrize("token", ["x", "AAAA", "é", "AAAA////"])
async def test_findings_from_a_foreign_page_token_are_refused(server: Served, token: str) -> None:
    refusal = await refused(server.proof.ListFindings(proof_pb2.ListFindingsRequest(page_token=token)))
    assert refusal.reason == "INVALID_PAGE_TOKEN"


async def test_findings_from_the_token_of_another_list_are_refused(
    server: Served, administrator: asyncpg.Connection
) -> None:
    """Of the same length, from a statement; and of the list of what is open."""
    customer = await tamper_with_revenue(server, administrator)
    await verify(server.proof)
    statement = (await server.ledger.GetStatement(customer.statement(page_size=1))).next_page_token
    response = await server.proof.ListFindings(proof_pb2.ListFindingsRequest(only_open=True, page_size=1))
    for token in (statement, response.next_page_token):
        assert token
        refusal = await refused(server.proof.ListFindings(proof_pb2.ListFindingsRequest(page_token=token)))
        assert refusal.reason == "INVALID_PAGE_TOKEN"


async def test_findings_that_are_open_are_those_of_the_newest_verification(
    server: Served, administrator: asyncpg.Connection
) -> None:
    await tamper_with_revenue(server, administrator)
    await verify(server.proof)
    await administrator.execute("UPDATE accounts SET posted_minor = posted_minor - 5 WHERE code = 'revenue'")
    assert (await verify(server.proof)).findings == []
    assert not (await server.proof.ListFindings(proof_pb2.ListFindingsRequest(only_open=True))).findings
    assert (await server.proof.ListFindings(proof_pb2.ListFindingsRequest())).findings


async def test_scheduled_verification_on_replicas_runs_once_a_book_and_stores_its_findings(
    url: str, server: Served, administrator: asyncpg.Connection
) -> None:
    """O3, L8: whichever replica comes first."""
    await tamper_with_revenue(server, administrator)

    async def all_verified() -> bool:
        return bool(await administrator.fetchval("SELECT count(DISTINCT book_id) = 2 FROM verifications"))

    async with served(url, verify_interval_s=3600), served(url, verify_interval_s=3600):
        await until(all_verified)
    assert await administrator.fetchval("SELECT count(*) FROM verifications") == 2
    assert await administrator.fetchval("SELECT count(*) FROM findings WHERE kind = 'account_sum_differs'") == 1


async def test_scheduled_verification_comes_again_after_its_interval(
    url: str, server: Served, administrator: asyncpg.Connection
) -> None:
    async def verified_twice() -> bool:
        counts = await administrator.fetch("SELECT count(*) AS times FROM verifications GROUP BY book_id")
        return len(counts) == 2 and all(count["times"] >= 2 for count in counts)

    await tell_story(server.ledger)
    async with served(url, verify_interval_s=0.1):
        await until(verified_twice)


async def test_trial_balance_sums_over_books_and_agrees_with_itself(server: Served) -> None:
    """L1: what one account is short of, others have."""
    for currency in ("OMR", "USD"):
        for _ in range(5):
            customer = Customer(currency)
            await server.ledger.GrantCredits(customer.grant(1000))
            transaction = customer.transaction(("clearing:card", "revenue", 70))
            await server.ledger.PostTransactions(ledger_pb2.PostTransactionsRequest(transactions=[transaction]))
    responses = [response async for response in server.proof.TrialBalance(proof_pb2.TrialBalanceRequest())]
    rows = {(row.currency, row.account): row.posted_minor for response in responses for row in response.rows}
    expected = {"campaign:walk": -5000, "clearing:card": -350, "grant:": 5000, "revenue": 350}
    assert rows == {(currency, code): sum_ for currency in ("OMR", "USD") for code, sum_ in expected.items()}
    totals = {total.currency: (total.debit_minor, total.credit_minor) for total in responses[-1].totals}
    assert totals == {"OMR": (5350, 5350), "USD": (5350, 5350)}


async def test_trial_balance_of_one_account_leaves_the_others_out(server: Served) -> None:
    await tell_story(server.ledger)
    request = proof_pb2.TrialBalanceRequest(currency="OMR", account="revenue")
    rows = [row async for response in server.proof.TrialBalance(request) for row in response.rows]
    assert [(row.account, row.posted_minor) for row in rows] == [("revenue", 1045 + 250 - 80 + 120 + 340 - 115)]


async def test_trial_balance_beyond_the_range_of_sums_is_refused_by_name(server: Served) -> None:
    """Each book's sum is in range and right, those of all books together are not."""
    owners = sorted((book_of(UUID(int=number), 2), number) for number in range(30))
    for _, number in [*owners[:4], *owners[-4:]]:
        customer = Customer()
        customer.owner_id = str(UUID(int=number))
        vast = customer.transaction(*[("clearing:vast", "till", 10**15)] * 1500)
        response = await server.ledger.PostTransactions(ledger_pb2.PostTransactionsRequest(transactions=[vast]))
        assert not response.results[0].HasField("refusal")
    refusal = await refused(server.proof.TrialBalance(proof_pb2.TrialBalanceRequest()).read())
    assert (refusal.reason, refusal.metadata) == ("AMOUNT_OUT_OF_RANGE", {"account": "clearing:vast"})
    assert (await verify(server.proof)).findings == []


async def test_batch_of_grants_gives_each_its_own_outcome(server: Served, administrator: asyncpg.Connection) -> None:
    customers = [Customer() for _ in range(30)]
    grants = [customer.grant(100 + number, category=PAID) for number, customer in enumerate(customers)]
    bad = ledger_pb2.GrantCreditsRequest()
    bad.CopyFrom(grants[0])
    bad.grant.amount_minor += 1
    request = ledger_pb2.GrantCreditsBatchRequest(grants=[*grants, bad])
    first = await server.ledger.GrantCreditsBatch(request)
    assert [result.refusal.reason for result in first.results] == [""] * 30 + ["GRANT_EXISTS_WITH_DIFFERENT_FIELD"]
    assert [result.grant_id for result in first.results] == [message.grant.grant_id for message in request.grants]
    assert await server.ledger.GrantCreditsBatch(request) == first
    wallets = [await server.ledger.GetWallet(customer.wallet()) for customer in customers]
    assert [wallet.balance_minor for wallet in wallets] == list(range(100, 130))
    await assert_ledger_sound(administrator)
