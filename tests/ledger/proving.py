"""A ledger to be tampered with: databases of their own, and what a verification says about them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import grpc

from quittance.ledger.v1 import ledger_pb2, proof_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from quittance.ledger.v1.proof_pb2_grpc import ProofServiceStub
from services.ledger.main import LedgerSettings, serving
from services.ledger.proofs import Proofs
from services.ledger.store.proof_store import ProofStore
from services.runtime.database import open_pool
from services.runtime.ids import new_id
from tests.ledger.aging import AGED
from tests.ledger.requests import Customer, grant, in_days, post

DAY_S = 86_400


@dataclass(frozen=True)
class Served:
    """Clients of one server."""

    address: str
    ledger: LedgerServiceStub
    proof: ProofServiceStub


@asynccontextmanager
async def served(database_url: str, **settings: object) -> AsyncIterator[Served]:
    """A server on this database; by itself it neither seals nor verifies, unless the settings say so."""
    values = {"seal_interval_s": 0, "verify_interval_s": 0, "books": 2, "log_level": "WARNING", **settings}
    async with (
        serving(LedgerSettings(database_url=database_url, address="127.0.0.1:0", **values)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield Served(server.address, LedgerServiceStub(channel), ProofServiceStub(channel))


@dataclass
class Report:
    """What one verification said."""

    findings: list[proof_pb2.Finding]
    books: dict[int, proof_pb2.VerifiedBook]
    progress: list[proof_pb2.VerifyProgress]

    @property
    def kinds(self) -> set[str]:
        return {proof_pb2.FindingKind.Name(finding.kind).removeprefix("FINDING_KIND_") for finding in self.findings}

    def subjects(self, kind: str) -> list[str]:
        wanted = proof_pb2.FindingKind.Value(f"FINDING_KIND_{kind}")
        return [finding.subject for finding in self.findings if finding.kind == wanted]


async def verify(proof: ProofServiceStub, known: Sequence[proof_pb2.SealReference] = ()) -> Report:
    """Verifies all books."""
    report = Report([], {}, [])
    async for response in proof.Verify(proof_pb2.VerifyRequest(known_seals=known)):
        if response.HasField("finding"):
            report.findings.append(response.finding)
        elif response.HasField("book"):
            report.books[response.book.book_id] = response.book
        else:
            report.progress.append(response.progress)
    return report


async def assert_nothing_found(database_url: str, book_count: int) -> None:
    """Fails with what a verification of the whole ledger finds, after sealing all of it."""
    async with (
        served(database_url, books=book_count) as server,
        open_pool(LedgerSettings(database_url=database_url), "tests") as pool,
    ):
        await Proofs(ProofStore(pool, book_count), 1000, timedelta(days=1)).seal()
        report = await verify(server.proof)
    findings = [finding for finding in report.findings if finding.subject not in AGED]
    assert not findings, "\n".join(map(str, findings))


async def tell_story(ledger: LedgerServiceStub, owner_id: UUID | None = None) -> Customer:
    """Something of every kind for one customer, all in the customer's book."""
    customer = Customer()
    if owner_id is not None:
        customer.owner_id = str(owner_id)
    await ledger.PostTransactions(
        post(*(customer.transaction(("clearing:card", "revenue", 100 + number)) for number in range(10)))
    )
    await post_all_kinds(ledger, customer)
    await ledger.GrantCredits(customer.grant(1000, category=ledger_pb2.CREDIT_CATEGORY_PAID))
    revoked = customer.grant(300)
    await ledger.GrantCredits(revoked)
    await ledger.RevokeGrant(customer.revoke(revoked.grant.grant_id))
    captured, released = customer.hold(400), customer.hold(50, born_held_grants=[grant(20)])
    for hold in (captured, released):
        await ledger.HoldCredits(hold)
    await ledger.CaptureHold(customer.capture(captured.hold_id, 250))
    await ledger.ReleaseHold(customer.release(released.hold_id))
    await ledger.HoldCredits(customer.hold(100))
    await ledger.RefundCredits(
        ledger_pb2.RefundCreditsRequest(
            refund_id=str(new_id()),
            hold_id=captured.hold_id,
            owner_id=customer.owner_id,
            currency=customer.currency,
            amount_minor=80,
            reason="test.refund",
        )
    )
    return customer


