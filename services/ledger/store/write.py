"""Writes what a group of commands changed: arrays, one statement per table, only for tables that changed."""

import secrets
from collections.abc import Iterable

from services.ledger.domain.records import Account, Book, Grant, Hold
from services.ledger.domain.state import Changes, State
from services.ledger.store.copying import copy_commands, copy_transfers
from services.ledger.store.statements import columns, queries
from services.ledger.store.write_plain import is_small_and_plain, write_plain
from services.runtime.database import Connection

Row = tuple[object, ...]

_STAMP_BITS = 63


async def write(connection: Connection, state: State) -> None:
    """New rows before rows that point to them; changes of rows that were there; the books last."""
    changes = state.changes
    books = [book for book in state.books.values() if book.is_changed]
    for book in books:
        book.stamp = secrets.randbits(_STAMP_BITS)
    if is_small_and_plain(state):
        await write_plain(connection, changes, books)
        return
    await _write_accounts(connection, changes)
    await _write_holds(connection, changes)
    await _write_grants(connection, changes)
    await _write_hold_parts(connection, changes)
    await _write_refunds(connection, changes)
    await _write_expiries(connection, changes)
    await _write_commands(connection, changes)
    if changes.transfers:
        await copy_transfers(connection, changes.transfers)
    await _write_books(connection, books)


async def _write_accounts(connection: Connection, changes: Changes) -> None:
    opened: list[Row] = [
        (
            account.book_id,
            account.account_id,
            account.code,
            account.currency,
            account.owner_id,
            account.floor_minor,
            account.posted_minor,
            account.held_minor,
            account.opened_at,
        )
        for account in changes.accounts_opened
    ]
    if opened:
        await queries.insert_accounts(connection, *columns(opened))
    # Only an empty account is closed: those that are opened again come before the sums, those that are closed after.
    await _write_closings(connection, [each for each in changes.closings_changed if each.closed_at is None])
    moved = [
        (account.book_id, account.account_id, account.posted_minor, account.held_minor)
        for account in changes.accounts_moved
        if account.opened_at is None
    ]
    if moved:
        await queries.update_accounts(connection, *columns(moved))
    await _write_closings(connection, [each for each in changes.closings_changed if each.closed_at is not None])


async def _write_closings(connection: Connection, accounts: Iterable[Account]) -> None:
    rows: list[Row] = [(account.book_id, account.account_id, account.closed_at) for account in accounts]
    if rows:
        await queries.update_closings(connection, *columns(rows))


async def _write_holds(connection: Connection, changes: Changes) -> None:
    made: list[Row] = [
        (
            hold.book_id,
            hold.hold_id,
            hold.owner_id,
            hold.currency,
            hold.credit.account_id,
            hold.target_minor,
            hold.held_minor,
            hold.captured_minor,
            hold.state,
            hold.reverse_born_held,
            hold.reason,
            hold.expires_at,
            hold.created_at,
            hold.ended_at,
        )
        for hold in changes.holds_made
    ]
    if made:
        await queries.insert_holds(connection, *columns(made))
    ended: list[Row] = [
        (hold.book_id, hold.hold_id, hold.state, hold.captured_minor, hold.reverse_born_held, hold.ended_at)
        for hold in changes.holds_ended
    ]
    if ended:
        await queries.update_holds(connection, *columns(ended))


async def _write_grants(connection: Connection, changes: Changes) -> None:
    made: list[Row] = [
        (
            grant.book_id,
            grant.grant_id,
            grant.account.account_id,
            grant.owner_id,
            grant.currency,
            grant.category,
            grant.priority,
            grant.amount_minor,
            grant.source.account_id,
            grant.hold_id,
            grant.effective_at,
            grant.expires_at,
            grant.created_at,
            *_grant_ends(grant),
        )
        for grant in changes.grants_made
    ]
    if made:
        await queries.insert_grants(connection, *columns(made))
    changed = [
        (grant.book_id, grant.grant_id, *_grant_ends(grant)) for grant in changes.grants_changed if not grant.is_new
    ]
    if changed:
        await queries.update_grants(connection, *columns(changed))


def _grant_ends(grant: Grant) -> Row:
    """What changes in a grant's row."""
    revoked = (grant.revoked.reversed_minor, grant.revoked.held_minor) if grant.revoked else (None, None)
    return grant.state, grant.expired_minor, *revoked, grant.empty_since


async def _write_hold_parts(connection: Connection, changes: Changes) -> None:
    made = list(_part_rows(changes.holds_made))
    if made:
        await queries.insert_hold_parts(connection, *columns(made))
    spent = [
        (hold.book_id, hold.hold_id, position, part.captured_minor, part.refunded_minor)
        for hold in changes.holds_spent
        for position, part in enumerate(hold.parts)
        if part.captured_minor > 0
    ]
    if spent:
        await queries.update_hold_parts(connection, *columns(spent))


def _part_rows(holds: Iterable[Hold]) -> Iterable[Row]:
    for hold in holds:
        for position, part in enumerate(hold.parts):
            spent = (part.captured_minor, part.refunded_minor)
            yield hold.book_id, hold.hold_id, position, part.grant.grant_id, part.held_minor, *spent


async def _write_refunds(connection: Connection, changes: Changes) -> None:
    made: list[Row] = [
        (
            refund.book_id,
            refund.refund_id,
            refund.hold_id,
            refund.amount_minor,
            refund.grace_days,
            refund.reason,
            refund.created_at,
        )
        for refund in changes.refunds_made
    ]
    if made:
        await queries.insert_refunds(connection, *columns(made))
        parts = [
            (*refund.key, position, part.grant_id, part.amount_minor, part.returned_to_grant_id)
            for refund in changes.refunds_made
            for position, part in enumerate(refund.parts)
        ]
        await queries.insert_refund_parts(connection, *columns(parts))


async def _write_expiries(connection: Connection, changes: Changes) -> None:
    made: list[Row] = [
        (expiry.book_id, expiry.seq, expiry.transaction_id, expiry.expires_at, expiry.ended_at)
        for expiry in changes.expiries_made
    ]
    if made:
        await queries.insert_transfer_expiries(connection, *columns(made))
    ended: list[Row] = [(expiry.book_id, expiry.seq, expiry.ended_at) for expiry in changes.expiries_ended]
    if ended:
        await queries.update_transfer_expiries(connection, *columns(ended))


async def _write_commands(connection: Connection, changes: Changes) -> None:
    if changes.commands_made:
        await copy_commands(connection, changes.commands_made)
    entries = [
        (command.book_id, key, value, command.first_seq, command.command_id)
        for command in changes.commands_made
        if command.metadata
        for key, value in command.metadata.items()
    ]
    if entries:
        await queries.insert_transaction_metadata(connection, *columns(entries))
    ended = [(*key, state) for key, state in changes.commands_ended.items()]
    if ended:
        await queries.update_commands(connection, *columns(ended))


async def _write_books(connection: Connection, books: Iterable[Book]) -> None:
    changed = [(book.book_id, book.next_seq, book.next_account_id, book.now, book.stamp) for book in books]
    if changed:
        await queries.update_books(connection, *columns(changed))
