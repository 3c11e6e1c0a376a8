"""PostTransactions and ListTransfers through the API."""

from uuid import UUID

import grpc
import pytest

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.runtime.ids import new_id
from tests.ledger.requests import Customer, post, refused

AMOUNT_MAX = 10**15


async def result_of(ledger: LedgerServiceStub, transaction: ledger_pb2.Transaction) -> ledger_pb2.TransactionResult:
    (result,) = (await ledger.PostTransactions(post(transaction))).results
    return result


async def test_post_of_two_transfers_makes_both_and_tells_the_sums_after_each(ledger: LedgerServiceStub) -> None:
    """L1."""
    customer = Customer()
    purse, till = f"purse:{customer.owner_id}", f"till:{customer.owner_id}"
    result = await result_of(ledger, customer.transaction((purse, till, 700), (till, purse, 200)))
    assert [(each.debit_posted_minor, each.credit_posted_minor) for each in result.transfers] == [
        (-700, 700),
        (500, -500),
    ]
    assert result.transfers[1].sequence == result.transfers[0].sequence + 1
    assert not result.HasField("refusal")


async def test_post_of_the_same_transaction_again_gets_the_first_answer(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    transaction = customer.transaction(("clearing:test", "revenue", 500), ("clearing:test", "tax", 25))
    first = await result_of(ledger, transaction)
    await result_of(ledger, customer.transaction(("clearing:test", "revenue", 1)))
    assert await result_of(ledger, transaction) == first


async def test_post_of_one_transaction_twice_in_one_request_is_done_once(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    transaction = customer.transaction(("clearing:test", f"once:{customer.owner_id}", 500))
    first, second = (await ledger.PostTransactions(post(transaction, transaction))).results
    assert first == second
    assert first.transfers[0].credit_posted_minor == 500


@pytest.mark.parametrize("field", ["currency", "reason", "transfers"])
async def test_post_of_a_known_id_with_another_field_is_refused_by_its_name(
    ledger: LedgerServiceStub, field: str
) -> None:
    customer = Customer()
    transaction = customer.transaction(("clearing:test", "revenue", 500))
    await result_of(ledger, transaction)
    if field == "transfers":
        transaction.transfers[0].amount_minor += 1
    else:
        setattr(transaction, field, {"currency": "USD", "reason": "test.other"}[field])
    refusal = (await result_of(ledger, transaction)).refusal
    assert refusal.reason == "TRANSACTION_EXISTS_WITH_DIFFERENT_FIELD"
    assert refusal.metadata["field"] == field


async def test_post_under_the_id_of_a_grant_is_refused(ledger: LedgerServiceStub) -> None:
    """K-1: one id of a book stands for one thing."""
    customer = Customer()
    grant = await ledger.GrantCredits(customer.grant())
    transaction = customer.transaction(("a", "b", 1), transaction_id=UUID(grant.grant.grant_id))
    refusal = (await result_of(ledger, transaction)).refusal
    assert (refusal.reason, refusal.metadata["field"]) == ("TRANSACTION_EXISTS_WITH_DIFFERENT_FIELD", "kind")


async def test_post_of_a_refused_transaction_among_others_leaves_no_trace_of_it(ledger: LedgerServiceStub) -> None:
    """Each transaction is all or nothing, and has its own outcome."""
    customer = Customer()
    account = f"only:{customer.owner_id}"
    good = customer.transaction(("clearing:test", account, 5))
    bad = customer.transaction(("clearing:test", account, 7), (f"never:{customer.owner_id}", "same", 1), ("x", "x", 1))
    first, refused_one, last = (
        await ledger.PostTransactions(post(good, bad, customer.transaction(("clearing:test", account, 11))))
    ).results
    assert first.transfers[0].credit_posted_minor == 5
    assert refused_one.refusal.reason == "SAME_ACCOUNT"
    assert refused_one.refusal.metadata == {"account": "x"}
    assert not refused_one.transfers
    assert last.transfers[0].credit_posted_minor == 16
    assert last.transfers[0].sequence > first.transfers[0].sequence
    assert not (await ledger.ListTransfers(customer.transfers(account=f"never:{customer.owner_id}"))).transfers


async def test_post_to_a_grant_account_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    grant = (await ledger.GrantCredits(customer.grant())).grant
    for account in (f"grant:{grant.grant_id}", f"grant:{new_id()}"):
        refusal = (await result_of(ledger, customer.transaction((account, "revenue", 1)))).refusal
        assert (refusal.reason, refusal.metadata["account"]) == ("ACCOUNT_RESERVED", account)


async def test_post_beyond_64_bits_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer(currency="BIG")
    account = f"full:{customer.owner_id}"
    for _ in range(9):
        assert (await result_of(ledger, customer.transaction(*[("source", account, AMOUNT_MAX)] * 1000))).transfers
    refusal = (await result_of(ledger, customer.transaction(*[("other", account, AMOUNT_MAX)] * 300))).refusal
    assert (refusal.reason, refusal.metadata["account"]) == ("AMOUNT_OUT_OF_RANGE", account)
    refusal = (await result_of(ledger, customer.transaction(*[("source", "other", AMOUNT_MAX)] * 300))).refusal
    assert (refusal.reason, refusal.metadata["account"]) == ("AMOUNT_OUT_OF_RANGE", "source")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("transaction_id", "no-uuid"),
        ("owner_id", ""),
        ("currency", "omr"),
        ("reason", "Not A Reason"),
        ("debit_account", "with space"),
        ("amount_minor", 0),
        ("amount_minor", -5),
        ("amount_minor", AMOUNT_MAX + 1),
    ],
)
async def test_post_of_a_malformed_transaction_is_refused_as_a_whole(
    ledger: LedgerServiceStub, field: str, value: object
) -> None:
    transaction = Customer().transaction(("a", "b", 1))
    setattr(transaction.transfers[0] if field in ("debit_account", "amount_minor") else transaction, field, value)
    refusal = await refused(ledger.PostTransactions(post(transaction)))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refusal.domain == "ledger.quittance"


