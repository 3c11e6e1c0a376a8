"""What callers ask of the ledger: frozen values, each under an id that the caller made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Generic, NamedTuple, TypeVar
from uuid import UUID

from services.ledger.domain.asked import (
    GrantFields,
    Who,
    fingerprint_of_grant,
    fingerprint_of_hold,
    fingerprint_of_refund,
    grant_fields,
)
from services.ledger.domain.kinds import CreditCategory, TransferKind
from services.ledger.domain.results import (
    AccountPlace,
    Expired,
    GrantView,
    HoldView,
    PostedTransaction,
    Refund,
    ReleasedHold,
    RevokedGrant,
)
from services.runtime.ids import derived_id

Result = TypeVar("Result")


class Target(NamedTuple):
    """An earlier transaction's transfer, by its place among that transaction's transfers."""

    transaction_id: UUID
    position: int


class TransferOrder(NamedTuple):
    """One movement asked for, in minor units. What ends or takes back another has a target and empty codes.

    expires_at: of a hold, None is never.
    """

    debit_code: str
    credit_code: str
    amount_minor: int
    kind: TransferKind = TransferKind.POSTED
    target: Target | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GrantOrder:
    """Credits to be given; expires_at None is never, effective_at None at once."""

    grant_id: UUID
    amount_minor: int
    category: CreditCategory
    priority: int
    expires_at: datetime | None
    source_code: str
    effective_at: datetime | None = None

    @property
    def fields(self) -> GrantFields:
        """What is compared when the id comes again."""
        return grant_fields(
            self.grant_id,
            self.amount_minor,
            self.category.value,
            self.priority,
            self.expires_at,
            self.source_code,
            self.effective_at,
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

    @property
    def who(self) -> Who:
        """What every fingerprint begins with."""
        return self.owner_id, self.currency, self.reason


class PostTransaction(NamedTuple):
    """Movements between system accounts, all or nothing. A tuple, because there are thousands of them in a second."""

    book_id: int
    owner_id: UUID
    currency: str
    reason: str
    transaction_id: UUID
    transfers: Sequence[TransferOrder]
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAccount(Command[AccountPlace]):
    """A system account before its first use, with a floor if wanted."""

    code: str
    floor_minor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAccount(Command[AccountPlace]):
    """No new movements of an empty system account."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantCredits(Command[GrantView]):
    """Credits for the owner."""

    grant: GrantOrder
    fingerprint: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = fingerprint_of_grant(self.who, self.grant.fields)
        object.__setattr__(self, "fingerprint", digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeGrant(Command[RevokedGrant]):
    """Undo of GrantCredits."""

    must_run: ClassVar[bool] = True

    grant_id: UUID
    # Take back what is free, however little it is.
    allow_partial: bool = False


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
        digest = fingerprint_of_hold(self.who, self.target_minor, born_held, self.credit_code, self.expires_at)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundCredits(Command[Refund]):
    """Gives captured credits back; `grace_days` is the life of a grant opened in place of an expired one."""

    refund_id: UUID
    hold_id: UUID
    amount_minor: int
    grace_days: int
    fingerprint: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = fingerprint_of_refund(self.who, self.hold_id, self.amount_minor, self.grace_days)
        object.__setattr__(self, "fingerprint", digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireHold(Command[Expired]):
    """The ledger's own: frees a hold whose time has come. Done once, whoever finds it and how often."""

    hold_id: UUID
    reason: str = "hold.expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireGrant(Command[Expired]):
    """The ledger's own: moves what is free of a grant to breakage when its time has come. Done once, like a hold's."""

    grant_id: UUID
    reason: str = "grant.expired"

    @property
    def expiry_id(self) -> UUID:
        """The id under which it is known: a grant expires once."""
        return derived_id(self.grant_id, "expiry")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireTransfer(Command[Expired]):
    """The ledger's own: frees a transaction's hold whose time has come. Done once, like a wallet's hold."""

    target: Target
    reason: str = "hold.expired"

    @property
    def expiry_id(self) -> UUID:
        """The id under which it is known: a hold expires once."""
        return derived_id(self.target.transaction_id, f"expiry of transfer {self.target.position}")


AnyCommand = (
    PostTransaction
    | GrantCredits
    | RevokeGrant
    | HoldCredits
    | CaptureHold
    | ReleaseHold
    | RefundCredits
    | ExpireHold
    | ExpireGrant
    | ExpireTransfer
)
AnyResult = PostedTransaction | AccountPlace | GrantView | RevokedGrant | HoldView | ReleasedHold | Refund | Expired
