"""Lists of transactions page by page."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime

from services.ledger.domain.paging import seq_of, token_of
from services.ledger.domain.results import TransactionView


@dataclass(frozen=True, slots=True)
class TransactionList:
    """The transactions of a book and currency that meet all conditions; an empty text and None are no condition."""

    book_id: int
    currency: str
    account_code: str
    reason: str
    metadata_key: str
    metadata_value: str
    from_time: datetime | None
    until_time: datetime | None

    def below_seq(self, token: str) -> int:
        """The sequence below which the page with this token begins. Raises INVALID_PAGE_TOKEN."""
        return seq_of(token, *astuple(self))

    def page(self, found: Sequence[TransactionView], size: int) -> tuple[Sequence[TransactionView], str]:
        """The page and the next one's token, from up to one transaction more than the page has."""
        page = found[:size]
        return page, token_of(page[-1].first_seq, *astuple(self)) if len(found) > size else ""
