"""The ends of a hold: spent, freed, or expired."""

from services.ledger.domain.commands import CaptureHold, ExpireHold, ReleaseHold
from services.ledger.domain.entry import Entry
from services.ledger.domain.grant_ends import close_revoked, pass_on, take_back
from services.ledger.domain.kinds import CommandKind, CommandState, GrantState, HoldState, TransferKind
from services.ledger.domain.matching import different_place
from services.ledger.domain.records import CommandRecord, Grant, Hold
from services.ledger.domain.results import Expired, HoldView, ReleasedHold, RevokedGrant
from services.ledger.domain.state import State
from services.ledger.errors import (
    CaptureExceedsHold,
    HoldAlreadyCaptured,
    HoldAlreadyReleased,
    HoldExistsWithDifferentField,
    HoldExpired,
    HoldNotFound,
)


def capture_hold(command: CaptureHold, state: State, entry: Entry) -> HoldView:
    """Spends the amount part by part in burn order and frees the rest; the hold's end. The clock does not matter.

    Raises HOLD_NOT_FOUND, HOLD_EXISTS_WITH_DIFFERENT_FIELD, HOLD_ALREADY_RELEASED, HOLD_EXPIRED,
    CAPTURE_EXCEEDS_HOLD, AMOUNT_OUT_OF_RANGE.
    """
    hold = _hold_to_capture(command, state)
    if hold.state is HoldState.CAPTURED:
        return hold.view()
    taken = _amounts_taken(hold, command.amount_minor)
    broken: list[tuple[Grant, int]] = []
    for part, amount_minor in zip(hold.parts, taken, strict=True):
        account, rest_minor = part.grant.account, part.held_minor - amount_minor
        if amount_minor > 0:
            entry.transfer(TransferKind.CAPTURE, hold.hold_id, account, hold.credit, amount_minor)
        if rest_minor > 0:
            entry.transfer(TransferKind.RELEASE, hold.hold_id, account, hold.credit, rest_minor)
            broken.append((part.grant, pass_on(part.grant, rest_minor, hold.hold_id, entry)))
    for part, amount_minor in zip(hold.parts, taken, strict=True):
        part.captured_minor = amount_minor
        state.note_balance(part.grant)
    _note_breakage(broken, state)
    state.end_hold(hold, HoldState.CAPTURED, CommandState.DONE)
    return hold.view()


def release_hold(command: ReleaseHold, state: State, entry: Entry) -> ReleasedHold:
    """Frees all parts and, if asked, takes back what was born held; leaves a tombstone for a hold not yet made.

    Raises HOLD_ALREADY_CAPTURED, HOLD_EXISTS_WITH_DIFFERENT_FIELD.
    """
    known = state.commands.get((command.book_id, command.hold_id))
    if known is None:
        state.make_command(_tombstone(command, entry))
        return ReleasedHold(released_minor=0, reversed_minor=0)
    _require_same_place(command, known)
    if known.state is CommandState.TOMBSTONE:
        return ReleasedHold(released_minor=0, reversed_minor=0)
    hold = state.holds[known.key]
    if hold.state is HoldState.HELD:
        _release(hold, command.reverse_born_held, state, entry)
    return _release_answer(command, hold)


def expire_hold(command: ExpireHold, state: State, entry: Entry) -> Expired:
    """Frees all parts of a hold whose time has come and that has not ended. Raises AMOUNT_OUT_OF_RANGE."""
    known = state.commands.get((command.book_id, command.hold_id))
    if known is None or different_place(command, known, CommandKind.HOLD) or known.state is CommandState.TOMBSTONE:
        return Expired(None)
    hold = state.holds[known.key]
    if hold.state is not HoldState.HELD or hold.expires_at > entry.book.now:
        return Expired(None)
    _free(hold, [], state, entry)
    state.end_hold(hold, HoldState.EXPIRED, CommandState.UNDONE)
    return Expired(hold.held_minor)


