"""System accounts opened and closed explicitly."""

from services.ledger.domain.commands import CloseAccount, OpenAccount
from services.ledger.domain.entry import Entry
from services.ledger.domain.results import AccountPlace
from services.ledger.domain.state import State
from services.ledger.errors import (
    AccountClosed,
    AccountExistsWithDifferentField,
    AccountNotEmpty,
    AccountNotFound,
    AccountReserved,
)


def open_account(command: OpenAccount, state: State, entry: Entry) -> AccountPlace:
    """A system account, new or open already with the same floor.

    Raises ACCOUNT_RESERVED, ACCOUNT_CLOSED, ACCOUNT_EXISTS_WITH_DIFFERENT_FIELD.
    """
    place = AccountPlace(command.book_id, command.code, command.currency)
    account = state.accounts.get(place)
    if account is None:
        entry.open_account(command.code, command.currency, command.floor_minor)
        entry.book.is_changed = True
        return place
    if account.owner_id is not None:
        raise AccountReserved(account=command.code)
    if account.closed_at is not None:
        raise AccountClosed(account=command.code)
    if account.floor_minor != command.floor_minor:
        raise AccountExistsWithDifferentField(account=command.code, field="floor_minor")
    return place


def close_account(command: CloseAccount, state: State, entry: Entry) -> AccountPlace:
    """Closes an empty system account; closing twice is once.

    Raises ACCOUNT_NOT_FOUND, ACCOUNT_RESERVED, ACCOUNT_NOT_EMPTY.
    """
    place = AccountPlace(command.book_id, command.code, command.currency)
    account = state.accounts.get(place)
    if account is None:
        raise AccountNotFound(account=command.code, currency=command.currency)
    if account.owner_id is not None:
        raise AccountReserved(account=command.code)
    if account.posted_minor != 0 or account.held_minor != 0:
        raise AccountNotEmpty(account=command.code, posted_minor=account.posted_minor, held_minor=account.held_minor)
    if account.closed_at is None:
        entry.set_closed(account, entry.book.now)
        entry.book.is_changed = True
    return place
