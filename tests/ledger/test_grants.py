"""GrantCredits, RevokeGrant and GetWallet through the API."""

import asyncpg
import grpc
import pytest

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.runtime.ids import new_id
from tests.ledger.aging import age_grant, begin_grant
from tests.ledger.requests import PAID, PROMOTIONAL, Customer, in_days, refused


async def test_grant_gives_the_amount_from_its_source(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    source = f"campaign:{customer.owner_id}"
    grant = (await ledger.GrantCredits(customer.grant(10_000, source_account=source, expire_time=in_days(3)))).grant
    assert (grant.granted_minor, grant.balance_minor, grant.held_minor) == (10_000, 10_000, 0)
    assert grant.source_account == source
    wallet = await ledger.GetWallet(customer.wallet())
    assert (wallet.balance_minor, wallet.held_minor, wallet.available_minor) == (10_000, 0, 10_000)
    assert list(wallet.grants) == [grant]
    (transfer,) = (await ledger.ListTransfers(customer.transfers(account=source))).transfers
    assert (transfer.debit_account, transfer.debit_posted_minor) == (source, -10_000)


async def test_wallet_without_grants_is_empty(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    await ledger.GrantCredits(customer.grant(5))
    customer.currency = "USD"
    nothing = ledger_pb2.CategoryBalance()
    assert await ledger.GetWallet(customer.wallet()) == ledger_pb2.GetWalletResponse(promotional=nothing, paid=nothing)


async def test_wallet_lists_grants_in_burn_order(ledger: LedgerServiceStub) -> None:
    """L6: priority, earliest expiry (none last), promotional before paid, oldest first."""
    customer = Customer()
    late, early = in_days(9), in_days(2)
    wanted = [
        {"priority": 0, "category": PAID},
        {"priority": 1, "expire_time": early, "category": PAID},
        {"priority": 1, "expire_time": late, "category": PROMOTIONAL},
        {"priority": 1, "expire_time": late, "category": PAID},
        {"priority": 1, "category": PROMOTIONAL},
        {"priority": 1, "category": PROMOTIONAL},
        {"priority": 2, "expire_time": early},
    ]
    requests = [customer.grant(amount, **fields) for amount, fields in enumerate(wanted, start=1)]
    # The two that differ in age alone are given in their order, all others the wrong way round.
    for index in (6, 4, 5, 3, 2, 1, 0):
        await ledger.GrantCredits(requests[index])
    wallet = await ledger.GetWallet(customer.wallet())
    assert [grant.granted_minor for grant in wallet.grants] == [1, 2, 3, 4, 5, 6, 7]


async def test_wallet_counts_an_expired_grant_as_balance_but_not_as_available(
    ledger: LedgerServiceStub, owner_connection: asyncpg.Connection
) -> None:
    customer = Customer()
    expired = (await ledger.GrantCredits(customer.grant(7))).grant
    await ledger.GrantCredits(customer.grant(100))
    await age_grant(owner_connection, expired.grant_id)
    wallet = await ledger.GetWallet(customer.wallet())
    assert (wallet.balance_minor, wallet.available_minor) == (107, 100)
    assert (await ledger.HoldCredits(customer.hold(107))).hold.held_minor == 100


async def test_grant_again_gets_the_first_answer_also_when_it_is_spent(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    request = customer.grant(500, expire_time=in_days(1), category=PAID, priority=3)
    first = await ledger.GrantCredits(request)
    hold = customer.hold(500)
    await ledger.HoldCredits(hold)
    await ledger.CaptureHold(customer.capture(hold.hold_id, 500))
    assert await ledger.GrantCredits(request) == first
    assert (await ledger.GetWallet(customer.wallet())).balance_minor == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount_minor", 501),
        ("category", PAID),
        ("priority", 7),
        ("source_account", "campaign:other"),
        ("expire_time", in_days(5)),
        ("effective_time", in_days(1)),
        ("currency", "USD"),
        ("reason", "test.other"),
    ],
)
async def test_grant_of_a_known_id_with_another_field_is_refused_by_its_name(
    ledger: LedgerServiceStub, field: str, value: object
) -> None:
    customer = Customer()
    request = customer.grant(500)
    await ledger.GrantCredits(request)
    message = request if field in ("currency", "reason") else request.grant
    if field.endswith("_time"):
        getattr(message, field).CopyFrom(value)
    else:
        setattr(message, field, value)
    refusal = await refused(ledger.GrantCredits(request))
    assert refusal.status is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.reason == "GRANT_EXISTS_WITH_DIFFERENT_FIELD"
    assert refusal.metadata == {"grant_id": request.grant.grant_id, "field": field}


async def test_grant_that_has_expired_is_refused(ledger: LedgerServiceStub) -> None:
    refusal = await refused(ledger.GrantCredits(Customer().grant(expire_time=in_days(-1))))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "EXPIRE_TIME_PASSED")
    assert refusal.metadata["field"] == "grant.expire_time"


