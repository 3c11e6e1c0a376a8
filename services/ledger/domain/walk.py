"""One book recomputed from its first transfer to its last. Shares no arithmetic with what wrote it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from services.ledger.domain.findings import Finding, FindingKind
from services.ledger.domain.seals import StoredTransfer
from services.runtime.findings import Collector

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)

# What a transfer of each kind does with its amount: to the debit account's posted sum, to its held sum, and to the
# credit account's posted sum.
_EFFECTS = {
    "posted": (-1, 0, 1),
    "hold": (0, 1, 0),
    "capture": (-1, -1, 1),
    "release": (0, -1, 0),
    "reversal": (-1, 0, 1),
}
# A word that the ledger does not know; its sums say what it did all the same.
_NO_EFFECT = (0, 0, 0)


@dataclass(slots=True)
class WalkedAccount:
    """An account's row, and what its transfers make of it; sums in minor units.

    `posted`, `held` are recomputed from amounts alone; `last_posted`, `last_held` are what the latest transfer says.
    """

    account_id: int
    code: str
    currency: str
    floor_minor: int | None
    row_posted: int
    row_held: int
    posted: int = 0
    held: int = 0
    last_posted: int = 0
    last_held: int = 0
    was_below_floor: bool = False

    @property
    def name(self) -> str:
        """What findings call it."""
        return f"account {self.code} {self.currency}"


class BookWalk:
    """Feed it all transfers of a book in order, then finish. What is wrong is added to the collector."""

    def __init__(self, accounts: Mapping[int, WalkedAccount], collector: Collector[FindingKind, Finding]) -> None:
        self._accounts = accounts
        self._collector = collector
        self._last_at = _BEFORE_ALL
        self.last_seq = 0
        self.transfers = 0

    def feed(self, transfers: Iterable[StoredTransfer]) -> None:
        """The next transfers."""
        for transfer in transfers:
            self._follow(transfer)
            debit = self._account(transfer, transfer.debit_account_id)
            credit = self._account(transfer, transfer.credit_account_id)
            if debit is not None and credit is not None and debit.currency != credit.currency:
                currencies = f"{debit.currency} and {credit.currency}"
                self._add(FindingKind.CURRENCIES_MIXED, transfer, "", "one currency", currencies)
            debit_sign, held_sign, credit_sign = _EFFECTS.get(transfer.kind, _NO_EFFECT)
            amount = transfer.amount_minor
            if debit is not None:
                sums = (transfer.debit_posted_minor, transfer.debit_held_minor)
                self._move(transfer, "debit", debit, debit_sign * amount, held_sign * amount, sums)
                self._check_floor(transfer, debit)
            if credit is not None:
                sums = (transfer.credit_posted_minor, transfer.credit_held_minor)
                self._move(transfer, "credit", credit, credit_sign * amount, 0, sums)

    def finish(self, next_seq: int) -> None:
        """After the last transfer: the rows of accounts and of the book itself."""
        if next_seq != self.last_seq + 1:
            difference = next_seq - self.last_seq - 1
            self._collector.add(
                FindingKind.NEXT_SEQUENCE_DIFFERS, "next sequence", self.last_seq + 1, next_seq, difference
            )
        totals: dict[str, int] = {}
        for account in self._accounts.values():
            totals[account.currency] = totals.get(account.currency, 0) + account.row_posted
            self._compare_row(account, "posted", account.posted, account.row_posted)
            self._compare_row(account, "held", account.held, account.row_held)
        for currency, total in sorted(totals.items()):
            if total != 0:
                self._collector.add(FindingKind.CURRENCY_SUM_NOT_ZERO, f"currency {currency}", 0, total)

    def _follow(self, transfer: StoredTransfer) -> None:
        """The sequence has no gaps and the book's time never runs backwards."""
        if transfer.seq != self.last_seq + 1:
            self._add(FindingKind.SEQUENCE_GAP, transfer, "", f"transfer {self.last_seq + 1}", "nothing before it")
        if transfer.created_at < self._last_at:
            self._add(FindingKind.TIME_RUNS_BACKWARDS, transfer, "", f"not before {self._last_at}", transfer.created_at)
        self._last_at = transfer.created_at
        self.last_seq = transfer.seq
        self.transfers += 1

    def _account(self, transfer: StoredTransfer, account_id: int) -> WalkedAccount | None:
        account = self._accounts.get(account_id)
        if account is None:
            self._add(FindingKind.ACCOUNT_MISSING, transfer, "", f"account number {account_id}", "no account")
        return account

    def _move(
        self,
        transfer: StoredTransfer,
        side: str,
        account: WalkedAccount,
        posted: int,
        held: int,
        stored: tuple[int, int],
    ) -> None:
        """Goes on by one transfer and compares its stored sums.

        A stored sum is right when it follows from all amounts before it, or from the stored sum before it. So the
        first one that is wrong is found, since both say the same up to there, and not all those after it again.
        """
        account.posted += posted
        account.held += held
        stored_posted, stored_held = stored
        if stored_posted not in (account.posted, account.last_posted + posted):
            self._add_sum(transfer, f"{side} posted", account, account.posted, stored_posted)
        if stored_held not in (account.held, account.last_held + held):
            self._add_sum(transfer, f"{side} held", account, account.held, stored_held)
        account.last_posted = stored_posted
        account.last_held = stored_held

    def _check_floor(self, transfer: StoredTransfer, account: WalkedAccount) -> None:
        """Once per account: what follows a first fall below the floor says nothing new."""
        floor = account.floor_minor
        available = account.last_posted - account.last_held
        if (account.last_held < 0 or (floor is not None and available < floor)) and not account.was_below_floor:
            account.was_below_floor = True
            expected = "nothing below zero held" if account.last_held < 0 else f"at least {floor}"
            found = account.last_held if account.last_held < 0 else available
            self._add(FindingKind.BELOW_FLOOR, transfer, f", {account.name}", expected, found)

    def _compare_row(self, account: WalkedAccount, which: str, recomputed: int, stored: int) -> None:
        if recomputed != stored:
            self._collector.add(
                FindingKind.ACCOUNT_SUM_DIFFERS,
                f"{account.name}, {which}",
                recomputed,
                f"{stored}, which is {stored - recomputed:+}",
                stored - recomputed,
            )

    def _add_sum(self, transfer: StoredTransfer, which: str, account: WalkedAccount, expected: int, found: int) -> None:
        self._add(FindingKind.SUM_AFTER_TRANSFER_DIFFERS, transfer, f", {which}, {account.name}", expected, found)

    def _add(self, kind: FindingKind, transfer: StoredTransfer, more: str, expected: object, found: object) -> None:
        self._collector.add(kind, f"transfer {transfer.seq}{more}", expected, found)
