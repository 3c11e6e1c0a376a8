"""The seals of one book compared with its transfers, one another, and seals that were kept outside the database."""

from collections import deque
from collections.abc import Iterable, Mapping

from services.ledger.domain.findings import Finding, FindingKind
from services.ledger.domain.seals import FIRST_PREVIOUS, Seal, SealHash, StoredTransfer
from services.runtime.findings import Collector


class SealWalk:
    """Expect seals before the transfers that they cover, feed transfers in order, then finish.

    known: hashes of seals that were kept outside, by the sequence that they reach to.
    """

    def __init__(self, collector: Collector[FindingKind, Finding], known: Mapping[int, bytes]) -> None:
        self._collector = collector
        self._known = dict(known)
        self._waiting: deque[Seal] = deque()
        self._open: tuple[Seal, SealHash] | None = None
        self._next_from = 1
        self._previous = FIRST_PREVIOUS
        self.newest: Seal | None = None

    def expect(self, seals: Iterable[Seal]) -> None:
        """The next seals, by the sequence that they begin at."""
        for seal in seals:
            self._check_chain(seal)
            self._check_known(seal)
            self._waiting.append(seal)
            self.newest = seal

    def feed(self, transfers: Iterable[StoredTransfer]) -> None:
        """The next transfers."""
        for transfer in transfers:
            while self._is_behind(transfer.seq):
                self._next_seal()
            if self._open is not None and self._open[0].from_seq <= transfer.seq:
                self._open[1].add(transfer)

    def finish(self) -> None:
        """After the last transfer and the last seal."""
        while self._open is not None or self._waiting:
            self._next_seal()
        for to_seq, sha256 in sorted(self._known.items()):
            self._collector.add(FindingKind.KNOWN_SEAL_DIFFERS, f"seal up to {to_seq}", sha256.hex(), "no such seal")

    def _is_behind(self, seq: int) -> bool:
        """Whether the seal that covers this transfer, if there is one, is still to be opened."""
        return bool(self._waiting) if self._open is None else self._open[0].to_seq < seq

    def _next_seal(self) -> None:
        if self._open is not None:
            seal, sealing = self._open
            if sealing.digest() != seal.sha256:
                self._collector.add(FindingKind.SEAL_DIFFERS, _name(seal), seal.sha256.hex(), sealing.digest().hex())
        self._open = None
        if self._waiting:
            seal = self._waiting.popleft()
            self._open = (seal, SealHash(seal.book_id, seal.from_seq, seal.to_seq, seal.previous_sha256))

    def _check_chain(self, seal: Seal) -> None:
        if seal.from_seq != self._next_from:
            self._collector.add(FindingKind.SEAL_CHAIN_BROKEN, f"{_name(seal)}, begin", self._next_from, seal.from_seq)
        if seal.previous_sha256 != self._previous:
            self._collector.add(
                FindingKind.SEAL_CHAIN_BROKEN,
                f"{_name(seal)}, seal before it",
                self._previous.hex(),
                seal.previous_sha256.hex(),
            )
        self._next_from = seal.to_seq + 1
        self._previous = seal.sha256

    def _check_known(self, seal: Seal) -> None:
        known = self._known.pop(seal.to_seq, None)
        if known is not None and known != seal.sha256:
            self._collector.add(
                FindingKind.KNOWN_SEAL_DIFFERS, f"seal up to {seal.to_seq}", known.hex(), seal.sha256.hex()
            )


def _name(seal: Seal) -> str:
    return f"seal {seal.from_seq} to {seal.to_seq}"
