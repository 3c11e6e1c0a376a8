"""What a group of commands has to see before it can be decided."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.ledger.domain.commands import (
    AnyCommand,
    CaptureHold,
    GrantCredits,
    HoldCredits,
    PostTransaction,
    ReleaseHold,
    RevokeGrant,
)
from services.ledger.domain.records import Key
from services.ledger.domain.state import CodeKey, WalletKey


@dataclass(slots=True)
class Needs:
    """Ids whose history is asked for, system accounts by code, wallets to take credits from."""

    ids: set[Key] = field(default_factory=set)
    codes: set[CodeKey] = field(default_factory=set)
    wallets: set[WalletKey] = field(default_factory=set)


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
            needs.ids.add((book_id, command.transaction_id))
            for transfer in command.transfers:
                needs.codes.add((book_id, transfer.debit_code, currency))
                needs.codes.add((book_id, transfer.credit_code, currency))
        case GrantCredits():
            needs.ids.add((book_id, command.grant.grant_id))
            needs.codes.add((book_id, command.grant.source_code, currency))
        case RevokeGrant():
            needs.ids.add((book_id, command.grant_id))
        case HoldCredits():
            _add_hold(needs, command)
        case CaptureHold() | ReleaseHold():
            needs.ids.add((book_id, command.hold_id))


def _add_hold(needs: Needs, command: HoldCredits) -> None:
    needs.ids.add((command.book_id, command.hold_id))
    needs.codes.add((command.book_id, command.credit_code, command.currency))
    needs.wallets.add((command.book_id, command.owner_id, command.currency))
    for grant in command.born_held:
        needs.ids.add((command.book_id, grant.grant_id))
        needs.codes.add((command.book_id, grant.source_code, command.currency))
