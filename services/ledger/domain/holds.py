"""Reservations of credits, and grants born held for them."""

from services.ledger.domain.commands import GrantOrder, HoldCredits
from services.ledger.domain.entry import Entry
from services.ledger.domain.grants import give, grant_record, require_future, require_new
from services.ledger.domain.kinds import CommandKind, CommandState, TransferKind
from services.ledger.domain.matching import different_place, first_different
from services.ledger.domain.records import CommandRecord, Grant, Hold, HoldPart
from services.ledger.domain.results import HoldView
from services.ledger.domain.state import State
from services.ledger.domain.wallet import burn_key
from services.ledger.errors import GrantExistsWithDifferentField, HoldAlreadyUndone, HoldExistsWithDifferentField


def hold_credits(command: HoldCredits, state: State, entry: Entry) -> HoldView:
    """Grants what is to be born held, then sets it aside together with what the wallet has, up to the target.

    Raises HOLD_ALREADY_UNDONE, HOLD_EXISTS_WITH_DIFFERENT_FIELD, GRANT_ALREADY_UNDONE,
    GRANT_EXISTS_WITH_DIFFERENT_FIELD, EXPIRE_TIME_PASSED, ACCOUNT_RESERVED, AMOUNT_OUT_OF_RANGE.
    """
    known = state.commands.get((command.book_id, command.hold_id))
    if known is not None:
        return _first_answer(command, known, state)
    _require_possible(command, state, entry)
    born = [_give(order, command, entry) for order in command.born_held]
    given = list(entry.transfers)
    hold = _new_hold(command, entry)
    hold.parts = _parts(command, born, state, entry)
    for part in hold.parts:
        entry.transfer(TransferKind.HOLD, hold.hold_id, part.grant.account, hold.credit, part.held_minor)
    for grant, transfer in zip(born, given, strict=True):
        state.make_grant(grant)
        state.make_command(grant_record(grant, command.fingerprint, transfer.seq))
    state.make_hold(hold)
    state.make_command(_record(command, entry, len(hold.parts)))
    return hold.view_when_made()


def _give(order: GrantOrder, command: HoldCredits, entry: Entry) -> Grant:
    source = entry.system_account(order.source_code, command.currency)
    return give(order, source, entry, command.owner_id, command.hold_id)


def _require_possible(command: HoldCredits, state: State, entry: Entry) -> None:
    require_future(command.expires_at, "expire_time", entry.book.now)
    ids = {command.hold_id}
    for order in command.born_held:
        if order.grant_id in ids:
            raise GrantExistsWithDifferentField(grant_id=order.grant_id, field="grant_id")
        ids.add(order.grant_id)
        require_new(order.grant_id, command.book_id, state)
        require_future(order.expires_at, "born_held_grants.expire_time", entry.book.now)


def _new_hold(command: HoldCredits, entry: Entry) -> Hold:
    return Hold(
        book_id=command.book_id,
        hold_id=command.hold_id,
        owner_id=command.owner_id,
        currency=command.currency,
        credit=entry.system_account(command.credit_code, command.currency),
        target_minor=command.target_minor,
        expires_at=command.expires_at,
        reason=command.reason,
        created_at=entry.book.now,
        is_new=True,
    )


def _parts(command: HoldCredits, born: list[Grant], state: State, entry: Entry) -> list[HoldPart]:
    """All of what is born held, and of the wallet what is missing to the target; in burn order."""
    parts = [HoldPart(grant, grant.amount_minor) for grant in born]
    missing_minor = command.target_minor - sum(part.held_minor for part in parts)
    wallet = state.wallets.get((command.book_id, command.owner_id, command.currency), ())
    for grant in sorted((grant for grant in wallet if grant.is_usable(entry.book.now)), key=burn_key):
        if missing_minor <= 0:
            break
        held_minor = min(grant.account.available_minor, missing_minor)
        parts.append(HoldPart(grant, held_minor))
        missing_minor -= held_minor
    return sorted(parts, key=lambda part: burn_key(part.grant))


def _record(command: HoldCredits, entry: Entry, part_count: int) -> CommandRecord:
    return CommandRecord(
        command.book_id,
        command.hold_id,
        CommandKind.HOLD,
        command.owner_id,
        command.currency,
        command.fingerprint,
        CommandState.LIVE,
        entry.transfers[-part_count].seq if part_count else None,
        part_count,
        entry.book.now,
        is_new=True,
    )


def _first_answer(command: HoldCredits, known: CommandRecord, state: State) -> HoldView:
    hold_id = command.hold_id
    if known.kind is CommandKind.HOLD and known.state is CommandState.TOMBSTONE:
        raise HoldAlreadyUndone(hold_id=hold_id)
    if known.fingerprint != command.fingerprint or known.kind is not CommandKind.HOLD:
        raise HoldExistsWithDifferentField(hold_id=hold_id, field=_different_field(command, known, state))
    if known.state is CommandState.UNDONE:
        raise HoldAlreadyUndone(hold_id=hold_id)
    return state.holds[known.key].view_when_made()


def _different_field(command: HoldCredits, known: CommandRecord, state: State) -> str:
    place = different_place(command, known, CommandKind.HOLD)
    if place is not None:
        return place
    hold = state.holds[known.key]
    pairs: dict[str, tuple[object, object]] = {
        "target_minor": (hold.target_minor, command.target_minor),
        "credit_account": (hold.credit.code, command.credit_code),
        "expire_time": (hold.expires_at, command.expires_at),
        "reason": (hold.reason, command.reason),
    }
    return first_different(pairs, otherwise="born_held_grants")
