"""ProofService: decode, call, encode."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from quittance.ledger.v1 import proof_pb2, proof_pb2_grpc
from services.ledger.domain.findings import (
    Finding,
    FindingKind,
    StoredFinding,
    VerifiedBook,
    Verifying,
    page_of,
    page_start,
)
from services.ledger.domain.paging import PAGE_SIZE_DEFAULT
from services.ledger.domain.seals import Seal
from services.ledger.domain.trial_balance import TrialBalanceRow, TrialBalanceTotal, require_in_range, totals_of
from services.ledger.store.proof_store import ProofStore

Context = grpc.aio.ServicerContext[Any, Any]

_KINDS = {kind: proof_pb2.FindingKind.Value(f"FINDING_KIND_{kind.name}") for kind in FindingKind}
# Rows in one message; far below gRPC's limit of 4 MiB.
_ROWS_PER_MESSAGE = 1000


class ProofServicer(proof_pb2_grpc.ProofServiceServicer):
    """Handlers of ProofService; their contract is written in the proto."""

    def __init__(self, store: ProofStore) -> None:
        self._store = store

    async def Verify(
        self, request: proof_pb2.VerifyRequest, context: Context
    ) -> AsyncIterator[proof_pb2.VerifyResponse]:
        """Book after book."""
        books = await self._store.books(request.book_ids)
        done, total = 0, sum(next_seq - 1 for next_seq in books.values())
        for book_id in books:
            known = {seal.to_sequence: seal.sha256 for seal in request.known_seals if seal.book_id == book_id}
            async with aclosing(self._store.verify_book(book_id, known)) as events:
                async for event in events:
                    if isinstance(event, Verifying):
                        done += event.transfers
                        progress = proof_pb2.VerifyProgress(transfers_done=done, transfers_total=max(total, done))
                        yield proof_pb2.VerifyResponse(progress=progress)
                    elif isinstance(event, Finding):
                        yield proof_pb2.VerifyResponse(finding=_finding(event))
                    else:
                        yield proof_pb2.VerifyResponse(book=_book(event))

    async def ListFindings(
        self, request: proof_pb2.ListFindingsRequest, context: Context
    ) -> proof_pb2.ListFindingsResponse:
        """A read of one finding more than the page has, to know whether there is a next page."""
        size = request.page_size or PAGE_SIZE_DEFAULT
        begin = page_start(request.page_token, request.only_open)
        found = await self._store.list_findings(begin, request.only_open, size + 1)
        page, next_page_token = page_of(found, size, request.only_open)
        return proof_pb2.ListFindingsResponse(
            findings=[_stored_finding(stored) for stored in page], next_page_token=next_page_token
        )

    async def TrialBalance(
        self, request: proof_pb2.TrialBalanceRequest, context: Context
    ) -> AsyncIterator[proof_pb2.TrialBalanceResponse]:
        """One read, in several messages; the totals come last."""
        rows = await self._store.trial_balance(request.currency, request.account)
        totals = totals_of(rows)
        require_in_range(rows, totals)
        for begin in range(0, len(rows), _ROWS_PER_MESSAGE):
            yield proof_pb2.TrialBalanceResponse(rows=_rows(rows[begin : begin + _ROWS_PER_MESSAGE]))
        yield proof_pb2.TrialBalanceResponse(totals=_totals(totals))


def _finding(finding: Finding) -> proof_pb2.Finding:
    return proof_pb2.Finding(
        kind=_KINDS[finding.kind],
        book_id=finding.book_id,
        subject=finding.subject,
        expected=finding.expected,
        found=finding.found,
    )


def _stored_finding(stored: StoredFinding) -> proof_pb2.Finding:
    message = _finding(stored.finding)
    message.first_seen_time.FromDatetime(stored.first_seen_at)
    message.last_seen_time.FromDatetime(stored.last_seen_at)
    return message


def _book(book: VerifiedBook) -> proof_pb2.VerifiedBook:
    return proof_pb2.VerifiedBook(
        book_id=book.book_id,
        transfers=book.transfers,
        accounts=book.accounts,
        findings=book.findings,
        findings_left_out=book.findings_left_out,
        newest_seal=_seal(book.newest_seal) if book.newest_seal is not None else None,
    )


def _seal(seal: Seal) -> proof_pb2.SealReference:
    return proof_pb2.SealReference(book_id=seal.book_id, to_sequence=seal.to_seq, sha256=seal.sha256)


def _rows(rows: Sequence[TrialBalanceRow]) -> list[proof_pb2.TrialBalanceRow]:
    return [proof_pb2.TrialBalanceRow(**row._asdict()) for row in rows]


def _totals(totals: Iterable[TrialBalanceTotal]) -> list[proof_pb2.TrialBalanceTotal]:
    return [proof_pb2.TrialBalanceTotal(**total._asdict()) for total in totals]
