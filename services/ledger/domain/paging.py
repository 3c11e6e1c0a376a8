"""Lists of transfers page by page. A page's token says where the next one begins, and of which list."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.ledger.domain.results import ListedTransfer
from services.ledger.errors import InvalidPageToken
from services.runtime.ids import fingerprint

PAGE_SIZE_DEFAULT = 50
_SEQ_LENGTH = 8
_MARK_LENGTH = 8
_ABOVE_ALL = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TransferList:
    """The transfers of one account of a book, or of all of a customer's grants when the code is empty."""

    book_id: int
    owner_id: UUID
    currency: str
    account_code: str

    def below_seq(self, token: str) -> int:
        """The sequence below which the page with this token begins. Raises INVALID_PAGE_TOKEN."""
        if not token:
            return _ABOVE_ALL
        try:
            content = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidPageToken(page_token=token) from None
        seq = int.from_bytes(content[:_SEQ_LENGTH])
        if seq > _ABOVE_ALL or self._token(seq) != token:
            raise InvalidPageToken(page_token=token)
        return seq

    def page(self, found: Sequence[ListedTransfer], size: int) -> tuple[Sequence[ListedTransfer], str]:
        """The page and the next one's token, from up to one transfer more than the page has."""
        page = found[:size]
        return page, self._token(page[-1].transfer.seq) if len(found) > size else ""

    def _token(self, seq: int) -> str:
        mark = fingerprint(self.owner_id, self.currency, self.account_code)[:_MARK_LENGTH]
        return base64.urlsafe_b64encode(seq.to_bytes(_SEQ_LENGTH) + mark).decode()
