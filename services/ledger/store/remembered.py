"""System accounts as this process left them, so that they need not be read again while nobody else writes their book.

Every change of a book gives its row a new random stamp. Whoever locks the book and finds the stamp that he himself
wrote knows that the sums he remembers are those in the tables; with any other stamp he forgets them. That holds for
several processes, after lost connections and after a failover: what was not committed left no stamp.
"""

from collections.abc import Iterable

from services.ledger.domain.records import Account, Book
from services.ledger.domain.state import CodeKey, State

_Marks = tuple[int, int, int]
_Accounts = dict[CodeKey, Account]


class KnownAccounts:
    """What is known of the books of one group."""

    def __init__(self, by_book: dict[int, _Accounts]) -> None:
        self.by_book = by_book

    def get(self, key: CodeKey) -> Account | None:
        """The account, when it is known."""
        return self.by_book[key[0]].get(key)

    def know(self, key: CodeKey, account: Account) -> None:
        """Adds a system account; those of grants are not asked for often enough."""
        if account.owner_id is None:
            self.by_book[key[0]][key] = account


class RememberedAccounts:
    """The accounts of all books. `accounts_max`: of each book; one with more is forgotten and begun anew."""

    def __init__(self, accounts_max: int) -> None:
        self._accounts_max = accounts_max
        self._books: dict[int, tuple[_Marks, _Accounts]] = {}

    def take(self, books: Iterable[Book]) -> KnownAccounts:
        """What is known of books just locked. It is forgotten here until `keep`: a group that fails spoils it."""
        by_book: dict[int, _Accounts] = {}
        for book in books:
            marks, accounts = self._books.pop(book.book_id, (None, {}))
            by_book[book.book_id] = accounts if marks == _marks_of(book) else {}
        return KnownAccounts(by_book)

    def keep(self, state: State, known: KnownAccounts) -> None:
        """Remembers what was known, loaded and opened, as it has just been written."""
        for account in state.changes.accounts_opened:
            account.opened_at = None
            known.know((account.book_id, account.code, account.currency), account)
        for book_id, accounts in known.by_book.items():
            if len(accounts) <= self._accounts_max:
                self._books[book_id] = (_marks_of(state.books[book_id]), accounts)


def _marks_of(book: Book) -> _Marks:
    return book.stamp, book.next_seq, book.next_account_id
