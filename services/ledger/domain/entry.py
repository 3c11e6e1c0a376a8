"""The movements of one command, all or nothing, and the arithmetic of sums, floors and bounds."""

from datetime import datetime
from uuid import UUID

from services.ledger.domain.kinds import TransferKind
from services.ledger.domain.records import GRANT_CODE_PREFIX, Account, Book, Movement, TransferExpiry
from services.ledger.domain.results import Transfer
from services.ledger.domain.state import State
from services.ledger.errors import AccountClosed, AccountReserved, AmountOutOfRange, InsufficientFunds

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

# Per kind: how often the amount moves from debit to credit, and how often it is added to the debit account's held sum.
_EFFECTS = {
    TransferKind.POSTED: (1, 0),
    TransferKind.HOLD: (0, 1),
    TransferKind.CAPTURE: (1, -1),
    TransferKind.RELEASE: (0, -1),
    TransferKind.REVERSAL: (1, 0),
}


class Entry:
    """Collects the transfers of one command. `undo` takes everything back, `accept` makes it part of the group."""

    __slots__ = (
        *("_closings", "_ended", "_expiries", "_lefts", "_moved", "_next_account_id", "_opened", "_reason", "_state"),
        *("book", "transfers"),
    )

    def __init__(self, state: State, book: Book, reason: str) -> None:
        self.book = book
        self.transfers: list[Transfer] = []
        self._state = state
        self._reason = reason
        self._next_account_id = book.next_account_id
        # Of each transfer the two accounts, one after the other.
        self._moved: list[Account] = []
        self._opened: dict[tuple[str, str], Account] = {}
        # What was before, of accounts closed or opened again and of movements ended or taken back.
        self._closings: list[tuple[Account, datetime | None]] = []
        self._lefts: list[tuple[Movement, int]] = []
        self._expiries: list[TransferExpiry] = []
        self._ended: list[Movement] = []

    def system_account(self, code: str, currency: str, *, may_be_closed: bool = False) -> Account:
        """The system account of this code, opened at its first use; by a transfer again, where it may be closed.

        Raises ACCOUNT_RESERVED, ACCOUNT_CLOSED.
        """
        account = self._state.accounts.get((self.book.book_id, code, currency)) or self._opened.get((code, currency))
        if account is None:
            return self.open_account(code, currency, floor_minor=None)
        if account.owner_id is not None:
            raise AccountReserved(account=code)
        if account.closed_at is not None and not may_be_closed:
            raise AccountClosed(account=code)
        return account

    def open_account(self, code: str, currency: str, floor_minor: int | None) -> Account:
        """Opens a system account. Raises ACCOUNT_RESERVED."""
        if code.startswith(GRANT_CODE_PREFIX):
            raise AccountReserved(account=code)
        return self._open(code, currency, None, floor_minor)

    def grant_account(self, grant_id: UUID, currency: str, owner_id: UUID) -> Account:
        """Opens the account of a new grant; it never falls below zero."""
        return self._open(f"{GRANT_CODE_PREFIX}{grant_id}", currency, owner_id, floor_minor=0)

    def transfer(
        self,
        kind: TransferKind,
        transaction_id: UUID,
        debit: Account,
        credit: Account,
        amount_minor: int,
        target_seq: int | None = None,
    ) -> None:
        """Makes one transfer. Raises INSUFFICIENT_FUNDS, AMOUNT_OUT_OF_RANGE."""
        moves, sets_aside = _EFFECTS[kind]
        debit_posted = debit.posted_minor - moves * amount_minor
        debit_held = debit.held_minor + sets_aside * amount_minor
        credit_posted = credit.posted_minor + moves * amount_minor
        floor = debit.floor_minor
        if floor is not None and debit_posted - debit_held < floor:
            raise InsufficientFunds(
                account=debit.code, available_minor=debit.available_minor - floor, amount_minor=amount_minor
            )
        if debit_posted < INT64_MIN or debit_held > INT64_MAX:
            raise AmountOutOfRange(account=debit.code)
        if credit_posted > INT64_MAX:
            raise AmountOutOfRange(account=credit.code)
        if moves and (debit.closed_at is not None or credit.closed_at is not None):
            self._open_again(debit, credit)
        debit.posted_minor = debit_posted
        debit.held_minor = debit_held
        credit.posted_minor = credit_posted
        self._moved += (debit, credit)
        book = self.book
        self.transfers.append(
            Transfer(
                book.book_id,
                book.next_seq,
                transaction_id,
                kind,
                debit.account_id,
                credit.account_id,
                amount_minor,
                debit_posted,
                debit_held,
                credit_posted,
                credit.held_minor,
                self._reason,
                book.now,
                target_seq,
            )
        )
        book.next_seq += 1

    def use(self, movement: Movement, amount_minor: int) -> None:
        """Takes from what is left of an earlier movement."""
        self._lefts.append((movement, movement.left_minor))
        movement.left_minor -= amount_minor

    def use_up(self, hold: Movement) -> None:
        """Ends an earlier hold."""
        self.use(hold, hold.left_minor)
        self._ended.append(hold)

    def expire_later(self, expires_at: datetime) -> None:
        """Sets a time for the end of the transfer just made, a hold."""
        hold = self.transfers[-1]
        self._expiries.append(TransferExpiry(hold.book_id, hold.seq, hold.transaction_id, expires_at, is_new=True))

    def set_closed(self, account: Account, closed_at: datetime | None) -> None:
        """Closes an account or opens it again."""
        self._closings.append((account, account.closed_at))
        account.closed_at = closed_at

    def accept(self) -> None:
        """Makes the transfers and the accounts opened for them part of the group's changes."""
        changes = self._state.changes
        for account in self._opened.values():
            self._state.accounts[account.book_id, account.code, account.currency] = account
            changes.accounts_opened.append(account)
        changes.accounts_moved.update(dict.fromkeys(self._moved))
        for account, _ in self._closings:
            changes.closings_changed[account] = None
        changes.transfers += self.transfers
        for expiry in self._expiries:
            self._state.make_expiry(expiry)
        for hold in self._ended:
            self._state.end_expiry((hold.transfer.book_id, hold.transfer.seq))

    def undo(self) -> None:
        """Puts sums and counters back to what they were before this command."""
        accounts = iter(reversed(self._moved))
        for transfer, credit, debit in zip(reversed(self.transfers), accounts, accounts, strict=True):
            moves, sets_aside = _EFFECTS[transfer.kind]
            debit.posted_minor += moves * transfer.amount_minor
            debit.held_minor -= sets_aside * transfer.amount_minor
            credit.posted_minor -= moves * transfer.amount_minor
        for movement, left_minor in reversed(self._lefts):
            movement.left_minor = left_minor
        for account, closed_at in reversed(self._closings):
            account.closed_at = closed_at
        self.book.next_seq -= len(self.transfers)
        self.book.next_account_id = self._next_account_id

    def _open_again(self, *accounts: Account) -> None:
        """The end of an earlier movement is never refused because an account was closed in between."""
        for account in accounts:
            if account.closed_at is not None:
                self.set_closed(account, None)

    def _open(self, code: str, currency: str, owner_id: UUID | None, floor_minor: int | None) -> Account:
        book = self.book
        account = Account(
            book.book_id, book.next_account_id, code, currency, owner_id, floor_minor, 0, 0, opened_at=book.now
        )
        book.next_account_id += 1
        self._opened[code, currency] = account
        return account
