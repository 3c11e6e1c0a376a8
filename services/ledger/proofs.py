"""What the ledger's process does by itself to stay provable: it seals finished ranges and verifies books in turn."""

from datetime import timedelta

import structlog
from prometheus_client import Counter

from services.ledger.store.proof_store import ProofStore, RangeIncomplete

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_FINDINGS = Counter("quittance_ledger_findings_total", "Findings nobody had seen before.", ["kind"])
_SEALS = Counter("quittance_ledger_seals_total", "Ranges of transfers handed in to be sealed.")


class Proofs:
    """Safe on several replicas: a range is sealed once, a book is verified by one of them.

    seal_transfers_max: transfers under one seal at most. verify_interval: between two verifications of a book.
    """

    def __init__(self, store: ProofStore, seal_transfers_max: int, verify_interval: timedelta) -> None:
        self._store = store
        self._seal_transfers_max = seal_transfers_max
        self._verify_interval = verify_interval

    async def seal(self) -> None:
        """Seals everything that is finished, book by book."""
        for book_id in await self._store.books():
            try:
                while await self._store.seal_next(book_id, self._seal_transfers_max):
                    _SEALS.inc()
            except RangeIncomplete as error:
                # The other books are sealed all the same; verification names the gap.
                _log.error("range_not_sealed", book_id=book_id, problem=str(error))

    async def verify(self) -> None:
        """Verifies the books that are due."""
        for book_id in await self._store.due_books(self._verify_interval):
            verified = await self._store.verify_due_book(book_id, self._verify_interval)
            if verified is None:
                continue
            result, new_findings = verified
            for finding in new_findings:
                _FINDINGS.labels(finding.kind.value).inc()
                _log.error(
                    "ledger_finding",
                    kind=finding.kind.value,
                    book_id=finding.book_id,
                    subject=finding.subject,
                    expected=finding.expected,
                    found=finding.found,
                )
            _log.info("book_verified", book_id=book_id, transfers=result.transfers, findings=result.findings)
