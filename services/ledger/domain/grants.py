"""Credits given."""

from datetime import datetime
from uuid import UUID

from services.ledger.domain.commands import GrantCredits, GrantOrder
from services.ledger.domain.entry import Entry
from services.ledger.domain.kinds import CommandKind, CommandState, TransferKind
from services.ledger.domain.matching import different_place, first_different
from services.ledger.domain.records import Account, CommandRecord, Grant
from services.ledger.domain.results import GrantView
from services.ledger.domain.state import State
from services.ledger.errors import ExpireTimePassed, GrantAlreadyUndone, GrantExistsWithDifferentField


def grant_credits(command: GrantCredits, state: State, entry: Entry) -> GrantView:
    """A new grant account with the whole amount in it.

    Raises EXPIRE_TIME_PASSED, ACCOUNT_RESERVED, AMOUNT_OUT_OF_RANGE, INSUFFICIENT_FUNDS (of a source with a floor),
    GRANT_ALREADY_UNDONE, GRANT_EXISTS_WITH_DIFFERENT_FIELD.
    """
    known = state.commands.get((command.book_id, command.grant.grant_id))
    if known is not None:
        return _first_answer(command, known, state)
    require_future(command.grant.expires_at, "grant.expire_time", entry.book.now)
    source = entry.system_account(command.grant.source_code, command.currency)
    grant = give(command.grant, source, entry, command.owner_id)
    state.make_grant(grant)
    state.make_command(grant_record(grant, command.fingerprint, entry.transfers[0].seq))
    return grant.view_when_made()


def give(order: GrantOrder, source: Account, entry: Entry, owner_id: UUID, hold_id: UUID | None = None) -> Grant:
    """Opens the grant's account and moves the amount to it; the grant is not yet part of the state."""
    currency = source.currency
    account = entry.grant_account(order.grant_id, currency, owner_id)
    entry.transfer(TransferKind.POSTED, order.grant_id, source, account, order.amount_minor)
    return Grant(
        book_id=entry.book.book_id,
        grant_id=order.grant_id,
        account=account,
        owner_id=owner_id,
        currency=currency,
        category=order.category,
        priority=order.priority,
        amount_minor=order.amount_minor,
        effective_at=order.effective_at or entry.book.now,
        expires_at=order.expires_at,
        source=source,
        hold_id=hold_id,
        created_at=entry.book.now,
        is_new=True,
    )


def require_new(grant_id: UUID, book_id: int, state: State) -> None:
    """Refuses an id that stands for something. Raises GRANT_ALREADY_UNDONE, GRANT_EXISTS_WITH_DIFFERENT_FIELD."""
    known = state.commands.get((book_id, grant_id))
    if known is None:
        return
    if known.kind is CommandKind.GRANT and known.state is not CommandState.LIVE:
        raise GrantAlreadyUndone(grant_id=grant_id)
    raise GrantExistsWithDifferentField(grant_id=grant_id, field="hold_id")


def require_future(expires_at: datetime | None, field: str, now: datetime) -> None:
    """Raises EXPIRE_TIME_PASSED when the moment is not after `now`."""
    if expires_at is not None and expires_at <= now:
        raise ExpireTimePassed(field=field, expire_time=expires_at)


def grant_record(grant: Grant, fingerprint: bytes, seq: int) -> CommandRecord:
    """The row of a new grant; of one born held with a hold's fingerprint, which no request to grant alone has."""
    return CommandRecord(
        grant.book_id,
        grant.grant_id,
        CommandKind.GRANT,
        grant.owner_id,
        grant.currency,
        fingerprint,
        CommandState.LIVE,
        seq,
        1,
        grant.created_at,
        is_new=True,
    )


def _first_answer(command: GrantCredits, known: CommandRecord, state: State) -> GrantView:
    grant_id = command.grant.grant_id
    if known.kind is CommandKind.GRANT and known.state is CommandState.TOMBSTONE:
        raise GrantAlreadyUndone(grant_id=grant_id)
    if known.fingerprint != command.fingerprint:
        raise GrantExistsWithDifferentField(grant_id=grant_id, field=_different_field(command, known, state))
    if known.state is CommandState.UNDONE:
        raise GrantAlreadyUndone(grant_id=grant_id)
    return state.grants[known.key].view_when_made()


def _different_field(command: GrantCredits, known: CommandRecord, state: State) -> str:
    place = different_place(command, known, CommandKind.GRANT)
    if place is not None:
        return place
    grant, order = state.grants[known.key], command.grant
    # One that begins at once says so by its time of creation.
    effective_at = order.effective_at or grant.created_at
    pairs: dict[str, tuple[object, object]] = {
        "hold_id": (grant.hold_id, None),
        "amount_minor": (grant.amount_minor, order.amount_minor),
        "category": (grant.category, order.category),
        "priority": (grant.priority, order.priority),
        "expire_time": (grant.expires_at, order.expires_at),
        "effective_time": (grant.effective_at, effective_at),
        "source_account": (grant.source.code, order.source_code),
    }
    return first_different(pairs, otherwise="reason")
