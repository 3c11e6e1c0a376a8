"""What remains of an expiry: the row under its id, so that it is done once."""

from services.ledger.domain.commands import ExpireGrant, ExpireTransfer
from services.ledger.domain.entry import Entry
from services.ledger.domain.kinds import CommandKind, CommandState
from services.ledger.domain.records import CommandRecord
from services.runtime.ids import fingerprint


def expiry_record(command: ExpireGrant | ExpireTransfer, entry: Entry, *ended: object) -> CommandRecord:
    """The row of an expiry whose transfers are in `entry`, if anything was there to move; `ended` names what ends."""
    return CommandRecord(
        command.book_id,
        command.expiry_id,
        CommandKind.EXPIRY,
        command.owner_id,
        command.currency,
        fingerprint("expiry", *ended),
        CommandState.DONE,
        entry.transfers[0].seq if entry.transfers else None,
        len(entry.transfers),
        entry.book.now,
        is_new=True,
    )
