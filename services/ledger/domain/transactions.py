"""Transactions between system accounts."""

import hashlib

from services.ledger.domain.commands import PostTransaction
from services.ledger.domain.entry import Entry
from services.ledger.domain.grants import require_future
from services.ledger.domain.kinds import CommandKind, CommandState, TransferKind
from services.ledger.domain.records import CommandRecord
from services.ledger.domain.results import PostedTransaction
from services.ledger.domain.state import State
from services.ledger.domain.targets import transfer_to_target
from services.ledger.errors import SameAccount, TransactionExistsWithDifferentField
from services.runtime.ids import FINGERPRINT_LENGTH, fingerprint


def post_transaction(command: PostTransaction, state: State, entry: Entry) -> PostedTransaction:
    """All its transfers in order.

    Raises SAME_ACCOUNT, ACCOUNT_RESERVED, ACCOUNT_CLOSED, INSUFFICIENT_FUNDS, AMOUNT_OUT_OF_RANGE,
    EXPIRE_TIME_PASSED, TRANSACTION_EXISTS_WITH_DIFFERENT_FIELD, and of targets TRANSFER_NOT_FOUND,
    TRANSFER_KIND_UNSUITABLE, TRANSFER_ALREADY_ENDED, AMOUNT_EXCEEDS_TRANSFER.
    """
    known = state.commands.get((command.book_id, command.transaction_id))
    if known is not None:
        return _first_answer(command, known)
    transaction_id, currency = command.transaction_id, command.currency
    for order in command.transfers:
        debit_code, credit_code, amount_minor, kind, target, expires_at = order
        if target is not None:
            transfer_to_target(command, order, state, entry)
            continue
        if debit_code == credit_code:
            raise SameAccount(account=debit_code)
        debit = entry.system_account(debit_code, currency)
        credit = entry.system_account(credit_code, currency)
        entry.transfer(kind, transaction_id, debit, credit, amount_minor)
        if expires_at is not None:
            require_future(expires_at, "transfers.expire_time", entry.book.now)
            entry.expire_later(expires_at)
    posted = PostedTransaction(transaction_id, entry.transfers, entry.book.now)
    state.make_command(_record(command, entry, posted))
    return posted


def fingerprint_of(command: PostTransaction) -> bytes:
    """The digest of all its fields; of plain movements the same as `fingerprint` makes it, in a third of the time."""
    reason, transfers = command.reason, command.transfers
    is_plain = command.metadata is None
    texts = []
    for debit, credit, amount_minor, kind, _, _ in transfers:
        is_plain = is_plain and kind is TransferKind.POSTED
        texts.append(f"s{len(debit)}:{debit}s{len(credit)}:{credit}i{amount_minor};")
    text = f"s3:{command.currency}s{len(reason)}:{reason}l{3 * len(transfers)}:{''.join(texts)}"
    # Only of ASCII is the number of letters that of bytes.
    if not (is_plain and text.isascii() and len(command.currency) == 3):
        return _full_fingerprint(command)
    head = b"l5:s11:transactionu" + command.owner_id.bytes
    return hashlib.blake2b(head + text.encode(), digest_size=FINGERPRINT_LENGTH).digest()


def _full_fingerprint(command: PostTransaction) -> bytes:
    values = [value for transfer in command.transfers for value in transfer[:3]]
    parts: list[object] = [command.owner_id, command.currency, command.reason, values]
    if command.metadata is not None or any(order.kind is not TransferKind.POSTED for order in command.transfers):
        kinds = [[order.kind.value, list(order.target or ())] for order in command.transfers]
        parts += [kinds, dict(command.metadata or {})]
    # Only when there is one: transactions without keep the fingerprints that are stored.
    if any(order.expires_at is not None for order in command.transfers):
        parts.append([order.expires_at for order in command.transfers])
    return fingerprint("transaction", *parts)


def _record(command: PostTransaction, entry: Entry, posted: PostedTransaction) -> CommandRecord:
    return CommandRecord(
        command.book_id,
        command.transaction_id,
        CommandKind.TRANSACTION,
        command.owner_id,
        command.currency,
        fingerprint_of(command),
        CommandState.DONE,
        entry.transfers[0].seq,
        len(entry.transfers),
        entry.book.now,
        posted,
        True,
        command.reason,
        command.metadata,
    )


def _first_answer(command: PostTransaction, known: CommandRecord) -> PostedTransaction:
    if known.posted is not None and known.fingerprint == fingerprint_of(command):
        return known.posted
    raise TransactionExistsWithDifferentField(
        transaction_id=command.transaction_id, field=_different_field(command, known)
    )


def _different_field(command: PostTransaction, known: CommandRecord) -> str:
    if known.kind is not CommandKind.TRANSACTION:
        return "kind"
    if known.owner_id != command.owner_id:
        return "owner_id"
    if known.currency != command.currency:
        return "currency"
    if known.reason != command.reason:
        return "reason"
    return "metadata" if known.metadata != command.metadata else "transfers"
