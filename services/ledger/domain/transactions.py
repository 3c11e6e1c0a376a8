"""Transactions between system accounts."""

from services.ledger.domain.commands import PostTransaction
from services.ledger.domain.entry import Entry
from services.ledger.domain.kinds import CommandKind, CommandState, TransferKind
from services.ledger.domain.records import CommandRecord
from services.ledger.domain.results import PostedTransaction
from services.ledger.domain.state import State
from services.ledger.errors import SameAccount, TransactionExistsWithDifferentField


def post_transaction(command: PostTransaction, state: State, entry: Entry) -> PostedTransaction:
    """All its transfers in order.

    Raises SAME_ACCOUNT, ACCOUNT_RESERVED, INSUFFICIENT_FUNDS, AMOUNT_OUT_OF_RANGE,
    TRANSACTION_EXISTS_WITH_DIFFERENT_FIELD.
    """
    known = state.commands.get((command.book_id, command.transaction_id))
    if known is not None:
        return _first_answer(command, known)
    for order in command.transfers:
        if order.debit_code == order.credit_code:
            raise SameAccount(account=order.debit_code)
        debit = entry.system_account(order.debit_code, command.currency)
        credit = entry.system_account(order.credit_code, command.currency)
        entry.transfer(TransferKind.POSTED, command.transaction_id, debit, credit, order.amount_minor)
    posted = PostedTransaction(command.transaction_id, entry.transfers, entry.book.now)
    state.make_command(_record(command, entry, posted))
    return posted


def _record(command: PostTransaction, entry: Entry, posted: PostedTransaction) -> CommandRecord:
    return CommandRecord(
        command.book_id,
        command.transaction_id,
        CommandKind.TRANSACTION,
        command.owner_id,
        command.currency,
        command.fingerprint,
        CommandState.DONE,
        entry.transfers[0].seq,
        len(entry.transfers),
        entry.book.now,
        posted=posted,
        is_new=True,
    )


def _first_answer(command: PostTransaction, known: CommandRecord) -> PostedTransaction:
    if known.posted is not None and known.fingerprint == command.fingerprint:
        return known.posted
    raise TransactionExistsWithDifferentField(
        transaction_id=command.transaction_id, field=_different_field(command, known)
    )


def _different_field(command: PostTransaction, known: CommandRecord) -> str:
    if known.posted is None:
        return "kind"
    if known.owner_id != command.owner_id:
        return "owner_id"
    if known.currency != command.currency:
        return "currency"
    return "reason" if known.posted.transfers[0].reason != command.reason else "transfers"