def _hold_to_capture(command: CaptureHold, state: State) -> Hold:
    """The hold, to be captured or captured already with this amount."""
    hold_id = command.hold_id
    known = state.commands.get((command.book_id, hold_id))
    if known is None:
        raise HoldNotFound(hold_id=hold_id)
    _require_same_place(command, known)
    if known.state is CommandState.TOMBSTONE:
        raise HoldAlreadyReleased(hold_id=hold_id)
    hold = state.holds[known.key]
    if hold.state is HoldState.RELEASED:
        raise HoldAlreadyReleased(hold_id=hold_id)
    if hold.state is HoldState.EXPIRED:
        raise HoldExpired(hold_id=hold_id)
    if hold.state is HoldState.CAPTURED and hold.captured_minor != command.amount_minor:
        raise HoldExistsWithDifferentField(hold_id=hold_id, field="amount_minor")
    if command.amount_minor > hold.held_minor:
        raise CaptureExceedsHold(hold_id=hold_id, held_minor=hold.held_minor, amount_minor=command.amount_minor)
    return hold


def _amounts_taken(hold: Hold, amount_minor: int) -> list[int]:
    """What each part pays of the amount: the first burn first."""
    taken = []
    for part in hold.parts:
        taken.append(min(part.held_minor, amount_minor))
        amount_minor -= taken[-1]
    return taken


def _release(hold: Hold, reverse_born_held: bool, state: State, entry: Entry) -> None:
    reversed_grants = [
        part.grant
        for part in hold.parts
        if reverse_born_held and hold.bore(part.grant) and part.grant.state is not GrantState.REVOKED
    ]
    _free(hold, reversed_grants, state, entry)
    for grant in reversed_grants:
        close_revoked(grant, RevokedGrant(grant.amount_minor), state)
    hold.reverse_born_held = reverse_born_held
    state.end_hold(hold, HoldState.RELEASED, CommandState.UNDONE)


def _free(hold: Hold, reversed_grants: list[Grant], state: State, entry: Entry) -> None:
    """Releases all parts; what then lies free in a closed grant is passed on, what is to be undone taken back."""
    for part in hold.parts:
        entry.transfer(TransferKind.RELEASE, hold.hold_id, part.grant.account, hold.credit, part.held_minor)
    broken: list[tuple[Grant, int]] = []
    for part in hold.parts:
        if part.grant in reversed_grants:
            take_back(part.grant, entry)
        else:
            broken.append((part.grant, pass_on(part.grant, part.held_minor, hold.hold_id, entry)))
    _note_breakage(broken, state)


def _note_breakage(broken: list[tuple[Grant, int]], state: State) -> None:
    """Writes down what went to breakage, when nothing can be refused any more."""
    for grant, amount_minor in broken:
        if amount_minor > 0:
            grant.expired_minor += amount_minor
            state.change_grant(grant)
        state.note_balance(grant)


def _release_answer(command: ReleaseHold, hold: Hold) -> ReleasedHold:
    if hold.state is HoldState.CAPTURED:
        raise HoldAlreadyCaptured(hold_id=hold.hold_id)
    if hold.state is HoldState.EXPIRED:
        return ReleasedHold(released_minor=0, reversed_minor=0)
    if hold.reverse_born_held is not command.reverse_born_held:
        raise HoldExistsWithDifferentField(hold_id=hold.hold_id, field="reverse_born_held_grants")
    return ReleasedHold(hold.held_minor, hold.born_held_minor if hold.reverse_born_held else 0)


def _require_same_place(command: CaptureHold | ReleaseHold, known: CommandRecord) -> None:
    field = different_place(command, known, CommandKind.HOLD)
    if field is not None:
        raise HoldExistsWithDifferentField(hold_id=command.hold_id, field=field)


def _tombstone(command: ReleaseHold, entry: Entry) -> CommandRecord:
    return CommandRecord(
        command.book_id,
        command.hold_id,
        CommandKind.HOLD,
        command.owner_id,
        command.currency,
        None,
        CommandState.TOMBSTONE,
        None,
        0,
        entry.book.now,
        is_new=True,
    )