async def post_all_kinds(ledger: LedgerServiceStub, customer: Customer) -> None:
    """Metadata; a hold captured in part, another one in full, both before they expire; and a reversal."""
    posted = customer.transaction(("clearing:card", "revenue", 120))
    holds = customer.transaction(("clearing:card", "revenue", 500), ("clearing:card", "revenue", 40))
    for transfer in holds.transfers:
        transfer.kind = ledger_pb2.TRANSFER_KIND_HOLD
        transfer.expire_time.CopyFrom(in_days(1))
    posted.metadata["order_id"] = customer.owner_id
    ends = [
        (ledger_pb2.TRANSFER_KIND_CAPTURE, 300, holds.transaction_id, 0),
        (ledger_pb2.TRANSFER_KIND_CAPTURE, 40, holds.transaction_id, 1),
        (ledger_pb2.TRANSFER_KIND_REVERSAL, 115, posted.transaction_id, 0),
    ]
    end = customer.transaction()
    end.transfers.extend(
        ledger_pb2.TransferRequest(kind=kind, amount_minor=amount, target_transaction_id=target, target_index=index)
        for kind, amount, target, index in ends
    )
    response = await ledger.PostTransactions(post(posted, holds, end))
    assert [result.refusal.reason for result in response.results] == ["", "", ""]


async def tell_of_ends(ledger: LedgerServiceStub) -> Customer:
    """One customer's grants and holds that end in all ways there are; the server has to sweep."""
    customer = Customer()
    hold = customer.transaction(("clearing:card", "revenue", 25))
    hold.transfers[0].kind = ledger_pb2.TRANSFER_KIND_HOLD
    hold.transfers[0].expire_time.CopyFrom(in_days(1.0 / DAY_S))
    await ledger.PostTransactions(post(hold))
    # Burned first, since it expires, and swept after the hold.
    await ledger.GrantCredits(customer.grant(100, expire_time=in_days(1.5 / DAY_S)))
    lasting = customer.grant(200)
    await ledger.GrantCredits(lasting)
    captured, freed = customer.hold(60), customer.hold(10)
    await ledger.HoldCredits(captured)
    await ledger.CaptureHold(customer.capture(captured.hold_id, 40))
    await ledger.HoldCredits(freed)
    async with asyncio.timeout(30):
        while (await ledger.GetWallet(customer.wallet())).balance_minor != 210:
            await asyncio.sleep(0.05)
    # Into a grant in place of the expired one, and to breakage at once.
    await ledger.RefundCredits(customer.refund(captured.hold_id, 15))
    await ledger.ReleaseHold(customer.release(freed.hold_id))
    await revoke_partly(ledger, customer, lasting.grant.grant_id)
    undone = customer.hold(0, born_held_grants=[grant(20)])
    await ledger.HoldCredits(undone)
    await ledger.ReleaseHold(customer.release(undone.hold_id, reverse=True))
    return customer


async def revoke_partly(ledger: LedgerServiceStub, customer: Customer, grant_id: str) -> None:
    """While part of it is held and part spent; what is refunded or freed later goes on to where it came from."""
    spent, held, freed = customer.hold(45), customer.hold(20), customer.hold(5)
    for hold in (spent, held, freed):
        await ledger.HoldCredits(hold)
    await ledger.CaptureHold(customer.capture(spent.hold_id, 45))
    revoked = await ledger.RevokeGrant(customer.revoke(grant_id, allow_partial=True))
    assert revoked.held_minor == 25
    await ledger.RefundCredits(customer.refund(spent.hold_id, 12))
    await ledger.ReleaseHold(customer.release(freed.hold_id))
