"""The two ends of a hold: spent or freed."""

from services.ledger.domain.commands import CaptureHold, ReleaseHold
from services.ledger.domain.entry import Entry
from services.ledger.domain.grants import take_back
from services.ledger.domain.kinds import CommandKind, CommandState, HoldState, TransferKind
from services.ledger.domain.matching import different_place
from services.ledger.domain.records import CommandRecord, Hold
from services.ledger.domain.results import HoldView, ReleasedHold
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
    """Spends the amount part by part in burn order and frees the rest; the hold's end.

    Raises HOLD_NOT_FOUND, HOLD_EXISTS_WITH_DIFFERENT_FIELD, HOLD_ALREADY_RELEASED, HOLD_EXPIRED,
    CAPTURE_EXCEEDS_HOLD, AMOUNT_OUT_OF_RANGE.
    """
    hold = _hold_to_capture(command, state)
    if hold.state is HoldState.CAPTURED:
        return hold.view()
    taken = _amounts_taken(hold, command.amount_minor)
    for part, amount_minor in zip(hold.parts, taken, strict=True):
        account, rest_minor = part.grant.account, part.held_minor - amount_minor
        if amount_minor > 0:
            entry.transfer(TransferKind.CAPTURE, hold.hold_id, account, hold.credit, amount_minor)
        if rest_minor > 0:
            entry.transfer(TransferKind.RELEASE, hold.hold_id, account, hold.credit, rest_minor)
    for part, amount_minor in zip(hold.parts, taken, strict=True):
        part.captured_minor = amount_minor
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
    reversed_grants = [part.grant for part in hold.parts if reverse_born_held and hold.bore(part.grant)]
    for part in hold.parts:
        entry.transfer(TransferKind.RELEASE, hold.hold_id, part.grant.account, hold.credit, part.held_minor)
    for grant in reversed_grants:
        take_back(grant, entry)
    for grant in reversed_grants:
        state.end_command(grant.key, CommandState.UNDONE)
    hold.reverse_born_held = reverse_born_held
    state.end_hold(hold, HoldState.RELEASED, CommandState.UNDONE)


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
