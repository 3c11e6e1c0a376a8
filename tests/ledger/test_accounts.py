"""Accounts opened and closed explicitly, and their balances."""

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.runtime.ids import new_id
from tests.ledger.requests import Customer, post, refused
from tests.ledger.test_transfer_kinds import REVERSAL, end_of, made


async def test_account_opened_with_a_floor_never_falls_below_it(ledger: LedgerServiceStub) -> None:
    """L3: the floor holds after every transfer, not only at the transaction's end."""
    customer = Customer()
    code = f"credit:{customer.owner_id}"
    opened = (await ledger.OpenAccount(customer.open(code, floor_minor=-20))).account
    assert (opened.account, opened.currency, opened.floor_minor) == (code, "OMR", -20)
    assert not opened.HasField("close_time")
    assert (await made(ledger, customer.transaction((code, "till", 15)))).transfers
    dip = customer.transaction((code, "till", 6), ("till", code, 100))
    refusal = (await made(ledger, dip)).refusal
    assert refusal.reason == "INSUFFICIENT_FUNDS"
    assert refusal.metadata == {"account": code, "available_minor": "5", "amount_minor": "6"}


async def test_open_again_is_once_and_with_another_floor_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    code = f"credit:{customer.owner_id}"
    first = await ledger.OpenAccount(customer.open(code, floor_minor=0))
    assert await ledger.OpenAccount(customer.open(code, floor_minor=0)) == first
    refusal = await refused(ledger.OpenAccount(customer.open(code)))
    assert (refusal.reason, refusal.metadata["field"]) == ("ACCOUNT_EXISTS_WITH_DIFFERENT_FIELD", "floor_minor")


async def test_close_of_an_empty_account_refuses_new_movements(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    code = f"closed:{customer.owner_id}"
    await made(ledger, customer.transaction(("till", code, 5), (code, "till", 5)))
    first = await ledger.CloseAccount(customer.close(code))
    assert first.account.HasField("close_time")
    assert await ledger.CloseAccount(customer.close(code)) == first
    for transfer in ((code, "till", 1), ("till", code, 1)):
        refusal = (await made(ledger, customer.transaction(transfer))).refusal
        assert (refusal.reason, refusal.metadata) == ("ACCOUNT_CLOSED", {"account": code})
    assert (await refused(ledger.OpenAccount(customer.open(code)))).reason == "ACCOUNT_CLOSED"


async def test_close_of_an_account_with_something_in_it_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    code = f"full:{customer.owner_id}"
    await made(ledger, customer.transaction(("till", code, 5)))
    refusal = await refused(ledger.CloseAccount(customer.close(code)))
    assert (refusal.reason, refusal.metadata["posted_minor"]) == ("ACCOUNT_NOT_EMPTY", "5")


async def test_account_that_is_not_there_is_not_found(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    for call in (ledger.CloseAccount(customer.close("nobody")), ledger.GetAccount(customer.account("nobody"))):
        assert (await refused(call)).reason == "ACCOUNT_NOT_FOUND"


async def test_account_of_a_grant_is_neither_opened_nor_closed(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    grant = (await ledger.GrantCredits(customer.grant())).grant
    code = f"grant:{grant.grant_id}"
    calls = (
        ledger.OpenAccount(customer.open(code)),
        ledger.CloseAccount(customer.close(code)),
        ledger.OpenAccount(customer.open(f"grant:{new_id()}")),
    )
    for call in calls:
        assert (await refused(call)).reason == "ACCOUNT_RESERVED"


async def test_reversal_opens_a_closed_account_again(ledger: LedgerServiceStub) -> None:
    """An undo is never refused."""
    customer = Customer()
    code = f"reopened:{customer.owner_id}"
    moved = customer.transaction((code, "till", 5), ("till", code, 5))
    await made(ledger, moved)
    await ledger.CloseAccount(customer.close(code))
    assert (await made(ledger, end_of(moved, REVERSAL, 5))).transfers
    account = (await ledger.GetAccount(customer.account(code))).account
    assert account.posted_minor == 5
    assert not account.HasField("close_time")


async def test_revoke_of_a_grant_opens_its_closed_source_again(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    source = f"campaign:{customer.owner_id}"
    await made(ledger, customer.transaction(("till", source, 5)))
    granted = (await ledger.GrantCredits(customer.grant(5, source_account=source))).grant
    await ledger.CloseAccount(customer.close(source))
    refusal = await refused(ledger.GrantCredits(customer.grant(5, source_account=source)))
    assert refusal.reason == "ACCOUNT_CLOSED"
    await ledger.RevokeGrant(customer.revoke(granted.grant_id))
    assert (await ledger.GetAccount(customer.account(source))).account.posted_minor == 5


async def test_balances_come_in_the_order_asked(ledger: LedgerServiceStub) -> None:
    """Of several customers and currencies; an account never used has none."""
    one, other = Customer(), Customer(currency="USD")
    hold = one.transaction((f"b:{one.owner_id}", "till", 3), reason="test.hold")
    hold.transfers[0].kind = ledger_pb2.TRANSFER_KIND_HOLD
    transactions = [one.transaction(("till", f"b:{one.owner_id}", 7)), hold]
    transactions.append(other.transaction(("till", f"b:{other.owner_id}", 9)))
    await ledger.PostTransactions(post(*transactions))
    names = [
        ledger_pb2.AccountName(owner_id=customer.owner_id, currency=customer.currency, account=f"b:{customer.owner_id}")
        for customer in (other, one, Customer(), one)
    ]
    balances = (await ledger.GetBalances(ledger_pb2.GetBalancesRequest(accounts=names))).balances
    assert [(each.posted_minor, each.held_minor) for each in balances] == [(9, 0), (7, 3), (0, 0), (7, 3)]


async def test_two_servers_see_each_others_movements(
    ledger: LedgerServiceStub, second_ledger: LedgerServiceStub
) -> None:
    """What one remembers of a book is worth nothing once the other has written it."""
    customer = Customer()
    code = f"shared:{customer.owner_id}"
    for amount in range(1, 11):
        for server in (ledger, second_ledger, second_ledger):
            assert (await made(server, customer.transaction(("till", code, amount)))).transfers
    assert (await ledger.GetAccount(customer.account(code))).account.posted_minor == 165
    await made(second_ledger, customer.transaction((code, "till", 165)))
    await second_ledger.CloseAccount(customer.close(code))
    assert (await made(ledger, customer.transaction(("till", code, 1)))).refusal.reason == "ACCOUNT_CLOSED"
