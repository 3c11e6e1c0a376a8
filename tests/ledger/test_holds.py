"""HoldCredits, CaptureHold and ReleaseHold through the API."""

import asyncpg
import grpc
import pytest

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.runtime.ids import new_id
from tests.ledger.aging import age_hold
from tests.ledger.requests import PAID, PROMOTIONAL, Customer, grant, in_days, refused


async def balances(ledger: LedgerServiceStub, customer: Customer) -> tuple[int, int, int]:
    """Balance, held, available."""
    wallet = await ledger.GetWallet(customer.wallet())
    return wallet.balance_minor, wallet.held_minor, wallet.available_minor


async def test_hold_takes_grants_in_burn_order_up_to_its_target(ledger: LedgerServiceStub) -> None:
    """L4, L6."""
    customer = Customer()
    paid = (await ledger.GrantCredits(customer.grant(100, category=PAID))).grant
    promotional = (await ledger.GrantCredits(customer.grant(100, category=PROMOTIONAL))).grant
    first = (await ledger.GrantCredits(customer.grant(100, expire_time=in_days(1)))).grant
    hold = (await ledger.HoldCredits(customer.hold(250))).hold
    assert (hold.state, hold.held_minor, hold.captured_minor) == (ledger_pb2.HOLD_STATE_HELD, 250, 0)
    assert [(part.grant_id, part.held_minor) for part in hold.parts] == [
        (first.grant_id, 100),
        (promotional.grant_id, 100),
        (paid.grant_id, 50),
    ]
    assert await balances(ledger, customer) == (300, 250, 50)


