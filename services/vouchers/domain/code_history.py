"""All that happened to a voucher: made, switched, and each redemption's way."""

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.vouchers.domain.campaigns import Campaign
from services.vouchers.domain.code_batches import CodeBatch
from services.vouchers.domain.code_changes import CodeChange
from services.vouchers.domain.redemptions import Redemption
from services.vouchers.domain.vouchers import Voucher


class EventKind(enum.StrEnum):
    """What happened."""

    CREATED = "created"
    DEACTIVATED = "deactivated"
    ACTIVATED = "activated"
    RESERVED = "reserved"
    KEPT = "kept"
    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled_back"
    EXPIRED = "expired"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class VoucherEvent:
    """One thing that happened to a voucher: to a redemption of it, by a switch, or neither when it was made."""

    at: datetime
    kind: EventKind
    redemption_id: UUID | None = None
    change: CodeChange | None = None


@dataclass(frozen=True, slots=True)
class VoucherView:
    """A voucher with where it comes from and what became of it; redemptions newest first.

    changes: None where only more redemptions are asked for.
    """

    voucher: Voucher
    campaign: Campaign
    batch: CodeBatch | None
    redemptions: Sequence[Redemption]
    changes: Sequence[CodeChange] | None

    def events(self, redemptions: Iterable[Redemption]) -> list[VoucherEvent]:
        """What happened to these redemptions and, where it is known, to the voucher itself; newest first."""
        events = [event for redemption in redemptions for event in _way_of(redemption)]
        if self.changes is not None:
            events += _switched(self.changes)
            events.append(VoucherEvent(self.voucher.created_at, EventKind.CREATED))
        return sorted(events, key=lambda event: event.at, reverse=True)


def _way_of(redemption: Redemption) -> Iterator[VoucherEvent]:
    """Last first, because what happened at one moment stays in this order."""
    if redemption.benefit is None:
        return
    moments = (
        (EventKind.RESTORED, redemption.restored_at),
        (EventKind.EXPIRED, redemption.expired_at),
        (EventKind.ROLLED_BACK, redemption.rolled_back_at),
        (EventKind.CONFIRMED, redemption.confirmed_at),
        (EventKind.KEPT, redemption.kept_at),
        (EventKind.RESERVED, redemption.created_at),
    )
    for kind, at in moments:
        if at is not None:
            yield VoucherEvent(at, kind, redemption_id=redemption.redemption_id)


def _switched(changes: Iterable[CodeChange]) -> Iterator[VoucherEvent]:
    for change in changes:
        kind = EventKind.ACTIVATED if change.is_active else EventKind.DEACTIVATED
        yield VoucherEvent(change.created_at, kind, change=change)