async def test_list_of_an_account_shows_every_transfer_once_newest_first(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    account = f"listed:{customer.owner_id}"
    amounts = list(range(1, 26))
    transactions = [
        customer.transaction((account, "b", amount) if amount % 2 else ("b", account, amount)) for amount in amounts
    ]
    await ledger.PostTransactions(post(*transactions))
    listed: list[ledger_pb2.Transfer] = []
    token = ""
    for _ in range(3):
        page = await ledger.ListTransfers(customer.transfers(account=account, page_size=10, page_token=token))
        listed += page.transfers
        token = page.next_page_token
    assert token == ""
    assert [transfer.amount_minor for transfer in listed] == amounts[::-1]
    assert [transfer.sequence for transfer in listed] == sorted((each.sequence for each in listed), reverse=True)
    assert listed[-1].debit_account == account
    assert listed[-1].debit_posted_minor == -1


async def test_list_of_a_wallet_shows_the_transfers_of_all_its_grants(ledger: LedgerServiceStub) -> None:
    customer, other = Customer(), Customer()
    await ledger.GrantCredits(other.grant(1))
    grant_ids = [(await ledger.GrantCredits(customer.grant(amount))).grant.grant_id for amount in (10, 20)]
    hold = customer.hold(30)
    await ledger.HoldCredits(hold)
    await ledger.CaptureHold(customer.capture(hold.hold_id, 10))
    transfers = (await ledger.ListTransfers(customer.transfers())).transfers
    kinds = [ledger_pb2.TransferKind.Name(transfer.kind).removeprefix("TRANSFER_KIND_") for transfer in transfers]
    assert kinds == ["RELEASE", "CAPTURE", "HOLD", "HOLD", "POSTED", "POSTED"]
    assert {transfer.transaction_id for transfer in transfers} == {*grant_ids, hold.hold_id}
    assert {transfer.currency for transfer in transfers} == {"OMR"}


async def test_list_with_the_token_of_another_list_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    await ledger.PostTransactions(post(customer.transaction(("a", "b", 1), ("a", "b", 2))))
    token = (await ledger.ListTransfers(customer.transfers(account="a", page_size=1))).next_page_token
    assert token
    for account, wrong in (("b", token), ("a", "%%%"), ("a", "AAAA"), ("a", token[:-4] + "AAA=")):
        refusal = await refused(ledger.ListTransfers(customer.transfers(account=account, page_token=wrong)))
        assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
