"""What one group of commands sees and changes: the working copy of the rows that were loaded for it."""

from dataclasses import dataclass, field
from uuid import UUID

from services.ledger.domain.kinds import CommandState, HoldState
from services.ledger.domain.records import Account, Book, CommandRecord, Grant, Hold, Key, Movement, TransferExpiry
from services.ledger.domain.results import Refund, Transfer

# An account's place: book, code, currency.
CodeKey = tuple[int, str, str]
# A transfer's place: book, sequence.
MovementKey = tuple[int, int]
# A wallet's place: book, owner, currency.
WalletKey = tuple[int, UUID, str]


@dataclass(slots=True)
class Changes:
    """The rows to write. New rows are written as they stand when the whole group is decided."""

    accounts_opened: list[Account] = field(default_factory=list)
    # Keyed by identity, in order; the new ones among them are written once, as new.
    accounts_moved: dict[Account, None] = field(default_factory=dict)
    # Closed, or opened again.
    closings_changed: dict[Account, None] = field(default_factory=dict)
    grants_made: list[Grant] = field(default_factory=list)
    # Keyed by identity, in order; the new ones among them are written once, as new.
    grants_changed: dict[Grant, None] = field(default_factory=dict)
    holds_made: list[Hold] = field(default_factory=list)
    holds_ended: list[Hold] = field(default_factory=list)
    # Ended or refunded, and there before: their parts. Keyed by identity, in order.
    holds_spent: dict[Hold, None] = field(default_factory=dict)
    refunds_made: list[Refund] = field(default_factory=list)
    # Of transactions' holds.
    expiries_made: list[TransferExpiry] = field(default_factory=list)
    expiries_ended: list[TransferExpiry] = field(default_factory=list)
    commands_made: list[CommandRecord] = field(default_factory=list)
    commands_ended: dict[Key, CommandState] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)


@dataclass(slots=True)
class State:
    """All that was loaded for a group; every command changes it for those after it."""

    books: dict[int, Book] = field(default_factory=dict)
    accounts: dict[CodeKey, Account] = field(default_factory=dict)
    commands: dict[Key, CommandRecord] = field(default_factory=dict)
    grants: dict[Key, Grant] = field(default_factory=dict)
    holds: dict[Key, Hold] = field(default_factory=dict)
    refunds: dict[Key, Refund] = field(default_factory=dict)
    wallets: dict[WalletKey, list[Grant]] = field(default_factory=dict)
    # Targets of captures, releases and reversals.
    movements: dict[MovementKey, Movement] = field(default_factory=dict)
    # When transactions' holds expire: those among the targets, and those made by this group.
    expiries: dict[MovementKey, TransferExpiry] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)

    def know_grant(self, grant: Grant) -> None:
        """Makes a grant visible by its id and in its wallet, once."""
        if grant.key not in self.grants:
            self.grants[grant.key] = grant
            self.wallets.setdefault((grant.book_id, grant.owner_id, grant.currency), []).append(grant)

    def make_grant(self, grant: Grant) -> None:
        """Adds a grant that did not exist before."""
        self.know_grant(grant)
        self.changes.grants_made.append(grant)

    def make_hold(self, hold: Hold) -> None:
        """Adds a hold that did not exist before."""
        self.holds[hold.key] = hold
        self.changes.holds_made.append(hold)

    def end_hold(self, hold: Hold, state: HoldState, command_state: CommandState) -> None:
        """Ends a hold and the command that made it."""
        hold.state = state
        hold.ended_at = self.books[hold.book_id].now
        if not hold.is_new:
            self.changes.holds_ended.append(hold)
            self.changes.holds_spent[hold] = None
        self.end_command(hold.key, command_state)

    def make_refund(self, refund: Refund, hold: Hold) -> None:
        """Adds a refund of a hold, whose parts say so."""
        self.refunds[refund.key] = refund
        self.changes.refunds_made.append(refund)
        if not hold.is_new:
            self.changes.holds_spent[hold] = None

    def make_expiry(self, expiry: TransferExpiry) -> None:
        """Adds the expiry of a hold that did not exist before."""
        self.expiries[expiry.book_id, expiry.seq] = expiry
        self.changes.expiries_made.append(expiry)

    def end_expiry(self, key: MovementKey) -> None:
        """Notes that a hold has ended, so that nobody looks for it when its time comes."""
        expiry = self.expiries.get(key)
        if expiry is not None:
            expiry.ended_at = self.books[key[0]].now
            if not expiry.is_new:
                self.changes.expiries_ended.append(expiry)

    def note_balance(self, grant: Grant) -> None:
        """Keeps up since when a grant has been empty, after its balance changed."""
        if (grant.account.posted_minor == 0) == (grant.empty_since is None):
            grant.empty_since = self.books[grant.book_id].now if grant.empty_since is None else None
            self.change_grant(grant)

    def note_passage(self, grant: Grant) -> None:
        """Notes that something came into an empty grant and left it again: it is empty since now."""
        if grant.account.posted_minor == 0:
            grant.empty_since = self.books[grant.book_id].now
            self.change_grant(grant)

    def change_grant(self, grant: Grant) -> None:
        """Marks a grant whose row has changed."""
        self.changes.grants_changed[grant] = None
        self.books[grant.book_id].is_changed = True

    def make_command(self, record: CommandRecord) -> None:
        """Leaves the row by which the id is known from now on."""
        self.commands[record.key] = record
        self.changes.commands_made.append(record)
        self.books[record.book_id].is_changed = True

    def end_command(self, key: Key, state: CommandState) -> None:
        """Changes what has become of a command; its row need not be loaded."""
        record = self.commands.get(key)
        if record is not None:
            record.state = state
        if record is None or not record.is_new:
            self.changes.commands_ended[key] = state
        self.books[key[0]].is_changed = True
