"""RefundCredits through the API."""

import asyncio

import asyncpg
import grpc
import pytest

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.runtime.grpc_errors import refusal_of
from services.runtime.ids import new_id
from tests.ledger.aging import age_grant
from tests.ledger.requests import PAID, Customer, grant, in_days, refused
from tests.ledger.soundness import assert_ledger_sound


async def spent(ledger: LedgerServiceStub, customer: Customer, amount_minor: int) -> str:
    """A hold of as much, captured; its id."""
    hold = customer.hold(amount_minor)
    await ledger.HoldCredits(hold)
    await ledger.CaptureHold(customer.capture(hold.hold_id, amount_minor))
    return hold.hold_id


async def test_refund_gives_credits_back_to_their_grants_last_burned_first(ledger: LedgerServiceStub) -> None:
    """L6: several partial refunds, together as much as was spent."""
    customer = Customer()
    first, second, third = [
        (await ledger.GrantCredits(customer.grant(100, priority=priority))).grant.grant_id for priority in (0, 1, 2)
    ]
    hold_id = await spent(ledger, customer, 250)
    parts = []
    for amount in (30, 100, 120):
        refund = (await ledger.RefundCredits(customer.refund(hold_id, amount))).refund
        assert (refund.hold_id, refund.amount_minor) == (hold_id, amount)
        assert all(part.returned_to_grant_id == part.grant_id for part in refund.parts)
        parts.append([(part.grant_id, part.amount_minor) for part in refund.parts])
    assert parts == [[(third, 30)], [(third, 20), (second, 80)], [(second, 20), (first, 100)]]
    wallet = await ledger.GetWallet(customer.wallet())
    assert [one.balance_minor for one in wallet.grants] == [100, 100, 100]


async def test_refund_of_more_than_was_captured_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    hold_id = await spent(ledger, customer, 80)
    await ledger.RefundCredits(customer.refund(hold_id, 50))
    refusal = await refused(ledger.RefundCredits(customer.refund(hold_id, 31)))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REFUND_EXCEEDS_CAPTURE")
    amounts = {"captured_minor": "80", "refunded_minor": "50", "amount_minor": "31"}
    assert refusal.metadata == {"hold_id": hold_id, **amounts}


async def test_refund_again_gets_the_first_answer_and_otherwise_names_the_field(ledger: LedgerServiceStub) -> None:
    """K-1, K-2, K-3."""
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    hold_id, other_id = await spent(ledger, customer, 40), await spent(ledger, customer, 60)
    request = customer.refund(hold_id, 30)
    first = await ledger.RefundCredits(request)
    await ledger.RefundCredits(customer.refund(hold_id, 10))
    assert await ledger.RefundCredits(request) == first
    others = {
        "hold_id": other_id,
        "amount_minor": 20,
        "refund_grace_days": 5,
        "reason": "test.other",
        "currency": "USD",
    }
    for field, value in others.items():
        values = {"hold_id": hold_id, "amount_minor": 30, "refund_id": request.refund_id, field: value}
        refusal = await refused(ledger.RefundCredits(customer.refund(**values)))
        assert (refusal.status, refusal.reason) == (
            grpc.StatusCode.ALREADY_EXISTS,
            "REFUND_EXISTS_WITH_DIFFERENT_FIELD",
        )
        assert refusal.metadata == {"refund_id": request.refund_id, "field": field}
    assert (await ledger.GetWallet(customer.wallet())).balance_minor == 40


