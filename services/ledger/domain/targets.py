"""Transfers that end or take back an earlier one: captures, releases, expiries, reversals between system accounts."""

from collections.abc import Callable
from uuid import UUID

from services.ledger.domain.commands import ExpireTransfer, PostTransaction, Target, TransferOrder
from services.ledger.domain.entry import Entry
from services.ledger.domain.expiries import expiry_record
from services.ledger.domain.kinds import CommandKind, TransferKind
from services.ledger.domain.records import Account, CommandRecord, Movement
from services.ledger.domain.results import Expired, Transfer
from services.ledger.domain.state import State
from services.ledger.errors import (
    AmountExceedsTransfer,
    TransferAlreadyEnded,
    TransferKindUnsuitable,
    TransferNotFound,
)

# What a reversal can take back. A reversal is final.
_REVERSIBLE = (TransferKind.POSTED, TransferKind.CAPTURE)


def transfer_to_target(command: PostTransaction, order: TransferOrder, state: State, entry: Entry) -> None:
    """One capture, release or reversal.

    Raises TRANSFER_NOT_FOUND, TRANSFER_KIND_UNSUITABLE, TRANSFER_ALREADY_ENDED, AMOUNT_EXCEEDS_TRANSFER,
    INSUFFICIENT_FUNDS (of a reversal), AMOUNT_OUT_OF_RANGE.
    """
    if order.target is None:
        raise ValueError(f"a {order.kind} without a target")
    movement = _movement(command, order.target, state)
    _ORDERS[order.kind](command.transaction_id, order, order.target, movement, entry)


def expire_transfer(command: ExpireTransfer, state: State, entry: Entry) -> Expired:
    """Frees a transaction's hold whose time has come and that has not ended. Raises TRANSFER_NOT_FOUND."""
    hold = _movement(command, command.target, state)
    expiry = state.expiries.get((command.book_id, hold.transfer.seq))
    if expiry is None or hold.left_minor == 0 or expiry.expires_at > entry.book.now:
        return Expired(None)
    held_minor = hold.left_minor
    _free(command.expiry_id, hold, entry)
    state.make_command(expiry_record(command, entry, str(command.target.transaction_id), command.target.position))
    return Expired(held_minor)


def left_of(transfer: Transfer, taken_minor: int, is_ended: bool) -> int:
    """What of a transfer can still be captured, released or reversed, in minor units."""
    if transfer.kind is TransferKind.HOLD:
        return 0 if is_ended else transfer.amount_minor
    return transfer.amount_minor - taken_minor


def _capture(transaction_id: UUID, order: TransferOrder, target: Target, hold: Movement, entry: Entry) -> None:
    _require_open_hold(hold, target)
    held_minor = hold.left_minor
    _require_left(hold, target, order.amount_minor)
    entry.use_up(hold)
    accounts, seq = (hold.debit, hold.credit), hold.transfer.seq
    entry.transfer(TransferKind.CAPTURE, transaction_id, *accounts, order.amount_minor, seq)
    if held_minor > order.amount_minor:
        entry.transfer(TransferKind.RELEASE, transaction_id, *accounts, held_minor - order.amount_minor, seq)


def _release(transaction_id: UUID, _order: TransferOrder, target: Target, hold: Movement, entry: Entry) -> None:
    _require_open_hold(hold, target)
    _free(transaction_id, hold, entry)


def _free(transaction_id: UUID, hold: Movement, entry: Entry) -> None:
    held_minor = hold.left_minor
    entry.use_up(hold)
    entry.transfer(TransferKind.RELEASE, transaction_id, hold.debit, hold.credit, held_minor, hold.transfer.seq)


def _reverse(transaction_id: UUID, order: TransferOrder, target: Target, moved: Movement, entry: Entry) -> None:
    if moved.transfer.kind not in _REVERSIBLE:
        raise _unsuitable(moved, target)
    _require_left(moved, target, order.amount_minor)
    entry.use(moved, order.amount_minor)
    entry.transfer(
        TransferKind.REVERSAL, transaction_id, moved.credit, moved.debit, order.amount_minor, moved.transfer.seq
    )


_ORDERS: dict[TransferKind, Callable[[UUID, TransferOrder, Target, Movement, Entry], None]] = {
    TransferKind.CAPTURE: _capture,
    TransferKind.RELEASE: _release,
    TransferKind.REVERSAL: _reverse,
}


def _require_open_hold(hold: Movement, target: Target) -> None:
    if hold.transfer.kind is not TransferKind.HOLD:
        raise _unsuitable(hold, target)
    if hold.left_minor == 0:
        raise TransferAlreadyEnded(transaction_id=target.transaction_id, index=target.position)


def _require_left(movement: Movement, target: Target, amount_minor: int) -> None:
    if amount_minor > movement.left_minor:
        raise AmountExceedsTransfer(
            transaction_id=target.transaction_id,
            index=target.position,
            left_minor=movement.left_minor,
            amount_minor=amount_minor,
        )


def _unsuitable(movement: Movement, target: Target) -> TransferKindUnsuitable:
    return TransferKindUnsuitable(
        transaction_id=target.transaction_id, index=target.position, kind=movement.transfer.kind
    )


def _movement(command: PostTransaction | ExpireTransfer, target: Target, state: State) -> Movement:
    """The target, loaded or made by this group."""
    known = state.commands.get((command.book_id, target.transaction_id))
    if (
        known is None
        or known.kind is not CommandKind.TRANSACTION
        or known.first_seq is None
        or known.currency != command.currency
        or target.position >= known.transfer_count
    ):
        raise TransferNotFound(transaction_id=target.transaction_id, index=target.position)
    key = (command.book_id, known.first_seq + target.position)
    movement = state.movements.get(key)
    if movement is None:
        movement = state.movements[key] = _movement_of_this_group(known, target.position, state)
    return movement


def _movement_of_this_group(known: CommandRecord, index: int, state: State) -> Movement:
    if known.posted is None:
        raise ValueError(f"transfer {index} of transaction {known.command_id} was not loaded")
    transfer = known.posted.transfers[index]
    accounts: dict[tuple[int, int], Account] = {
        (account.book_id, account.account_id): account for account in state.accounts.values()
    }
    debit, credit = (accounts[known.book_id, each] for each in (transfer.debit_account_id, transfer.credit_account_id))
    return Movement(transfer, debit, credit, left_of(transfer, 0, is_ended=False))
