"""The one door to the rules: a group of commands in, their outcomes and the rows to write out."""

from collections.abc import Callable, Sequence
from typing import Any

from services.ledger.domain.accounts import close_account, open_account
from services.ledger.domain.commands import (
    AnyCommand,
    AnyResult,
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
from services.ledger.domain.entry import Entry
from services.ledger.domain.grant_ends import expire_grant, revoke_grant
from services.ledger.domain.grants import grant_credits
from services.ledger.domain.hold_ends import capture_hold, expire_hold, release_hold
from services.ledger.domain.holds import hold_credits
from services.ledger.domain.refunds import refund_credits
from services.ledger.domain.state import State
from services.ledger.domain.targets import expire_transfer
from services.ledger.domain.transactions import post_transaction
from services.runtime.errors import ServiceError

_DECIDERS: dict[type, Callable[[Any, State, Entry], AnyResult]] = {
    PostTransaction: post_transaction,
    OpenAccount: open_account,
    CloseAccount: close_account,
    GrantCredits: grant_credits,
    RevokeGrant: revoke_grant,
    HoldCredits: hold_credits,
    CaptureHold: capture_hold,
    ReleaseHold: release_hold,
    RefundCredits: refund_credits,
    ExpireHold: expire_hold,
    ExpireGrant: expire_grant,
    ExpireTransfer: expire_transfer,
}


def decide(commands: Sequence[AnyCommand], state: State) -> list[AnyResult | ServiceError]:
    """One outcome per command, in order; each sees what those before it did.

    `state` holds what the commands need to see, its books their time. It is the group's working copy: afterwards it
    stands as it will be when `state.changes` is written. A refused command leaves it as it was.
    """
    return [_decide_one(command, state) for command in commands]


def _decide_one(command: AnyCommand, state: State) -> AnyResult | ServiceError:
    entry = Entry(state, state.books[command.book_id], command.reason)
    try:
        result = _DECIDERS[type(command)](command, state, entry)
    except ServiceError as refusal:
        entry.undo()
        return refusal
    entry.accept()
    return result
