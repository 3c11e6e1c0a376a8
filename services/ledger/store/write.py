"""Writes what a group of commands changed: arrays, one statement per table, only for tables that changed."""

from collections.abc import Iterable

from services.ledger.domain.records import Hold
from services.ledger.domain.state import Changes, State
from services.ledger.store.statements import columns, queries
from services.runtime.database import Connection

Row = tuple[object, ...]


async def write(connection: Connection, state: State) -> None:
    """New rows before rows that point to them; changes of rows that were there; the books last."""
    changes = state.changes
    await _write_accounts(connection, changes)
    await _write_holds(connection, changes)
    await _write_grants(connection, changes)
    await _write_hold_parts(connection, changes)
    await _write_commands(connection, changes)
    if changes.transfers:
        await queries.insert_transfers(connection, *columns(changes.transfers))
    await _write_books(connection, state)


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
    moved = [
        (account.book_id, account.account_id, account.posted_minor, account.held_minor)
        for account in changes.accounts_moved
        if account.opened_at is None
    ]
    if moved:
        await queries.update_accounts(connection, *columns(moved))


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
        )
        for grant in changes.grants_made
    ]
    if made:
        await queries.insert_grants(connection, *columns(made))


async def _write_hold_parts(connection: Connection, changes: Changes) -> None:
    made = list(_part_rows(changes.holds_made))
    if made:
        await queries.insert_hold_parts(connection, *columns(made))
    spent = [
        (hold.book_id, hold.hold_id, position, part.captured_minor)
        for hold in changes.holds_ended
        for position, part in enumerate(hold.parts)
        if part.captured_minor > 0
    ]
    if spent:
        await queries.update_hold_parts(connection, *columns(spent))


def _part_rows(holds: Iterable[Hold]) -> Iterable[Row]:
    for hold in holds:
        for position, part in enumerate(hold.parts):
            yield hold.book_id, hold.hold_id, position, part.grant.grant_id, part.held_minor, part.captured_minor


async def _write_commands(connection: Connection, changes: Changes) -> None:
    made: list[Row] = [
        (
            command.book_id,
            command.command_id,
            command.kind,
            command.owner_id,
            command.currency,
            command.fingerprint,
            command.state,
            command.first_seq,
            command.transfer_count,
            command.created_at,
        )
        for command in changes.commands_made
    ]
    if made:
        await queries.insert_commands(connection, *columns(made))
    ended = [(*key, state) for key, state in changes.commands_ended.items()]
    if ended:
        await queries.update_commands(connection, *columns(ended))


async def _write_books(connection: Connection, state: State) -> None:
    changed = [
        (book.book_id, book.next_seq, book.next_account_id, book.now)
        for book in state.books.values()
        if book.is_changed
    ]
    if changed:
        await queries.update_books(connection, *columns(changed))
