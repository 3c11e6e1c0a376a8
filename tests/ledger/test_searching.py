"""Transactions found by account, reason, metadata and time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.runtime.ids import new_id
from tests.ledger.requests import Customer, post, refused


async def test_transaction_is_read_back_with_its_transfers_and_metadata(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    transaction = customer.transaction(("a", "b", 1), ("b", "c", 2))
    transaction.metadata.update({"order_id": "17", "note": "zwölf 🎟"})
    await ledger.PostTransactions(post(transaction))
    request = ledger_pb2.GetTransactionRequest(owner_id=customer.owner_id, transaction_id=transaction.transaction_id)
    found = await ledger.GetTransaction(request)
    assert found.transaction.metadata == transaction.metadata
    assert (found.transaction.reason, found.transaction.currency) == (transaction.reason, "OMR")
    assert [(each.debit_account, each.amount_minor) for each in found.transfers] == [("a", 1), ("b", 2)]
    assert found.transaction.first_sequence == found.transfers[0].sequence
    request.transaction_id = str(new_id())
    assert (await refused(ledger.GetTransaction(request))).reason == "TRANSACTION_NOT_FOUND"


async def test_post_of_a_known_id_with_other_metadata_is_refused(ledger: LedgerServiceStub) -> None:
    transaction = Customer().transaction(("a", "b", 1))
    transaction.metadata["order_id"] = "17"
    (first,) = (await ledger.PostTransactions(post(transaction))).results
    assert list((await ledger.PostTransactions(post(transaction))).results) == [first]
    transaction.metadata["order_id"] = "18"
    (result,) = (await ledger.PostTransactions(post(transaction))).results
    assert result.refusal.reason == "TRANSACTION_EXISTS_WITH_DIFFERENT_FIELD"
    assert result.refusal.metadata["field"] == "metadata"


@pytest.mark.parametrize(
    "metadata", [{"Order": "1"}, {"": "1"}, {"a": "x" * 257}, {"a": "\0"}, {f"k{number}": "" for number in range(17)}]
)
async def test_post_with_malformed_metadata_is_refused(ledger: LedgerServiceStub, metadata: dict[str, str]) -> None:
    transaction = Customer().transaction(("a", "b", 1))
    transaction.metadata.update(metadata)
    assert (await refused(ledger.PostTransactions(post(transaction)))).reason == "INVALID_REQUEST"


async def found_ids(ledger: LedgerServiceStub, customer: Customer, **conditions: object) -> list[str]:
    """All pages, two transactions each."""
    request = ledger_pb2.ListTransactionsRequest(
        owner_id=customer.owner_id, currency=customer.currency, page_size=2, **conditions
    )
    found: list[str] = []
    while True:
        page = await ledger.ListTransactions(request)
        found += [each.transaction_id for each in page.transactions]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_list_finds_what_meets_all_conditions_newest_first(ledger: LedgerServiceStub) -> None:
    customer = Customer(currency="XTS")
    account, other = f"found:{customer.owner_id}", f"other:{customer.owner_id}"
    made = []
    for number in range(6):
        codes = (account, "till") if number % 2 else (other, account)
        transaction = customer.transaction((*codes, 1), (*codes, 1), reason=f"test.of{number % 3}.{account[-8:]}")
        transaction.metadata.update({"order_id": f"{account} {number % 2}", "all": account})
        await ledger.PostTransactions(post(transaction))
        made.append(transaction.transaction_id)
    newest_first = made[::-1]
    reason = f"test.of1.{account[-8:]}"
    entry = {"metadata_key": "order_id", "metadata_value": f"{account} 1"}
    everything = {"metadata_key": "all", "metadata_value": account}
    assert await found_ids(ledger, customer, account=account) == newest_first
    assert await found_ids(ledger, customer, account=other) == newest_first[1::2]
    assert await found_ids(ledger, customer, reason=reason) == [made[4], made[1]]
    assert await found_ids(ledger, customer, **everything) == newest_first
    assert await found_ids(ledger, customer, **entry) == newest_first[::2]
    assert await found_ids(ledger, customer, reason=reason, **entry) == [made[1]]
    assert await found_ids(ledger, customer, account=other, reason=reason) == [made[4]]
    assert await found_ids(ledger, customer, account=other, **everything) == newest_first[1::2]
    assert await found_ids(ledger, customer, account=other, **entry) == []
    assert await found_ids(ledger, customer, account="never-used") == []
    assert set(made) <= set(await found_ids(ledger, customer))
    assert await found_ids(ledger, Customer(currency="XPT")) == []


async def test_list_between_two_moments_finds_what_was_made_there(ledger: LedgerServiceStub) -> None:
    """From is included, until is not."""
    customer = Customer()
    account = f"timed:{customer.owner_id}"
    made = []
    for _ in range(4):
        (result,) = (await ledger.PostTransactions(post(customer.transaction(("till", account, 1))))).results
        made.append(result)
        await asyncio.sleep(0.002)
    between = {"from_time": made[1].create_time, "until_time": made[3].create_time}
    expected = [made[2].transaction_id, made[1].transaction_id]
    assert await found_ids(ledger, customer, account=account, **between) == expected
    future = Timestamp()
    future.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    assert await found_ids(ledger, customer, account=account, from_time=future) == []


async def test_list_with_the_token_of_other_conditions_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    await ledger.PostTransactions(post(*(customer.transaction(("a", "b", 1)) for _ in range(2))))
    request = ledger_pb2.ListTransactionsRequest(owner_id=customer.owner_id, currency="OMR", account="a", page_size=1)
    request.page_token = (await ledger.ListTransactions(request)).next_page_token
    request.account = "b"
    assert (await refused(ledger.ListTransactions(request))).reason == "INVALID_PAGE_TOKEN"


async def test_text_that_no_database_takes_is_refused_by_name(ledger: LedgerServiceStub) -> None:
    """The one character that a text may have in a message and not in a table."""
    customer, bad = Customer(), "a\0b"
    where = {"owner_id": customer.owner_id, "currency": customer.currency}
    name = ledger_pb2.AccountName(account=bad, **where)
    calls = [
        ledger.GetAccount(customer.account(bad)),
        ledger.GetBalances(ledger_pb2.GetBalancesRequest(accounts=[name])),
        ledger.ListTransfers(customer.transfers(account=bad)),
        ledger.ListTransactions(ledger_pb2.ListTransactionsRequest(account=bad, **where)),
        ledger.ListTransactions(ledger_pb2.ListTransactionsRequest(reason=bad, **where)),
        ledger.ListTransactions(ledger_pb2.ListTransactionsRequest(metadata_key=bad, **where)),
        ledger.ListTransactions(ledger_pb2.ListTransactionsRequest(metadata_key="a", metadata_value=bad, **where)),
    ]
    assert [(await refused(call)).reason for call in calls] == ["INVALID_REQUEST"] * len(calls)
