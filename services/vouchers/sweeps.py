"""What the vouchers' process does by itself about time: it ends reservations that nobody has ended."""

import structlog
from prometheus_client import Counter

from services.runtime.errors import ServiceError
from services.runtime.group_commit import GroupCommit
from services.vouchers.domain.commands import AnyCommand, AnyResult
from services.vouchers.domain.redemptions import RolledBack
from services.vouchers.store.vouchers_store import VouchersStore

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_EXPIRED = Counter("quittance_vouchers_expired_total", "Reservations ended by their expiry.")

# In one go. As many again follow at once when there are more.
SWEEP_COMMANDS_MAX = 200


class Sweeper:
    """Safe on several replicas: what two of them find is ended by one, since each looks again under the lock."""

    def __init__(self, store: VouchersStore, group: GroupCommit[AnyCommand, AnyResult]) -> None:
        self._store = store
        self._group = group

    async def sweep(self) -> None:
        """Ends every reservation whose time has come; stops when a round ended nothing."""
        while await self._sweep_once():
            pass

    async def _sweep_once(self) -> int:
        commands: list[AnyCommand] = [*await self._store.find_due(SWEEP_COMMANDS_MAX)]
        count = 0
        for command, outcome in zip(commands, await self._group.submit_many(commands), strict=True):
            if isinstance(outcome, ServiceError):
                _log.error("expiry_refused", reason=outcome.reason, **outcome.metadata)
            elif isinstance(outcome, RolledBack) and outcome.uses_returned:
                count += 1
                _EXPIRED.inc()
                _log.info("reservation_expired", redemption_id=str(command.redemptions[0].redemption_id))
        return count
