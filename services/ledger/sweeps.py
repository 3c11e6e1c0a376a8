"""What the ledger's process does by itself about time: it ends holds and grants whose expiry has come."""

import time
from collections.abc import Sequence
from itertools import groupby

import structlog
from prometheus_client import Counter, Gauge

from services.ledger.domain.commands import AnyCommand, AnyResult
from services.ledger.domain.results import Expired
from services.ledger.store.expiring import Due, Expiring, Place
from services.ledger.store.ledger_store import LedgerStore
from services.runtime.errors import DeadlineExceeded, ServiceError, Unavailable
from services.runtime.group_commit import GroupCommit

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_EXPIRED = Counter("quittance_ledger_expired_total", "Holds and grants ended by their expiry.", ["what"])
_REFUSED = Counter("quittance_ledger_expiries_refused_total", "Expiries that could not be written.", ["reason"])
_STUCK = Gauge("quittance_ledger_expiries_stuck", "Expiries refused so far that are tried again later.")

# Of each book in one go. As many again follow at once when there are more.
SWEEP_COMMANDS_MAX = 200
# What was refused is left alone for so long: it is refused for a reason that somebody has to remove.
RETRY_REFUSED_S = 60.0
# Remembered at most; what is beyond is tried, and refused, at every sweep.
REFUSED_MAX = 100_000


class Sweeper:
    """Safe on several replicas: what two of them find is written by one, since each looks again under the lock.

    What is refused does not keep the rest from being ended: a sweep goes from place to place in the order of expiry.
    retry_refused_s: how long what was refused is left alone.
    """

    def __init__(
        self,
        store: LedgerStore,
        group: GroupCommit[AnyCommand, AnyResult],
        *,
        retry_refused_s: float = RETRY_REFUSED_S,
    ) -> None:
        self._store = store
        self._group = group
        self._retry_refused_s = retry_refused_s
        # When each is tried again; the oldest first.
        self._refused: dict[Place, float] = {}

    async def sweep(self) -> None:
        """Ends everything whose time has come. Raises DATABASE_UNAVAILABLE."""
        self._forget_refused()
        for what in Expiring:
            places = self._store.first_places(what)
            while places:
                places = await self._sweep_from(what, places)
        _STUCK.set(len(self._refused))

    async def _sweep_from(self, what: Expiring, places: Sequence[Place]) -> list[Place]:
        """Ends what comes next behind these places, one in each book; answers where to go on."""
        found = await self._store.find_due(what, places, SWEEP_COMMANDS_MAX)
        last = []
        # Book by book: nobody else's transaction waits for more than one of them.
        for _, of_book in groupby(found, key=lambda due: due.place.book_id):
            due = list(of_book)
            last.append(due[-1].place)
            await self._expire(what, [each for each in due if each.place not in self._refused])
        return last

    async def _expire(self, what: Expiring, due: Sequence[Due]) -> None:
        """Hands in the commands of one book."""
        outcomes = await self._group.submit_many([each.command for each in due]) if due else ()
        for each, outcome in zip(due, outcomes, strict=True):
            if isinstance(outcome, Unavailable | DeadlineExceeded):
                raise outcome
            if isinstance(outcome, ServiceError):
                self._note_refused(what, each, outcome)
            elif isinstance(outcome, Expired) and outcome.amount_minor is not None:
                _EXPIRED.labels(what.value).inc()

    def _note_refused(self, what: Expiring, due: Due, refusal: ServiceError) -> None:
        if len(self._refused) < REFUSED_MAX:
            self._refused[due.place] = time.monotonic() + self._retry_refused_s
        _REFUSED.labels(refusal.reason).inc()
        book_id, _, expiring_id = due.place
        _log.error(
            "expiry_refused",
            what=what.value,
            book_id=book_id,
            id=str(expiring_id),
            reason=refusal.reason,
            **refusal.metadata,
        )

    def _forget_refused(self) -> None:
        now = time.monotonic()
        self._refused = {place: until for place, until in self._refused.items() if until > now}
