"""Holds, captures, releases and reversals between system accounts."""

import pytest

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.runtime.ids import new_id
from tests.ledger.requests import Customer, in_days, post, refused

HOLD = ledger_pb2.TRANSFER_KIND_HOLD
CAPTURE = ledger_pb2.TRANSFER_KIND_CAPTURE
RELEASE = ledger_pb2.TRANSFER_KIND_RELEASE
REVERSAL = ledger_pb2.TRANSFER_KIND_REVERSAL


async def made(ledger: LedgerServiceStub, transaction: ledger_pb2.Transaction) -> ledger_pb2.TransactionResult:
    (result,) = (await ledger.PostTransactions(post(transaction))).results
    return result


def hold_of(customer: Customer, amount_minor: int = 100) -> ledger_pb2.Transaction:
    transaction = customer.transaction((f"purse:{customer.owner_id}", "till", amount_minor), reason="test.hold")
    transaction.transfers[0].kind = HOLD
    return transaction


def end_of(
    target: ledger_pb2.Transaction, kind: ledger_pb2.TransferKind, amount_minor: int = 0, index: int = 0
) -> ledger_pb2.Transaction:
    """A transaction that ends or takes back a transfer of another one."""
    order = ledger_pb2.TransferRequest(
        kind=kind, amount_minor=amount_minor, target_transaction_id=target.transaction_id, target_index=index
    )
    return ledger_pb2.Transaction(
        transaction_id=str(new_id()),
        owner_id=target.owner_id,
        currency=target.currency,
        transfers=[order],
        reason="test.end",
    )


async def test_capture_of_a_part_moves_it_and_frees_the_rest(ledger: LedgerServiceStub) -> None:
    """L4: two results, the capture and the release, whose target both name."""
    customer = Customer()
    hold = hold_of(customer)
    (held,) = (await made(ledger, hold)).transfers
    assert (held.debit_posted_minor, held.debit_held_minor) == (0, 100)
    capture, release = (await made(ledger, end_of(hold, CAPTURE, 70))).transfers
    assert (capture.debit_posted_minor, capture.debit_held_minor) == (-70, 30)
    assert (release.debit_posted_minor, release.debit_held_minor) == (-70, 0)
    listed = (await ledger.ListTransfers(customer.transfers(account=f"purse:{customer.owner_id}"))).transfers
    assert [each.target_sequence for each in listed] == [held.sequence, held.sequence, 0]


async def test_capture_again_under_its_id_gets_the_first_answer(ledger: LedgerServiceStub) -> None:
    """L5, K-2."""
    hold = hold_of(Customer())
    await made(ledger, hold)
    capture = end_of(hold, CAPTURE, 70)
    first = await made(ledger, capture)
    assert await made(ledger, capture) == first
    capture.transfers[0].amount_minor = 60
    refusal = (await made(ledger, capture)).refusal
    assert (refusal.reason, refusal.metadata["field"]) == ("TRANSACTION_EXISTS_WITH_DIFFERENT_FIELD", "transfers")


@pytest.mark.parametrize("kind", [CAPTURE, RELEASE])
@pytest.mark.parametrize("is_together", [True, False])
async def test_end_of_an_ended_hold_is_refused(
    ledger: LedgerServiceStub, kind: ledger_pb2.TransferKind, is_together: bool
) -> None:
    """L-5: whether hold and ends come in one request or one by one."""
    hold = hold_of(Customer())
    ends = [end_of(hold, RELEASE), end_of(hold, kind, 100 if kind == CAPTURE else 0)]
    if is_together:
        results = list((await ledger.PostTransactions(post(hold, *ends))).results)
    else:
        results = [await made(ledger, transaction) for transaction in (hold, *ends)]
    assert results[1].transfers[0].debit_held_minor == 0
    assert results[2].refusal.reason == "TRANSFER_ALREADY_ENDED"
    assert results[2].refusal.metadata == {"transaction_id": hold.transaction_id, "index": "0"}


async def test_capture_of_more_than_is_held_is_refused(ledger: LedgerServiceStub) -> None:
    hold = hold_of(Customer())
    await made(ledger, hold)
    refusal = (await made(ledger, end_of(hold, CAPTURE, 101))).refusal
    assert refusal.reason == "AMOUNT_EXCEEDS_TRANSFER"
    assert (refusal.metadata["left_minor"], refusal.metadata["amount_minor"]) == ("100", "101")