async def test_refund_of_a_hold_that_spent_nothing_is_refused(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    await ledger.GrantCredits(customer.grant(100))
    held, released, never_made = (customer.hold(40).hold_id for _ in range(3))
    for hold_id in (held, released):
        await ledger.HoldCredits(customer.hold(40, hold_id=hold_id))
    for hold_id in (released, never_made):
        await ledger.ReleaseHold(customer.release(hold_id))
    for hold_id, state in ((held, "held"), (released, "released"), (never_made, "released")):
        refusal = await refused(ledger.RefundCredits(customer.refund(hold_id, 1)))
        assert (refusal.status, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOLD_NOT_CAPTURED")
        assert refusal.metadata == {"hold_id": hold_id, "state": state}
    refusal = await refused(ledger.RefundCredits(customer.refund(str(new_id()), 1)))
    assert refusal.reason == "HOLD_NOT_FOUND"
    given = (await ledger.GrantCredits(customer.grant())).grant
    refusal = await refused(ledger.RefundCredits(customer.refund(given.grant_id, 1)))
    assert (refusal.reason, refusal.metadata["field"]) == ("HOLD_EXISTS_WITH_DIFFERENT_FIELD", "kind")


@pytest.mark.parametrize("days", [0, 7])
async def test_refund_to_an_expired_grant_opens_one_in_its_place(
    ledger: LedgerServiceStub, owner_connection: asyncpg.Connection, days: int
) -> None:
    """Design, section 5: the customer gets a grace of so many days, 30 unless told."""
    customer = Customer()
    expired = (await ledger.GrantCredits(customer.grant(100, category=PAID, priority=4))).grant
    kept = (await ledger.GrantCredits(customer.grant(50, priority=9))).grant
    hold_id = await spent(ledger, customer, 150)
    await age_grant(owner_connection, expired.grant_id)
    refund = (await ledger.RefundCredits(customer.refund(hold_id, 120, refund_grace_days=days))).refund
    to_kept, to_sibling = refund.parts
    assert (to_kept.returned_to_grant_id, to_kept.amount_minor) == (kept.grant_id, 50)
    assert (to_sibling.grant_id, to_sibling.amount_minor) == (expired.grant_id, 70)
    sibling, _ = (await ledger.GetWallet(customer.wallet())).grants
    assert sibling.grant_id == to_sibling.returned_to_grant_id != expired.grant_id
    assert (sibling.category, sibling.priority, sibling.balance_minor) == (PAID, 4, 70)
    lives_s = sibling.expire_time.ToSeconds() - refund.create_time.ToSeconds()
    assert lives_s == (days or 30) * 86_400
    assert sibling.source_account == "revenue"
    again = await ledger.RefundCredits(customer.refund(hold_id, 30, refund_grace_days=days))
    assert again.refund.parts[0].returned_to_grant_id not in ("", sibling.grant_id, expired.grant_id)


async def test_refund_to_a_revoked_grant_goes_on_to_its_source(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    source = f"campaign:{customer.owner_id}"
    given = (await ledger.GrantCredits(customer.grant(100, source_account=source))).grant
    hold_id = await spent(ledger, customer, 60)
    await ledger.RevokeGrant(customer.revoke(given.grant_id, allow_partial=True))
    (part,) = (await ledger.RefundCredits(customer.refund(hold_id, 60))).refund.parts
    assert (part.grant_id, part.returned_to_grant_id) == (given.grant_id, "")
    assert (await ledger.GetWallet(customer.wallet())).balance_minor == 0
    newest = (await ledger.ListTransfers(customer.transfers(account=source, page_size=1))).transfers[0]
    assert (newest.kind, newest.credit_posted_minor) == (ledger_pb2.TRANSFER_KIND_REVERSAL, 0)


async def test_refunds_at_once_never_give_back_more_than_was_captured(
    ledger: LedgerServiceStub, second_ledger: LedgerServiceStub, owner_connection: asyncpg.Connection
) -> None:
    """Each request twice, on two servers: 30 refunds of 7 race for 100."""
    customer = Customer()
    await ledger.GrantCredits(customer.grant(60))
    born = customer.hold(100, born_held_grants=[grant(40, expire_time=in_days(1))])
    await ledger.HoldCredits(born)
    await ledger.CaptureHold(customer.capture(born.hold_id, 100))
    requests = [customer.refund(born.hold_id, 7) for _ in range(30)]
    calls = [server.RefundCredits(request) for request in requests for server in (ledger, second_ledger)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refusals = {refusal_of(each).reason for each in answers if isinstance(each, grpc.aio.AioRpcError)}
    assert refusals == {"REFUND_EXCEEDS_CAPTURE"}
    refunds = {each.refund.refund_id for each in answers if isinstance(each, ledger_pb2.RefundCreditsResponse)}
    assert len(refunds) == 14
    assert (await ledger.GetWallet(customer.wallet())).balance_minor == 98
    await assert_ledger_sound(owner_connection)