async def test_hold_of_more_than_the_wallet_has_takes_what_is_there(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    assert (await ledger.HoldCredits(customer.hold(250))).hold.held_minor == 100
    assert (await ledger.HoldCredits(customer.hold(250))).hold.held_minor == 0
    assert await balances(ledger, customer) == (100, 100, 0)


async def test_hold_of_nothing_leaves_its_row(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    request = customer.hold(0)
    first = await ledger.HoldCredits(request)
    assert (first.hold.held_minor, list(first.hold.parts)) == (0, [])
    assert await ledger.HoldCredits(request) == first
    assert (await ledger.ReleaseHold(customer.release(request.hold_id))).released_minor == 0


async def test_hold_with_born_held_grants_holds_them_whole_and_the_rest_from_the_wallet(
    ledger: LedgerServiceStub,
) -> None:
    customer = Customer()
    old = (await ledger.GrantCredits(customer.grant(100, priority=1))).grant
    born = grant(60, priority=5)
    hold = (await ledger.HoldCredits(customer.hold(90, born_held_grants=[born]))).hold
    assert [(part.grant_id, part.held_minor, part.born_held) for part in hold.parts] == [
        (old.grant_id, 30, False),
        (born.grant_id, 60, True),
    ]
    assert await balances(ledger, customer) == (160, 90, 70)


async def test_hold_with_born_held_grants_above_its_target_holds_them_all(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    born = [grant(60), grant(30, category=PAID)]
    hold = (await ledger.HoldCredits(customer.hold(10, born_held_grants=born))).hold
    assert hold.held_minor == 90
    assert await balances(ledger, customer) == (190, 90, 100)


async def test_hold_again_gets_the_first_answer_also_when_it_is_captured(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    request = customer.hold(90, born_held_grants=[grant(60)])
    first = await ledger.HoldCredits(request)
    assert await ledger.HoldCredits(request) == first
    await ledger.CaptureHold(customer.capture(request.hold_id, 90))
    assert await ledger.HoldCredits(request) == first
    assert await balances(ledger, customer) == (70, 0, 70)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target_minor", 91),
        ("credit_account", "revenue:other"),
        ("reason", "test.other"),
        ("currency", "USD"),
        ("expire_time", in_days(5)),
        ("born_held_grants", [grant(60)]),
    ],
)
async def test_hold_of_a_known_id_with_another_field_is_refused_by_its_name(
    ledger: LedgerServiceStub, field: str, value: object
) -> None:
    customer = Customer()
    request = customer.hold(90)
    await ledger.HoldCredits(request)
    changed = customer.hold(
        **{"target_minor": 90, "hold_id": request.hold_id, "expire_time": request.expire_time, field: value}
    )
    refusal = await refused(ledger.HoldCredits(changed))
    assert refusal.status is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.reason == "HOLD_EXISTS_WITH_DIFFERENT_FIELD"
    assert refusal.metadata == {"hold_id": request.hold_id, "field": field}


async def test_hold_with_a_known_grant_id_is_refused_whole(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    known = grant(100)
    await ledger.GrantCredits(customer.grant(100, grant_id=known.grant_id))
    refusal = await refused(ledger.HoldCredits(customer.hold(50, born_held_grants=[grant(5), known])))
    assert (refusal.reason, refusal.metadata["grant_id"]) == ("GRANT_EXISTS_WITH_DIFFERENT_FIELD", known.grant_id)
    twice = grant(7)
    refusal = await refused(ledger.HoldCredits(customer.hold(50, born_held_grants=[twice, twice])))
    assert refusal.reason == "GRANT_EXISTS_WITH_DIFFERENT_FIELD"
    assert await balances(ledger, customer) == (100, 0, 100)


async def test_hold_with_a_revoked_grant_id_is_refused_whole(ledger: LedgerServiceStub) -> None:
    """V4: the undo of the redemption arrived first."""
    customer = Customer()
    undone = grant(100)
    await ledger.RevokeGrant(customer.revoke(undone.grant_id))
    refusal = await refused(ledger.HoldCredits(customer.hold(50, born_held_grants=[undone])))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GRANT_ALREADY_UNDONE")
    assert await balances(ledger, customer) == (0, 0, 0)


async def test_grant_alone_under_the_id_of_one_born_held_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    born = grant(100)
    await ledger.HoldCredits(customer.hold(born_held_grants=[born]))
    refusal = await refused(ledger.GrantCredits(customer.grant(100, grant_id=born.grant_id)))
    assert (refusal.reason, refusal.metadata["field"]) == ("GRANT_EXISTS_WITH_DIFFERENT_FIELD", "hold_id")


async def test_hold_that_has_expired_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    refusal = await refused(ledger.HoldCredits(customer.hold(expire_time=in_days(-1))))
    assert (refusal.reason, refusal.metadata["field"]) == ("EXPIRE_TIME_PASSED", "expire_time")
    refusal = await refused(ledger.HoldCredits(customer.hold(born_held_grants=[grant(expire_time=in_days(-1))])))
    assert (refusal.reason, refusal.metadata["field"]) == ("EXPIRE_TIME_PASSED", "born_held_grants.expire_time")


async def test_hold_to_a_customers_grant_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    refusal = await refused(ledger.HoldCredits(customer.hold(credit_account=f"grant:{new_id()}")))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ACCOUNT_RESERVED")


async def test_capture_of_less_than_is_held_returns_the_rest(ledger: LedgerServiceStub) -> None:
    """L4: the charge may be less than the reservation; parts are spent in burn order."""
    customer = Customer()
    revenue = f"revenue:{customer.owner_id}"
    for _ in range(3):
        await ledger.GrantCredits(customer.grant(100))
    request = customer.hold(300, credit_account=revenue)
    await ledger.HoldCredits(request)
    hold = (await ledger.CaptureHold(customer.capture(request.hold_id, 120))).hold
    assert (hold.state, hold.held_minor, hold.captured_minor) == (ledger_pb2.HOLD_STATE_CAPTURED, 300, 120)
    assert [part.captured_minor for part in hold.parts] == [100, 20, 0]
    assert await balances(ledger, customer) == (180, 0, 180)
    newest = (await ledger.ListTransfers(customer.transfers(account=revenue, page_size=1))).transfers[0]
    assert newest.credit_posted_minor == 120


async def test_capture_of_nothing_is_refused(ledger: LedgerServiceStub) -> None:
    """L-5: a captured hold has spent something; who spends nothing releases it."""
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    request = customer.hold(80)
    await ledger.HoldCredits(request)
    refusal = await refused(ledger.CaptureHold(customer.capture(request.hold_id, 0)))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert await balances(ledger, customer) == (100, 80, 20)


async def test_capture_again_gets_the_first_result(ledger: LedgerServiceStub) -> None:
    """L5."""
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    request = customer.hold(80)
    await ledger.HoldCredits(request)
    first = await ledger.CaptureHold(customer.capture(request.hold_id, 50))
    assert await ledger.CaptureHold(customer.capture(request.hold_id, 50)) == first
    refusal = await refused(ledger.CaptureHold(customer.capture(request.hold_id, 51)))
    assert refusal.status is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.reason == "HOLD_EXISTS_WITH_DIFFERENT_FIELD"
    assert refusal.metadata == {"hold_id": request.hold_id, "field": "amount_minor"}
    assert await balances(ledger, customer) == (50, 0, 50)


async def test_capture_of_more_than_is_held_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    request = customer.hold(80)
    await ledger.HoldCredits(request)
    refusal = await refused(ledger.CaptureHold(customer.capture(request.hold_id, 81)))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CAPTURE_EXCEEDS_HOLD")
    assert refusal.metadata == {"hold_id": request.hold_id, "held_minor": "80", "amount_minor": "81"}
    assert await balances(ledger, customer) == (100, 80, 20)


async def test_capture_of_an_unknown_hold_is_not_found(ledger: LedgerServiceStub) -> None:
    refusal = await refused(ledger.CaptureHold(Customer().capture(str(new_id()), 1)))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "HOLD_NOT_FOUND")


async def test_capture_of_a_released_hold_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    request = customer.hold(80)
    await ledger.HoldCredits(request)
    await ledger.ReleaseHold(customer.release(request.hold_id))
    never_made = str(new_id())
    await ledger.ReleaseHold(customer.release(never_made))
    for hold_id in (request.hold_id, never_made):
        refusal = await refused(ledger.CaptureHold(customer.capture(hold_id, 1)))
        assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOLD_ALREADY_RELEASED")


async def test_capture_after_the_holds_expiry_succeeds_until_it_is_written(
    ledger: LedgerServiceStub, owner_connection: asyncpg.Connection
) -> None:
    """Design, section 5: the clock alone ends nothing."""
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    request = customer.hold(80)
    await ledger.HoldCredits(request)
    await age_hold(owner_connection, request.hold_id)
    hold = (await ledger.CaptureHold(customer.capture(request.hold_id, 80))).hold
    assert hold.state == ledger_pb2.HOLD_STATE_CAPTURED


async def test_release_frees_all_and_keeps_grants_born_held(ledger: LedgerServiceStub) -> None:
    """L4; V1: an abandoned cart keeps the credit."""
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    born = grant(60)
    request = customer.hold(90, born_held_grants=[born])
    await ledger.HoldCredits(request)
    refusal = await refused(ledger.RevokeGrant(customer.revoke(born.grant_id)))
    assert refusal.reason == "GRANT_ALREADY_SPENT"
    released = await ledger.ReleaseHold(customer.release(request.hold_id))
    assert (released.released_minor, released.reversed_minor) == (90, 0)
    assert await balances(ledger, customer) == (160, 0, 160)
    assert (await ledger.RevokeGrant(customer.revoke(born.grant_id))).reversed_minor == 60
    assert await balances(ledger, customer) == (100, 0, 100)


async def test_release_with_reversal_takes_back_what_was_born_held(ledger: LedgerServiceStub) -> None:
    """V3: the grant of this voucher goes back to its source, other credits stay."""
    customer = Customer()
    source = f"campaign:{customer.owner_id}"
    await ledger.GrantCredits(customer.grant(100))
    born = grant(60, source_account=source)
    request = customer.hold(90, born_held_grants=[born])
    await ledger.HoldCredits(request)
    released = await ledger.ReleaseHold(customer.release(request.hold_id, reverse=True))
    assert (released.released_minor, released.reversed_minor) == (90, 60)
    assert await balances(ledger, customer) == (100, 0, 100)
    newest = (await ledger.ListTransfers(customer.transfers(account=source, page_size=1))).transfers[0]
    assert (newest.kind, newest.credit_posted_minor) == (ledger_pb2.TRANSFER_KIND_REVERSAL, 0)
    assert (await ledger.RevokeGrant(customer.revoke(born.grant_id))).reversed_minor == 60
    again = customer.hold(born_held_grants=[born])
    assert (await refused(ledger.HoldCredits(again))).reason == "GRANT_ALREADY_UNDONE"


@pytest.mark.parametrize("reverse", [True, False])
async def test_release_twice_is_once_and_otherwise_refused(ledger: LedgerServiceStub, reverse: bool) -> None:
    """L5."""
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    request = customer.hold(90, born_held_grants=[grant(60)])
    await ledger.HoldCredits(request)
    first = await ledger.ReleaseHold(customer.release(request.hold_id, reverse=reverse))
    before = await balances(ledger, customer)
    assert await ledger.ReleaseHold(customer.release(request.hold_id, reverse=reverse)) == first
    refusal = await refused(ledger.ReleaseHold(customer.release(request.hold_id, reverse=not reverse)))
    assert refusal.reason == "HOLD_EXISTS_WITH_DIFFERENT_FIELD"
    assert refusal.metadata["field"] == "reverse_born_held_grants"
    assert await balances(ledger, customer) == before


async def test_release_of_an_unknown_hold_makes_the_late_hold_refuse(ledger: LedgerServiceStub) -> None:
    """V4: no hanging hold, and none of its grants."""
    customer = Customer()
    request = customer.hold(90, born_held_grants=[grant(60)])
    for reverse in (True, False):
        released = await ledger.ReleaseHold(customer.release(request.hold_id, reverse=reverse))
        assert released == ledger_pb2.ReleaseHoldResponse()
    refusal = await refused(ledger.HoldCredits(request))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOLD_ALREADY_UNDONE")
    assert await balances(ledger, customer) == (0, 0, 0)


async def test_hold_again_after_its_release_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    request = customer.hold(90)
    await ledger.HoldCredits(request)
    await ledger.ReleaseHold(customer.release(request.hold_id))
    assert (await refused(ledger.HoldCredits(request))).reason == "HOLD_ALREADY_UNDONE"


async def test_release_of_a_captured_hold_is_refused(ledger: LedgerServiceStub) -> None:
    """L5."""
    customer = Customer()
    request = customer.hold(90, born_held_grants=[grant(60)])
    await ledger.HoldCredits(request)
    await ledger.CaptureHold(customer.capture(request.hold_id, 60))
    for reverse in (True, False):
        refusal = await refused(ledger.ReleaseHold(customer.release(request.hold_id, reverse=reverse)))
        assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOLD_ALREADY_CAPTURED")


async def test_capture_or_release_that_does_not_match_its_hold_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    request = customer.hold(90)
    await ledger.HoldCredits(request)
    given = (await ledger.GrantCredits(customer.grant())).grant
    refusal = await refused(ledger.ReleaseHold(customer.release(given.grant_id)))
    assert (refusal.reason, refusal.metadata["field"]) == ("HOLD_EXISTS_WITH_DIFFERENT_FIELD", "kind")
    customer.currency = "USD"
    for call in (
        ledger.ReleaseHold(customer.release(request.hold_id)),
        ledger.CaptureHold(customer.capture(request.hold_id, 1)),
    ):
        refusal = await refused(call)
        assert (refusal.reason, refusal.metadata["field"]) == ("HOLD_EXISTS_WITH_DIFFERENT_FIELD", "currency")
