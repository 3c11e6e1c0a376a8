"""The movements of one command, all or nothing, and the arithmetic of sums, floors and bounds."""

from uuid import UUID

from services.ledger.domain.kinds import TransferKind
from services.ledger.domain.records import GRANT_CODE_PREFIX, Account, Book
from services.ledger.domain.results import Transfer
from services.ledger.domain.state import State
from services.ledger.errors import AccountReserved, AmountOutOfRange, InsufficientFunds

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

    __slots__ = ("_before", "_next_account_id", "_next_seq", "_opened", "_reason", "_state", "book", "transfers")

    def __init__(self, state: State, book: Book, reason: str) -> None:
        self.book = book
        self.transfers: list[Transfer] = []
        self._state = state
        self._reason = reason
        self._next_seq = book.next_seq
        self._next_account_id = book.next_account_id
        self._opened: dict[tuple[str, str], Account] = {}
        self._before: list[tuple[Account, int, int]] = []

    def system_account(self, code: str, currency: str) -> Account:
        """The system account of this code, opened at its first use. Raises ACCOUNT_RESERVED."""
        account = self._state.accounts.get((self.book.book_id, code, currency)) or self._opened.get((code, currency))
        if account is not None and account.owner_id is None:
            return account
        if code.startswith(GRANT_CODE_PREFIX):
            raise AccountReserved(account=code)
        return self._open(code, currency, owner_id=None, floor_minor=None)

    def grant_account(self, grant_id: UUID, currency: str, owner_id: UUID) -> Account:
        """Opens the account of a new grant; it never falls below zero."""
        return self._open(f"{GRANT_CODE_PREFIX}{grant_id}", currency, owner_id, floor_minor=0)

    def transfer(
        self, kind: TransferKind, transaction_id: UUID, debit: Account, credit: Account, amount_minor: int
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
        if debit_posted < INT64_MIN:
            raise AmountOutOfRange(account=debit.code)
        if credit_posted > INT64_MAX:
            raise AmountOutOfRange(account=credit.code)
        self._before.append((debit, debit.posted_minor, debit.held_minor))
        self._before.append((credit, credit.posted_minor, credit.held_minor))
        debit.posted_minor = debit_posted
        debit.held_minor = debit_held
        credit.posted_minor = credit_posted
        self._append(kind, transaction_id, debit, credit, amount_minor)

    def accept(self) -> None:
        """Makes the transfers and the accounts opened for them part of the group's changes."""
        changes = self._state.changes
        for account in self._opened.values():
            self._state.accounts[account.book_id, account.code, account.currency] = account
            changes.accounts_opened.append(account)
        for account, _, _ in self._before:
            changes.accounts_moved[account] = None
        changes.transfers.extend(self.transfers)

    def undo(self) -> None:
        """Puts sums and counters back to what they were before this command."""
        for account, posted_minor, held_minor in reversed(self._before):
            account.posted_minor = posted_minor
            account.held_minor = held_minor
        self.book.next_seq = self._next_seq
        self.book.next_account_id = self._next_account_id

    def _open(self, code: str, currency: str, owner_id: UUID | None, floor_minor: int | None) -> Account:
        book = self.book
        account = Account(
            book.book_id, book.next_account_id, code, currency, owner_id, floor_minor, 0, 0, opened_at=book.now
        )
        book.next_account_id += 1
        self._opened[code, currency] = account
        return account

    def _append(
        self, kind: TransferKind, transaction_id: UUID, debit: Account, credit: Account, amount_minor: int
    ) -> None:
        book = self.book
        transfer = Transfer(
            book.book_id,
            book.next_seq,
            transaction_id,
            kind,
            debit.account_id,
            credit.account_id,
            amount_minor,
            debit.posted_minor,
            debit.held_minor,
            credit.posted_minor,
            credit.held_minor,
            self._reason,
            book.now,
        )
        book.next_seq += 1
        self.transfers.append(transfer)
