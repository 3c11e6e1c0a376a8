"""Writes small groups of plain transactions in one round trip: with one transfer a call, round trips are what costs."""

from collections.abc import Sequence

from services.ledger.domain.kinds import CommandKind
from services.ledger.domain.records import Book
from services.ledger.domain.state import Changes, State
from services.ledger.store.statements import columns, queries
from services.runtime.database import Connection

# Of more transfers COPY is faster, although it takes two round trips a table.
_TRANSFERS_MAX = 200


def is_small_and_plain(state: State) -> bool:
    """Whether nothing changes but commands, transfers, sums of accounts that were there, and books."""
    changes = state.changes
    others = (
        *(changes.accounts_opened, changes.closings_changed, changes.commands_ended),
        *(changes.grants_made, changes.grants_changed, changes.holds_made, changes.holds_ended),
        *(changes.holds_spent, changes.refunds_made, changes.expiries_made, changes.expiries_ended),
    )
    return 0 < len(changes.transfers) <= _TRANSFERS_MAX and not any(others) and _are_plain(changes)


def _are_plain(changes: Changes) -> bool:
    return all(
        command.kind is CommandKind.TRANSACTION and command.metadata is None for command in changes.commands_made
    )


async def write_plain(connection: Connection, changes: Changes, books: Sequence[Book]) -> None:
    """Everything."""
    commands = [
        (
            command.book_id,
            command.command_id,
            command.owner_id,
            command.currency,
            command.fingerprint,
            command.first_seq,
            command.transfer_count,
            command.created_at,
            command.reason,
        )
        for command in changes.commands_made
    ]
    counted = [(book.book_id, book.next_seq, book.next_account_id, book.now, book.stamp) for book in books]
    sums = [
        (account.book_id, account.account_id, account.posted_minor, account.held_minor)
        for account in changes.accounts_moved
    ]
    arrays = (*columns(commands), *columns(changes.transfers), *columns(counted), *columns(sums))
    await queries.write_plain(connection, *arrays)
