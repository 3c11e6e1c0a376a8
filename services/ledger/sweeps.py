"""What the ledger's process does by itself about time: it ends holds and grants whose expiry has come."""

from itertools import groupby

import structlog
from prometheus_client import Counter

from services.ledger.domain.commands import AnyCommand, AnyResult, ExpireHold
from services.ledger.domain.results import Expired
from services.ledger.store.ledger_store import LedgerStore
from services.runtime.errors import ServiceError
from services.runtime.group_commit import GroupCommit

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_EXPIRED = Counter("quittance_ledger_expired_total", "Holds and grants ended by their expiry.", ["what"])

# Of each book in one go. As many again follow at once when there are more.
SWEEP_COMMANDS_MAX = 200


class Sweeper:
    """Safe on several replicas: what two of them find is written by one, since each looks again under the lock."""

    def __init__(self, store: LedgerStore, group: GroupCommit[AnyCommand, AnyResult]) -> None:
        self._store = store
        self._group = group

    async def sweep(self) -> None:
        """Ends everything whose time has come; stops when a round ended nothing."""
        while await self._sweep_once():
            pass

    async def _sweep_once(self) -> int:
        found = await self._store.find_expired(SWEEP_COMMANDS_MAX)
        count = 0
        # Book by book: nobody else's transaction waits for more than one of them.
        for _, commands in groupby(found, key=lambda command: command.book_id):
            count += await self._expire(list(commands))
        return count

    async def _expire(self, commands: list[AnyCommand]) -> int:
        """Hands in the commands of one book; answers how many took effect."""
        count = 0
        for command, outcome in zip(commands, await self._group.submit_many(commands), strict=True):
            if isinstance(outcome, ServiceError):
                _log.error("expiry_refused", reason=outcome.reason, **outcome.metadata)
            elif isinstance(outcome, Expired) and outcome.amount_minor is not None:
                count += 1
                _EXPIRED.labels("hold" if isinstance(command, ExpireHold) else "grant").inc()
        return count