async def test_grant_with_an_expiry_beyond_the_calendar_is_refused(ledger: LedgerServiceStub) -> None:
    request = Customer().grant()
    request.grant.expire_time.seconds = 10**17
    refusal = await refused(ledger.GrantCredits(request))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_grant_that_begins_later_is_not_available_before(
    ledger: LedgerServiceStub, owner_connection: asyncpg.Connection
) -> None:
    """L6."""
    customer = Customer()
    request = customer.grant(70, effective_time=in_days(1), expire_time=in_days(2))
    later = (await ledger.GrantCredits(request)).grant
    assert later.effective_time == request.grant.effective_time
    assert later.create_time.seconds < later.effective_time.seconds
    wallet = await ledger.GetWallet(customer.wallet())
    assert (wallet.balance_minor, wallet.available_minor, wallet.next_expiry.amount_minor) == (70, 0, 70)
    assert (await ledger.HoldCredits(customer.hold(70))).hold.held_minor == 0
    await begin_grant(owner_connection, later.grant_id)
    assert (await ledger.HoldCredits(customer.hold(70))).hold.held_minor == 70


async def test_grant_that_begins_when_it_ends_is_refused(ledger: LedgerServiceStub) -> None:
    moment = in_days(1)
    refusal = await refused(ledger.GrantCredits(Customer().grant(effective_time=moment, expire_time=moment)))
    assert (refusal.reason, refusal.metadata["field"]) == ("INVALID_REQUEST", "grant.effective_time")


async def test_grant_from_a_customers_grant_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    victim = (await ledger.GrantCredits(customer.grant())).grant
    refusal = await refused(ledger.GrantCredits(customer.grant(5, source_account=f"grant:{victim.grant_id}")))
    assert refusal.reason == "ACCOUNT_RESERVED"


async def test_revoke_takes_back_this_grant_and_nothing_else(ledger: LedgerServiceStub) -> None:
    """V3: the reversal touches only the grant of this voucher and this customer."""
    customer = Customer()
    source = f"campaign:{customer.owner_id}"
    grant = (await ledger.GrantCredits(customer.grant(500, source_account=source))).grant
    other = (await ledger.GrantCredits(customer.grant(40, source_account=source))).grant
    revoked = await ledger.RevokeGrant(customer.revoke(grant.grant_id))
    assert revoked.reversed_minor == 500
    wallet = await ledger.GetWallet(customer.wallet())
    assert list(wallet.grants) == [other]
    newest = (await ledger.ListTransfers(customer.transfers(account=source, page_size=1))).transfers[0]
    assert newest.kind == ledger_pb2.TRANSFER_KIND_REVERSAL
    assert (newest.transaction_id, newest.amount_minor, newest.credit_posted_minor) == (grant.grant_id, 500, -40)


async def test_revoke_twice_is_once(ledger: LedgerServiceStub) -> None:
    """V4."""
    customer = Customer()
    grant = (await ledger.GrantCredits(customer.grant(500))).grant
    first = await ledger.RevokeGrant(customer.revoke(grant.grant_id))
    count = len((await ledger.ListTransfers(customer.transfers())).transfers)
    assert await ledger.RevokeGrant(customer.revoke(grant.grant_id)) == first
    assert len((await ledger.ListTransfers(customer.transfers())).transfers) == count


async def test_revoke_of_an_unknown_grant_makes_the_late_grant_refuse(ledger: LedgerServiceStub) -> None:
    """V4: an undo that arrives before what it undoes."""
    customer = Customer()
    request = customer.grant(500)
    for _ in range(2):
        assert (await ledger.RevokeGrant(customer.revoke(request.grant.grant_id))).reversed_minor == 0
    refusal = await refused(ledger.GrantCredits(request))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GRANT_ALREADY_UNDONE")
    assert (await ledger.RevokeGrant(customer.revoke(request.grant.grant_id))).reversed_minor == 0
    assert (await ledger.GetWallet(customer.wallet())).balance_minor == 0


async def test_grant_again_after_its_revocation_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    request = customer.grant(500)
    await ledger.GrantCredits(request)
    await ledger.RevokeGrant(customer.revoke(request.grant.grant_id))
    assert (await refused(ledger.GrantCredits(request))).reason == "GRANT_ALREADY_UNDONE"


@pytest.mark.parametrize("is_captured", [True, False])
async def test_revoke_of_a_grant_that_is_spent_or_held_is_refused(ledger: LedgerServiceStub, is_captured: bool) -> None:
    customer = Customer()
    grant = (await ledger.GrantCredits(customer.grant(500))).grant
    hold = customer.hold(200)
    await ledger.HoldCredits(hold)
    if is_captured:
        await ledger.CaptureHold(customer.capture(hold.hold_id, 200))
    refusal = await refused(ledger.RevokeGrant(customer.revoke(grant.grant_id)))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GRANT_ALREADY_SPENT")
    held, spent = ("0", "200") if is_captured else ("200", "0")
    amounts = {"granted_minor": "500", "available_minor": "300", "held_minor": held, "spent_minor": spent}
    assert refusal.metadata == {"grant_id": grant.grant_id, **amounts}


