"""GetStatement, and GetWallet as of a moment of the past."""

import random
from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.ledger.store.statements import queries
from tests.ledger.requests import PAID, Customer, in_days, refused

Balances = tuple[int, int, int, int, int]


async def now(connection: asyncpg.Connection) -> Timestamp:
    """The database's time, after everything that was answered."""
    timestamp = Timestamp()
    timestamp.FromDatetime(await connection.fetchval("SELECT clock_timestamp()"))
    return timestamp


def balances(wallet: ledger_pb2.GetWalletResponse) -> Balances:
    """Balance, held, available, promotional, paid."""
    sums = (wallet.balance_minor, wallet.held_minor, wallet.available_minor)
    return *sums, wallet.promotional.balance_minor, wallet.paid.balance_minor


async def live(ledger: LedgerServiceStub, customer: Customer, dice: random.Random) -> None:
    """One random thing that happens to a wallet."""
    hold = customer.hold(dice.randint(1, 60))
    match dice.randint(0, 3):
        case 0:
            category = dice.choice([PAID, ledger_pb2.CREDIT_CATEGORY_PROMOTIONAL])
            await ledger.GrantCredits(customer.grant(dice.randint(1, 50), category=category))
        case 1:
            held = (await ledger.HoldCredits(hold)).hold.held_minor
            if held:
                await ledger.CaptureHold(customer.capture(hold.hold_id, held))
                await ledger.RefundCredits(customer.refund(hold.hold_id, dice.randint(1, held)))
        case 2:
            held = (await ledger.HoldCredits(hold)).hold.held_minor
            if held:
                await ledger.CaptureHold(customer.capture(hold.hold_id, dice.randint(1, held)))
        case _:
            await ledger.HoldCredits(hold)


async def test_wallet_at_a_past_moment_is_what_it_was_then(
    ledger: LedgerServiceStub, owner_connection: asyncpg.Connection, dice: random.Random
) -> None:
    """L7: at any of many moments, however often grants were emptied and filled again since."""
    customer, seen = Customer(), []
    for _ in range(40):
        await live(ledger, customer, dice)
        seen.append((await now(owner_connection), await ledger.GetWallet(customer.wallet())))
    for moment, wallet in seen:
        then = await ledger.GetWallet(customer.wallet(at_time=moment))
        assert balances(then) == balances(wallet)
        assert list(then.grants) == list(wallet.grants)
    assert (await ledger.GetWallet(customer.wallet(at_time=in_days(-1)))).balance_minor == 0


async def test_wallet_at_a_moment_to_come_is_refused(ledger: LedgerServiceStub) -> None:
    refusal = await refused(ledger.GetWallet(Customer().wallet(at_time=in_days(1))))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TIME_NOT_PAST")
    assert refusal.metadata["field"] == "at_time"


@pytest.mark.parametrize("page_size", [1, 3, 1000])
async def test_statement_goes_from_opening_to_closing_balance_entry_by_entry(
    ledger: LedgerServiceStub, owner_connection: asyncpg.Connection, dice: random.Random, page_size: int
) -> None:
    """L7: a running balance, whatever the pages; the span's ends are the wallet's balances then."""
    customer, moments = Customer(), []
    for _ in range(3):
        for _ in range(6):
            await live(ledger, customer, dice)
        moments.append(await now(owner_connection))
    span = {"from_time": moments[0], "to_time": moments[1]}
    pages = [await ledger.GetStatement(customer.statement(page_size=page_size, **span))]
    while token := pages[-1].next_page_token:
        pages.append(await ledger.GetStatement(customer.statement(page_size=page_size, page_token=token, **span)))
    ends = [(await ledger.GetWallet(customer.wallet(at_time=moment))).balance_minor for moment in moments[:2]]
    assert {(page.opening_balance_minor, page.closing_balance_minor) for page in pages} == {tuple(ends)}
    entries = [entry for page in pages for entry in page.entries]
    balance = ends[0]
    for entry in entries:
        balance += entry.change_minor
        assert entry.balance_minor == balance
        assert moments[0].ToNanoseconds() < entry.create_time.ToNanoseconds() <= moments[1].ToNanoseconds()
    assert balance == ends[1]
    assert [entry.sequence for entry in entries] == sorted({entry.sequence for entry in entries})


async def test_statement_of_everything_names_what_happened(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    source = f"campaign:{customer.owner_id}"
    given = (await ledger.GrantCredits(customer.grant(100, source_account=source))).grant
    hold = customer.hold(30)
    await ledger.HoldCredits(hold)
    await ledger.CaptureHold(customer.capture(hold.hold_id, 20))
    await ledger.RevokeGrant(customer.revoke(given.grant_id, allow_partial=True))
    statement = await ledger.GetStatement(customer.statement())
    told = [(entry.kind, entry.counter_account, entry.change_minor, entry.balance_minor) for entry in statement.entries]
    assert told == [
        (ledger_pb2.TRANSFER_KIND_POSTED, source, 100, 100),
        (ledger_pb2.TRANSFER_KIND_CAPTURE, "revenue", -20, 80),
        (ledger_pb2.TRANSFER_KIND_REVERSAL, source, -80, 0),
    ]
    assert {entry.grant_id for entry in statement.entries} == {given.grant_id}
    assert (statement.opening_balance_minor, statement.closing_balance_minor) == (0, 0)
    assert [entry.reason for entry in statement.entries] == ["test.grant", "test.capture", "test.revoke"]


async def test_statement_keeps_its_end_while_its_pages_are_read(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    for amount in (1, 2, 3):
        await ledger.GrantCredits(customer.grant(amount))
    first = await ledger.GetStatement(customer.statement(page_size=2))
    await ledger.GrantCredits(customer.grant(4))
    second = await ledger.GetStatement(customer.statement(page_size=2, page_token=first.next_page_token))
    assert [entry.change_minor for entry in [*first.entries, *second.entries]] == [1, 2, 3]
    assert (second.closing_balance_minor, second.next_page_token) == (6, "")


async def test_statement_of_an_empty_wallet_is_empty(ledger: LedgerServiceStub) -> None:
    assert await ledger.GetStatement(Customer().statement()) == ledger_pb2.GetStatementResponse()


async def test_statement_with_a_wrong_span_or_token_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    for field in ("from_time", "to_time"):
        refusal = await refused(ledger.GetStatement(customer.statement(**{field: in_days(1)})))
        assert (refusal.reason, refusal.metadata["field"]) == ("TIME_NOT_PAST", field)
    backwards = customer.statement(from_time=in_days(-1), to_time=in_days(-2))
    assert (await refused(ledger.GetStatement(backwards))).reason == "INVALID_REQUEST"
    for amount in (1, 2):
        await ledger.GrantCredits(customer.grant(amount))
    token = (await ledger.GetStatement(customer.statement(page_size=1))).next_page_token
    other = Customer().statement(page_token=token)
    for request in (other, customer.statement(page_token="x"), customer.statement(page_token="AAAA")):
        assert (await refused(ledger.GetStatement(request))).reason == "INVALID_PAGE_TOKEN"


async def test_last_transfer_before_a_moment_is_found_by_halving(owner_connection: asyncpg.Connection) -> None:
    """In every book, against a look at all its transfers."""
    moment = datetime.now(UTC) - timedelta(seconds=1)
    last = await owner_connection.fetch(
        "SELECT book_id, max(seq) AS seq FROM transfers WHERE created_at <= $1 GROUP BY book_id", moment
    )
    for book_id, seq in last:
        found = await queries.find_seq_at(owner_connection, book_id, moment)
        assert found["seq"] == seq
