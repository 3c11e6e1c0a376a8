"""Captured credits given back to where they came from."""

from datetime import timedelta
from uuid import UUID

from services.ledger.domain.commands import GrantOrder, RefundCredits
from services.ledger.domain.entry import Entry
from services.ledger.domain.grant_ends import pass_on
from services.ledger.domain.grants import give, grant_record
from services.ledger.domain.kinds import CommandKind, CommandState, GrantState, HoldState, TransferKind
from services.ledger.domain.matching import different_place, first_different
from services.ledger.domain.records import CommandRecord, Grant, Hold, HoldPart
from services.ledger.domain.results import Refund, RefundPart
from services.ledger.domain.state import State
from services.ledger.errors import (
    HoldExistsWithDifferentField,
    HoldNotCaptured,
    HoldNotFound,
    RefundExceedsCapture,
    RefundExistsWithDifferentField,
)
from services.runtime.ids import derived_id

Share = tuple[HoldPart, int]


def refund_credits(command: RefundCredits, state: State, entry: Entry) -> Refund:
    """Gives the amount back, last burned first: to live grants, to siblings of expired ones, past revoked ones.

    Raises HOLD_NOT_FOUND, HOLD_EXISTS_WITH_DIFFERENT_FIELD, HOLD_NOT_CAPTURED, REFUND_EXCEEDS_CAPTURE,
    REFUND_EXISTS_WITH_DIFFERENT_FIELD, AMOUNT_OUT_OF_RANGE, INSUFFICIENT_FUNDS (of a credit account
    with a floor).
    """
    known = state.commands.get((command.book_id, command.refund_id))
    if known is not None:
        return _first_answer(command, known, state)
    hold = _captured_hold(command, state)
    shares = _shares(hold, command.amount_minor)
    # One after the other in the book: the refund's own transfers, then those of the grants that it opens or passes.
    for part, amount_minor in shares:
        if not _needs_sibling(part.grant, entry):
            entry.transfer(TransferKind.POSTED, command.refund_id, hold.credit, part.grant.account, amount_minor)
    direct_count = len(entry.transfers)
    for part, amount_minor in shares:
        if part.grant.state is GrantState.REVOKED:
            pass_on(part.grant, amount_minor, hold.hold_id, entry)
    siblings = [_sibling(command, hold, share, entry) for share in shares if _needs_sibling(share[0].grant, entry)]
    for part, amount_minor in shares:
        _note_refunded(part, amount_minor, state)
    for grant, seq in siblings:
        state.make_grant(grant)
        state.make_command(grant_record(grant, command.fingerprint, seq))
    refund = _refund(command, shares, entry)
    state.make_refund(refund, hold)
    state.make_command(_record(command, entry, direct_count))
    return refund


def _captured_hold(command: RefundCredits, state: State) -> Hold:
    known = state.commands.get((command.book_id, command.hold_id))
    if known is None:
        raise HoldNotFound(hold_id=command.hold_id)
    field = different_place(command, known, CommandKind.HOLD)
    if field is not None:
        raise HoldExistsWithDifferentField(hold_id=command.hold_id, field=field)
    if known.state is CommandState.TOMBSTONE:
        raise HoldNotCaptured(hold_id=command.hold_id, state=HoldState.RELEASED)
    hold = state.holds[known.key]
    if hold.state is not HoldState.CAPTURED:
        raise HoldNotCaptured(hold_id=command.hold_id, state=hold.state)
    if command.amount_minor > hold.captured_minor - hold.refunded_minor:
        raise RefundExceedsCapture(
            hold_id=command.hold_id,
            captured_minor=hold.captured_minor,
            refunded_minor=hold.refunded_minor,
            amount_minor=command.amount_minor,
        )
    return hold


def _shares(hold: Hold, amount_minor: int) -> list[Share]:
    """What each part gets back: the last burned first."""
    shares = []
    for part in reversed(hold.parts):
        share_minor = min(part.captured_minor - part.refunded_minor, amount_minor)
        if share_minor > 0:
            shares.append((part, share_minor))
            amount_minor -= share_minor
    return shares


def _note_refunded(part: HoldPart, amount_minor: int, state: State) -> None:
    part.refunded_minor += amount_minor
    state.note_balance(part.grant)
    if part.grant.state is GrantState.REVOKED:
        state.note_passage(part.grant)


def _needs_sibling(grant: Grant, entry: Entry) -> bool:
    return grant.state is not GrantState.REVOKED and grant.has_expired(entry.book.now)


def _sibling_id(command: RefundCredits, grant: Grant) -> UUID:
    return derived_id(command.refund_id, f"grant in place of {grant.grant_id}")


def _sibling(command: RefundCredits, hold: Hold, share: Share, entry: Entry) -> tuple[Grant, int]:
    """A grant of the same kind from the hold's credit account, and the sequence of the transfer that fills it."""
    expired, amount_minor = share[0].grant, share[1]
    order = GrantOrder(
        grant_id=_sibling_id(command, expired),
        amount_minor=amount_minor,
        category=expired.category,
        priority=expired.priority,
        expires_at=entry.book.now + timedelta(days=command.grace_days),
        source_code=hold.credit.code,
    )
    grant = give(order, hold.credit, entry, command.owner_id)
    return grant, entry.transfers[-1].seq


def _refund(command: RefundCredits, shares: list[Share], entry: Entry) -> Refund:
    return Refund(
        book_id=command.book_id,
        refund_id=command.refund_id,
        hold_id=command.hold_id,
        amount_minor=command.amount_minor,
        grace_days=command.grace_days,
        reason=command.reason,
        created_at=entry.book.now,
        parts=[
            RefundPart(part.grant.grant_id, amount_minor, _returned_to(command, part.grant, entry))
            for part, amount_minor in shares
        ],
    )


def _returned_to(command: RefundCredits, grant: Grant, entry: Entry) -> UUID | None:
    if grant.state is GrantState.REVOKED:
        return None
    return _sibling_id(command, grant) if _needs_sibling(grant, entry) else grant.grant_id


def _record(command: RefundCredits, entry: Entry, direct_count: int) -> CommandRecord:
    return CommandRecord(
        command.book_id,
        command.refund_id,
        CommandKind.REFUND,
        command.owner_id,
        command.currency,
        command.fingerprint,
        CommandState.DONE,
        entry.transfers[0].seq if direct_count else None,
        direct_count,
        entry.book.now,
        is_new=True,
    )


def _first_answer(command: RefundCredits, known: CommandRecord, state: State) -> Refund:
    if known.kind is CommandKind.REFUND and known.fingerprint == command.fingerprint:
        return state.refunds[known.key]
    raise RefundExistsWithDifferentField(refund_id=command.refund_id, field=_different_field(command, known, state))


def _different_field(command: RefundCredits, known: CommandRecord, state: State) -> str:
    place = different_place(command, known, CommandKind.REFUND)
    if place is not None:
        return place
    refund = state.refunds[known.key]
    pairs: dict[str, tuple[object, object]] = {
        "hold_id": (refund.hold_id, command.hold_id),
        "amount_minor": (refund.amount_minor, command.amount_minor),
        "refund_grace_days": (refund.grace_days, command.grace_days),
    }
    return first_different(pairs, otherwise="reason")
