"""Grants closed: taken back, or expired. What becomes free of a closed grant is passed on in the same transaction."""

from datetime import datetime
from uuid import UUID

from services.ledger.domain.commands import ExpireGrant, RevokeGrant
from services.ledger.domain.entry import Entry
from services.ledger.domain.expiries import expiry_record
from services.ledger.domain.kinds import CommandKind, CommandState, GrantState, TransferKind
from services.ledger.domain.matching import different_place
from services.ledger.domain.records import BREAKAGE_CODE, Account, CommandRecord, Grant
from services.ledger.domain.results import Expired, RevokedGrant
from services.ledger.domain.state import State
from services.ledger.errors import GrantAlreadySpent, GrantExistsWithDifferentField


def revoke_grant(command: RevokeGrant, state: State, entry: Entry) -> RevokedGrant:
    """Moves the whole amount back to its source, or if allowed what can be had; a tombstone for one not yet made.

    Raises GRANT_ALREADY_SPENT, GRANT_EXISTS_WITH_DIFFERENT_FIELD, AMOUNT_OUT_OF_RANGE, INSUFFICIENT_FUNDS (of a
    breakage account with a floor).
    """
    known = state.commands.get((command.book_id, command.grant_id))
    if known is None:
        state.make_command(_tombstone(command, entry.book.now))
        return RevokedGrant(reversed_minor=0)
    field = different_place(command, known, CommandKind.GRANT)
    if field is not None:
        raise GrantExistsWithDifferentField(grant_id=command.grant_id, field=field)
    if known.state is CommandState.TOMBSTONE:
        return RevokedGrant(reversed_minor=0)
    grant = state.grants[known.key]
    revoked = grant.revoked or _what_is_left(grant)
    if revoked.reversed_minor < grant.amount_minor and not command.allow_partial:
        raise _already_spent(grant, revoked)
    if grant.revoked is None:
        _reverse(grant, entry)
        close_revoked(grant, revoked, state)
    return revoked


def expire_grant(command: ExpireGrant, state: State, entry: Entry) -> Expired:
    """Moves what is free of a live grant to breakage once its time has come; what is held stays with its holds.

    Raises AMOUNT_OUT_OF_RANGE.
    """
    known = state.commands.get((command.book_id, command.grant_id))
    if known is None or different_place(command, known, CommandKind.GRANT) or known.state is CommandState.TOMBSTONE:
        return Expired(None)
    grant = state.grants[known.key]
    if grant.state is not GrantState.LIVE or not grant.has_expired(entry.book.now):
        return Expired(None)
    free_minor = grant.account.available_minor
    if free_minor > 0:
        breakage = _breakage(grant, entry)
        entry.transfer(TransferKind.POSTED, command.expiry_id, grant.account, breakage, free_minor)
    grant.state = GrantState.EXPIRED
    grant.expired_minor += free_minor
    state.change_grant(grant)
    state.note_balance(grant)
    state.make_command(expiry_record(command, entry, str(command.grant_id)))
    return Expired(free_minor)


def take_back(grant: Grant, entry: Entry) -> None:
    """Moves the whole amount of an untouched grant back to where it came from."""
    entry.transfer(TransferKind.REVERSAL, grant.grant_id, grant.account, grant.source, grant.amount_minor)


def close_revoked(grant: Grant, revoked: RevokedGrant, state: State) -> None:
    """Ends a grant, and the command that made it, after its credits were taken back."""
    grant.state = GrantState.REVOKED
    grant.revoked = revoked
    state.change_grant(grant)
    state.note_balance(grant)
    state.end_command(grant.key, CommandState.UNDONE)


def pass_on(grant: Grant, amount_minor: int, hold_id: UUID, entry: Entry) -> int:
    """Sends what was just freed of a closed grant where the rest of it went; answers what went to breakage."""
    if grant.state is GrantState.REVOKED:
        entry.transfer(TransferKind.REVERSAL, grant.grant_id, grant.account, grant.source, amount_minor)
        return 0
    if not grant.has_expired(entry.book.now):
        return 0
    breakage = _breakage(grant, entry)
    entry.transfer(TransferKind.POSTED, hold_id, grant.account, breakage, amount_minor)
    return amount_minor


def _breakage(grant: Grant, entry: Entry) -> Account:
    """Neither an expiry nor an undo is refused because somebody closed it."""
    return entry.system_account(BREAKAGE_CODE, grant.currency, may_be_closed=True)


def _what_is_left(grant: Grant) -> RevokedGrant:
    """What a revocation takes now: what is free, and what has gone to breakage."""
    left_minor = grant.account.available_minor + grant.expired_minor
    held_minor = grant.account.held_minor
    return RevokedGrant(left_minor, grant.amount_minor - left_minor - held_minor, held_minor)


def _reverse(grant: Grant, entry: Entry) -> None:
    free_minor = grant.account.available_minor
    if free_minor > 0:
        entry.transfer(TransferKind.REVERSAL, grant.grant_id, grant.account, grant.source, free_minor)
    breakage = _breakage(grant, entry) if grant.expired_minor > 0 else grant.source
    if breakage is not grant.source:
        entry.transfer(TransferKind.REVERSAL, grant.grant_id, breakage, grant.source, grant.expired_minor)


def _already_spent(grant: Grant, revoked: RevokedGrant) -> GrantAlreadySpent:
    return GrantAlreadySpent(
        grant_id=grant.grant_id,
        granted_minor=grant.amount_minor,
        available_minor=revoked.reversed_minor,
        held_minor=revoked.held_minor,
        spent_minor=revoked.spent_minor,
    )


def _tombstone(command: RevokeGrant, now: datetime) -> CommandRecord:
    return CommandRecord(
        command.book_id,
        command.grant_id,
        CommandKind.GRANT,
        command.owner_id,
        command.currency,
        None,
        CommandState.TOMBSTONE,
        None,
        0,
        now,
        is_new=True,
    )
