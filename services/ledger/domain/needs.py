"""What a group of commands has to see before it can be decided."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.ledger.domain.commands import (
    AnyCommand,
    CaptureHold,
    CloseAccount,
    ExpireGrant,
    ExpireHold,
    ExpireTransfer,
    GrantCredits,
    HoldCredits,
    OpenAccount,
    PostTransaction,
    RefundCredits,
    ReleaseHold,
    RevokeGrant,
)
from services.ledger.domain.records import BREAKAGE_CODE, Key
from services.ledger.domain.state import CodeKey, WalletKey

# A transfer of an earlier transaction: book, transaction, index.
TargetKey = tuple[int, UUID, int]


@dataclass(slots=True)
class Needs:
    """Ids whose history is asked for, system accounts by code, wallets to take credits from, targets of transfers."""

    ids: set[Key] = field(default_factory=set)
    codes: set[CodeKey] = field(default_factory=set)
    wallets: set[WalletKey] = field(default_factory=set)
    targets: set[TargetKey] = field(default_factory=set)


def needs_of(commands: Sequence[AnyCommand]) -> Needs:
    """The rows that `decide` looks at, except those that only rows found by these lead to."""
    needs = Needs()
    for command in commands:
        _add(needs, command)
    return needs


def _add(needs: Needs, command: AnyCommand) -> None:
    book_id, currency = command.book_id, command.currency
    match command:
        case PostTransaction():
            _add_transaction(needs, command)
        case OpenAccount() | CloseAccount():
            needs.codes.add((book_id, command.code, currency))
        case GrantCredits():
            needs.ids.add((book_id, command.grant.grant_id))
            needs.codes.add((book_id, command.grant.source_code, currency))
        case HoldCredits():
            _add_hold(needs, command)
        case RefundCredits():
            needs.ids.update(((book_id, command.refund_id), (book_id, command.hold_id)))
        case CaptureHold() | ReleaseHold() | ExpireHold() | RevokeGrant() | ExpireGrant():
            _add_end(needs, command)
        case ExpireTransfer():
            needs.targets.add((book_id, *command.target))


def _add_transaction(needs: Needs, command: PostTransaction) -> None:
    book_id, currency = command.book_id, command.currency
    needs.ids.add((book_id, command.transaction_id))
    for debit_code, credit_code, _, _, target, _ in command.transfers:
        if target is None:
            needs.codes.add((book_id, debit_code, currency))
            needs.codes.add((book_id, credit_code, currency))
        else:
            needs.targets.add((book_id, *target))


def _add_end(needs: Needs, command: CaptureHold | ReleaseHold | ExpireHold | RevokeGrant | ExpireGrant) -> None:
    """What ends a hold or grant may send credits to breakage, or take them back from there."""
    ended_id = command.grant_id if isinstance(command, RevokeGrant | ExpireGrant) else command.hold_id
    needs.ids.add((command.book_id, ended_id))
    needs.codes.add((command.book_id, BREAKAGE_CODE, command.currency))


def _add_hold(needs: Needs, command: HoldCredits) -> None:
    needs.ids.add((command.book_id, command.hold_id))
    needs.codes.add((command.book_id, command.credit_code, command.currency))
    needs.wallets.add((command.book_id, command.owner_id, command.currency))
    for grant in command.born_held:
        needs.ids.add((command.book_id, grant.grant_id))
        needs.codes.add((command.book_id, grant.source_code, command.currency))