async def test_reversals_never_exceed_what_was_moved(ledger: LedgerServiceStub) -> None:
    """L-8: of a posted transfer and of a capture; parts add up, also within one transaction."""
    customer = Customer()
    moved, hold = customer.transaction(("a", "b", 5), ("a", f"shop:{customer.owner_id}", 100)), hold_of(customer)
    await made(ledger, moved)
    await made(ledger, hold)
    capture = end_of(hold, CAPTURE, 100)
    await made(ledger, capture)
    for target, index in ((moved, 1), (capture, 0)):
        first, second = end_of(target, REVERSAL, 60, index), end_of(target, REVERSAL, 30, index)
        second.transfers.append(end_of(target, REVERSAL, 11, index).transfers[0])
        assert (await made(ledger, first)).transfers
        refusal = (await made(ledger, second)).refusal
        assert (refusal.reason, refusal.metadata["left_minor"]) == ("AMOUNT_EXCEEDS_TRANSFER", "10")
        assert (await made(ledger, end_of(target, REVERSAL, 40, index))).transfers
    account = await ledger.GetAccount(customer.account(f"shop:{customer.owner_id}"))
    assert account.account.posted_minor == 0


async def test_end_of_what_cannot_be_ended_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    moved, hold = customer.transaction(("a", "b", 5)), hold_of(customer)
    reversal = end_of(moved, REVERSAL, 2)
    for transaction in (moved, hold, reversal):
        await made(ledger, transaction)
    for target, kind in ((moved, CAPTURE), (hold, REVERSAL), (reversal, REVERSAL)):
        refusal = (await made(ledger, end_of(target, kind, 1))).refusal
        assert refusal.reason == "TRANSFER_KIND_UNSUITABLE"


async def test_end_of_what_is_not_there_is_refused(ledger: LedgerServiceStub) -> None:
    """An unknown transaction, a transfer beyond its last, another currency, and a grant, which ends in its own way."""
    customer = Customer()
    moved = customer.transaction(("a", "b", 5))
    await made(ledger, moved)
    foreign = end_of(moved, REVERSAL, 1)
    foreign.currency = "USD"
    grant = (await ledger.GrantCredits(customer.grant(5))).grant
    of_grant = end_of(moved, REVERSAL, 1)
    of_grant.transfers[0].target_transaction_id = grant.grant_id
    for transaction in (end_of(hold_of(customer), RELEASE), end_of(moved, REVERSAL, 1, 1), foreign, of_grant):
        assert (await made(ledger, transaction)).refusal.reason == "TRANSFER_NOT_FOUND"


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": HOLD, "debit_account": "", "credit_account": "b", "amount_minor": 1},
        {"debit_account": "a", "credit_account": "", "amount_minor": 1},
        {"debit_account": "a", "credit_account": "b", "amount_minor": 0},
        {"debit_account": "a", "credit_account": "b", "amount_minor": 1, "target_transaction_id": str(new_id())},
        {"kind": CAPTURE, "amount_minor": 1},
        {"kind": CAPTURE, "amount_minor": 0, "target_transaction_id": str(new_id())},
        {"kind": RELEASE, "amount_minor": 1, "target_transaction_id": str(new_id())},
        {"kind": REVERSAL, "debit_account": "a", "amount_minor": 1, "target_transaction_id": str(new_id())},
        {"kind": 9, "debit_account": "a", "credit_account": "b", "amount_minor": 1},
        {"debit_account": "a", "credit_account": "b", "amount_minor": 1, "expire_time": in_days(1)},
        {"kind": CAPTURE, "amount_minor": 1, "target_transaction_id": str(new_id()), "expire_time": in_days(1)},
    ],
)
async def test_transfer_of_a_mixed_up_shape_is_refused(ledger: LedgerServiceStub, fields: dict[str, object]) -> None:
    transaction = Customer().transaction(("a", "b", 1))
    transaction.transfers[0].CopyFrom(ledger_pb2.TransferRequest(**fields))
    assert (await refused(ledger.PostTransactions(post(transaction)))).reason == "INVALID_REQUEST"


async def test_post_of_more_than_8000_transfers_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    account = f"many:{customer.owner_id}"
    transactions = [customer.transaction(*[("a", account, 1)] * 4000) for _ in range(2)]
    results = (await ledger.PostTransactions(post(*transactions))).results
    assert results[1].transfers[-1].credit_posted_minor == 8000
    transactions.append(customer.transaction(("a", account, 1)))
    assert (await refused(ledger.PostTransactions(post(*transactions)))).reason == "INVALID_REQUEST"


async def test_holds_beyond_the_range_of_sums_are_refused_by_name(ledger: LedgerServiceStub) -> None:
    """L-4: what is set aside has a range as well; nothing of the transaction that would leave it is there."""
    customer = Customer()
    holds = [customer.transaction(*[(f"purse:{customer.owner_id}", "till", 10**15)] * 8000) for _ in range(2)]
    for transaction in holds:
        for transfer in transaction.transfers:
            transfer.kind = HOLD
    assert (await made(ledger, holds[0])).transfers[-1].debit_held_minor == 8 * 10**18
    refusal = (await made(ledger, holds[1])).refusal
    assert (refusal.reason, refusal.metadata) == ("AMOUNT_OUT_OF_RANGE", {"account": f"purse:{customer.owner_id}"})
    account = await ledger.GetAccount(customer.account(f"purse:{customer.owner_id}"))
    assert account.account.held_minor == 8 * 10**18
