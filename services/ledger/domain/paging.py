"""Lists page by page. A page's token says where the next one begins, and of which list."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.ledger.domain.results import ListedTransfer
from services.ledger.errors import InvalidPageToken
from services.runtime.ids import fingerprint

PAGE_SIZE_DEFAULT = 50
_SEQ_LENGTH = 8
_MARK_LENGTH = 8
_ABOVE_ALL = 2**63 - 1


def seq_of(token: str, *fields: object) -> int:
    """The sequence below which the page of a list with these fields begins. Raises INVALID_PAGE_TOKEN."""
    if not token:
        return _ABOVE_ALL
    seq = int.from_bytes(_content(token)[:_SEQ_LENGTH])
    if seq > _ABOVE_ALL or token_of(seq, *fields) != token:
        raise InvalidPageToken(page_token=token)
    return seq


def token_of(seq: int, *fields: object) -> str:
    """The token of the page that begins below a sequence."""
    mark = fingerprint(*fields)[:_MARK_LENGTH]
    return base64.urlsafe_b64encode(seq.to_bytes(_SEQ_LENGTH) + mark).decode()


@dataclass(frozen=True, slots=True)
class TransferList:
    """The transfers of one account of a book, or of all of a customer's grants when the code is empty."""

    book_id: int
    owner_id: UUID
    currency: str
    account_code: str

    def below_seq(self, token: str) -> int:
        """The sequence below which the page with this token begins. Raises INVALID_PAGE_TOKEN."""
        return seq_of(token, *self._fields)

    def page(self, found: Sequence[ListedTransfer], size: int) -> tuple[Sequence[ListedTransfer], str]:
        """The page and the next one's token, from up to one transfer more than the page has."""
        page = found[:size]
        return page, token_of(page[-1].transfer.seq, *self._fields) if len(found) > size else ""

    @property
    def _fields(self) -> tuple[object, ...]:
        return self.owner_id, self.currency, self.account_code


@dataclass(frozen=True, slots=True)
class Statement:
    """What changed a wallet's balance after a moment and up to another; None: from the beginning, up to now."""

    book_id: int
    owner_id: UUID
    currency: str
    from_at: datetime | None
    to_at: datetime | None

    def place(self, token: str) -> tuple[int, int] | None:
        """After which sequence the token's page begins, and with which the statement ends; None without a token.

        Raises INVALID_PAGE_TOKEN.
        """
        if not token:
            return None
        content = _content(token)
        after_seq, to_seq = (int.from_bytes(content[at : at + _SEQ_LENGTH]) for at in (0, _SEQ_LENGTH))
        if max(after_seq, to_seq) > _ABOVE_ALL or self.token(after_seq, to_seq) != token:
            raise InvalidPageToken(page_token=token)
        return after_seq, to_seq

    def token(self, after_seq: int, to_seq: int) -> str:
        """The token of the page that begins after a sequence."""
        mark = fingerprint("statement", self.owner_id, self.currency, self.from_at, self.to_at)[:_MARK_LENGTH]
        numbers = after_seq.to_bytes(_SEQ_LENGTH) + to_seq.to_bytes(_SEQ_LENGTH)
        return base64.urlsafe_b64encode(numbers + mark).decode()


def _content(token: str) -> bytes:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidPageToken(page_token=token) from None
