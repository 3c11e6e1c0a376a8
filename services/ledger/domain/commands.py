"""What callers ask of the ledger: frozen values, each under an id that the caller made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Generic, NamedTuple, TypeVar
from uuid import UUID

from services.ledger.domain.kinds import CreditCategory
from services.ledger.domain.results import GrantView, HoldView, PostedTransaction, ReleasedHold, RevokedGrant
from services.runtime.ids import fingerprint

Result = TypeVar("Result")


class TransferOrder(NamedTuple):
    """One movement asked for, in minor units."""

    debit_code: str
    credit_code: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class GrantOrder:
    """Credits to be given; expires_at None is never."""

    grant_id: UUID
    amount_minor: int
    category: CreditCategory
    priority: int
    expires_at: datetime | None
    source_code: str

    @property
    def fields(self) -> tuple[object, ...]:
        """What is compared when the id comes again."""
        return (
            self.grant_id,
            self.amount_minor,
            self.category.value,
            self.priority,
            self.expires_at,
            self.source_code,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[Result]):
    """What all commands name. `Result` is what an accepted command is answered with."""

    # An undo runs also when its caller has gone.
    must_run: ClassVar[bool] = False

    book_id: int
    owner_id: UUID
    currency: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostTransaction(Command[PostedTransaction]):
    """Movements between system accounts, all or nothing."""

    transaction_id: UUID
    transfers: Sequence[TransferOrder]
    fingerprint: bytes = field(init=False)

    def __post_init__(self) -> None:
        transfers = [value for transfer in self.transfers for value in transfer]
        digest = fingerprint("transaction", self.owner_id, self.currency, self.reason, transfers)
        object.__setattr__(self, "fingerprint", digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantCredits(Command[GrantView]):
    """Credits for the owner."""

    grant: GrantOrder
    fingerprint: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = fingerprint("grant", self.owner_id, self.currency, self.reason, self.grant.fields)
        object.__setattr__(self, "fingerprint", digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeGrant(Command[RevokedGrant]):
    """Undo of GrantCredits."""

    must_run: ClassVar[bool] = True

    grant_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldCredits(Command[HoldView]):
    """A reservation of the owner's credits, together with grants born held for it."""

    hold_id: UUID
    target_minor: int
    born_held: Sequence[GrantOrder]
    credit_code: str
    expires_at: datetime
    fingerprint: bytes = field(init=False)

    def __post_init__(self) -> None:
        born_held = [grant.fields for grant in self.born_held]
        who = (self.owner_id, self.currency, self.reason)
        digest = fingerprint("hold", *who, self.target_minor, born_held, self.credit_code, self.expires_at)
        object.__setattr__(self, "fingerprint", digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureHold(Command[HoldView]):
    """Spends up to all of a hold and frees the rest."""

    hold_id: UUID
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold(Command[ReleasedHold]):
    """Undo of HoldCredits; `reverse_born_held` takes back the grants that came with it as well."""

    must_run: ClassVar[bool] = True

    hold_id: UUID
    reverse_born_held: bool


AnyCommand = PostTransaction | GrantCredits | RevokeGrant | HoldCredits | CaptureHold | ReleaseHold
AnyResult = PostedTransaction | GrantView | RevokedGrant | HoldView | ReleasedHold
