"""The order in which credits burn, and the sums of a wallet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from services.ledger.domain.kinds import CreditCategory
from services.ledger.domain.results import GrantView

_NEVER = datetime.max.replace(tzinfo=UTC)


class Burnable(Protocol):
    """What the order of burning looks at."""

    @property
    def grant_id(self) -> UUID: ...  # noqa: D102
    @property
    def priority(self) -> int: ...  # noqa: D102
    @property
    def category(self) -> CreditCategory: ...  # noqa: D102
    @property
    def effective_at(self) -> datetime: ...  # noqa: D102
    @property
    def expires_at(self) -> datetime | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class WalletView:
    """One customer's credits of one currency at one moment, in minor units."""

    balance_minor: int
    held_minor: int
    available_minor: int
    grants: Sequence[GrantView]


def burn_key(grant: Burnable) -> tuple[int, datetime, bool, datetime, UUID]:
    """Sorts grants: priority, earliest expiry (none last), promotional before paid, oldest, id."""
    expires_at = grant.expires_at or _NEVER
    return grant.priority, expires_at, grant.category is CreditCategory.PAID, grant.effective_at, grant.grant_id


def wallet_of(grants: Iterable[GrantView], now: datetime) -> WalletView:
    """Sums up the grants; what has expired by `now` counts as balance but is not available."""
    in_order = sorted(grants, key=burn_key)
    usable = [grant for grant in in_order if grant.expires_at is None or grant.expires_at > now]
    return WalletView(
        balance_minor=sum(grant.balance_minor for grant in in_order),
        held_minor=sum(grant.held_minor for grant in in_order),
        available_minor=sum(grant.balance_minor - grant.held_minor for grant in usable),
        grants=in_order,
    )
