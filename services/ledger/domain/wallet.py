"""The order in which credits burn, and the sums of a wallet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from services.ledger.domain.kinds import CreditCategory, TransferKind
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
class Balances:
    """Sums of some grants at one moment, in minor units; available is what a new hold can take."""

    balance_minor: int
    held_minor: int
    available_minor: int


@dataclass(frozen=True, slots=True)
class NextExpiry:
    """When the next free credits expire, and how many then."""

    expires_at: datetime
    amount_minor: int


@dataclass(frozen=True, slots=True)
class WalletView:
    """One customer's credits of one currency at one moment, grants in burn order."""

    total: Balances
    by_category: Mapping[CreditCategory, Balances]
    next_expiry: NextExpiry | None
    grants: Sequence[GrantView]


class StatementEntry(NamedTuple):
    """One change of a wallet's balance, in minor units; the balance is that after it."""

    seq: int
    transaction_id: UUID
    kind: TransferKind
    grant_id: UUID
    counter_code: str
    change_minor: int
    reason: str
    created_at: datetime
    balance_minor: int


@dataclass(frozen=True, slots=True)
class StatementView:
    """A page of a statement; opening and closing balance are those of the whole span."""

    opening_minor: int
    closing_minor: int
    entries: Sequence[StatementEntry]
    next_page_token: str


def burn_key(grant: Burnable) -> tuple[int, datetime, bool, datetime, UUID]:
    """Sorts grants: priority, earliest expiry (none last), promotional before paid, oldest, id."""
    expires_at = grant.expires_at or _NEVER
    return grant.priority, expires_at, grant.category is CreditCategory.PAID, grant.effective_at, grant.grant_id


def wallet_of(grants: Iterable[GrantView], now: datetime) -> WalletView:
    """Sums up the grants; what has expired by `now`, or not begun, counts as balance but is not available."""
    in_order = sorted(grants, key=burn_key)
    by_category = {
        category: _balances([grant for grant in in_order if grant.category is category], now)
        for category in CreditCategory
    }
    return WalletView(_balances(in_order, now), by_category, _next_expiry(in_order, now), in_order)


def _balances(grants: Sequence[GrantView], now: datetime) -> Balances:
    return Balances(
        balance_minor=sum(grant.balance_minor for grant in grants),
        held_minor=sum(grant.held_minor for grant in grants),
        available_minor=sum(
            grant.free_minor
            for grant in grants
            if grant.effective_at <= now and (grant.expires_at is None or grant.expires_at > now)
        ),
    )


def _next_expiry(grants: Sequence[GrantView], now: datetime) -> NextExpiry | None:
    """Also of grants that have not begun: they expire all the same."""
    coming = [
        (grant.expires_at, grant.free_minor)
        for grant in grants
        if grant.expires_at is not None and grant.expires_at > now and grant.free_minor > 0
    ]
    if not coming:
        return None
    first = min(expires_at for expires_at, _ in coming)
    return NextExpiry(first, sum(free_minor for expires_at, free_minor in coming if expires_at == first))