async def test_revoke_that_does_not_match_its_grant_is_refused(ledger: LedgerServiceStub) -> None:
    """V4: what the undo names must match."""
    customer = Customer()
    grant = (await ledger.GrantCredits(customer.grant(500))).grant
    customer.currency = "USD"
    refusal = await refused(ledger.RevokeGrant(customer.revoke(grant.grant_id)))
    assert (refusal.reason, refusal.metadata["field"]) == ("GRANT_EXISTS_WITH_DIFFERENT_FIELD", "currency")
    refusal = await refused(ledger.RevokeGrant(customer.revoke("")))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    customer.currency = "OMR"
    assert (await ledger.GetWallet(customer.wallet())).balance_minor == 500


async def test_revoke_under_the_id_of_a_hold_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    hold = customer.hold(hold_id=str(new_id()))
    await ledger.HoldCredits(hold)
    refusal = await refused(ledger.RevokeGrant(customer.revoke(hold.hold_id)))
    assert (refusal.reason, refusal.metadata["field"]) == ("GRANT_EXISTS_WITH_DIFFERENT_FIELD", "kind")


@pytest.mark.parametrize("is_captured", [True, False])
async def test_revoke_of_a_part_takes_what_is_free_and_says_what_is_missing(
    ledger: LedgerServiceStub, is_captured: bool
) -> None:
    customer = Customer()
    source = f"campaign:{customer.owner_id}"
    grant = (await ledger.GrantCredits(customer.grant(500, source_account=source))).grant
    hold = customer.hold(200)
    await ledger.HoldCredits(hold)
    if is_captured:
        await ledger.CaptureHold(customer.capture(hold.hold_id, 200))
    spent, held = (200, 0) if is_captured else (0, 200)
    first = await ledger.RevokeGrant(customer.revoke(grant.grant_id, allow_partial=True))
    assert (first.reversed_minor, first.spent_minor, first.held_minor) == (300, spent, held)
    assert await ledger.RevokeGrant(customer.revoke(grant.grant_id, allow_partial=True)) == first
    assert (await refused(ledger.RevokeGrant(customer.revoke(grant.grant_id)))).reason == "GRANT_ALREADY_SPENT"
    wallet = await ledger.GetWallet(customer.wallet())
    assert (wallet.balance_minor, wallet.held_minor, wallet.available_minor) == (held, held, 0)


async def test_release_into_a_revoked_grant_goes_back_to_its_source(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    source = f"campaign:{customer.owner_id}"
    grant = (await ledger.GrantCredits(customer.grant(500, source_account=source))).grant
    hold, spent = customer.hold(200), customer.hold(100)
    await ledger.HoldCredits(hold)
    await ledger.HoldCredits(spent)
    await ledger.RevokeGrant(customer.revoke(grant.grant_id, allow_partial=True))
    await ledger.ReleaseHold(customer.release(hold.hold_id))
    await ledger.CaptureHold(customer.capture(spent.hold_id, 30))
    assert (await ledger.GetWallet(customer.wallet())).balance_minor == 0
    newest = (await ledger.ListTransfers(customer.transfers(account=source, page_size=1))).transfers[0]
    assert (newest.kind, newest.credit_posted_minor) == (ledger_pb2.TRANSFER_KIND_REVERSAL, -30)
    assert (await ledger.RevokeGrant(customer.revoke(grant.grant_id, allow_partial=True))).reversed_minor == 200


async def test_wallet_keeps_promotional_and_paid_apart(ledger: LedgerServiceStub) -> None:
    """L6: in every balance; and when the next part expires."""
    customer = Customer()
    soon, later = in_days(1), in_days(2)
    for amount, category, end in (
        (10, PAID, None),
        (20, PROMOTIONAL, later),
        (30, PROMOTIONAL, soon),
        (40, PAID, soon),
    ):
        await ledger.GrantCredits(customer.grant(amount, category=category, expire_time=end))
    await ledger.HoldCredits(customer.hold(35))
    wallet = await ledger.GetWallet(customer.wallet())
    by_category = [
        (each.balance_minor, each.held_minor, each.available_minor) for each in (wallet.promotional, wallet.paid)
    ]
    assert by_category == [(50, 30, 20), (50, 5, 45)]
    assert (wallet.next_expiry.expire_time, wallet.next_expiry.amount_minor) == (soon, 35)


async def test_wallet_of_many_spent_grants_is_read_without_them(
    ledger: LedgerServiceStub, owner_connection: asyncpg.Connection
) -> None:
    customer = Customer()
    for _ in range(30):
        await ledger.GrantCredits(customer.grant(10))
    hold = customer.hold(290)
    await ledger.HoldCredits(hold)
    await ledger.CaptureHold(customer.capture(hold.hold_id, 290))
    (one,) = (await ledger.GetWallet(customer.wallet())).grants
    not_empty = await owner_connection.fetch(
        "SELECT grant_id FROM grants WHERE owner_id = $1 AND empty_since IS NULL", customer.owner_id
    )
    assert [str(row["grant_id"]) for row in not_empty] == [one.grant_id]
