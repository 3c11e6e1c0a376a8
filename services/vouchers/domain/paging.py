"""Lists page by page, newest first. A page's token says below which place it begins, and of which list."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

from services.runtime.ids import fingerprint
from services.vouchers.errors.redemptions import InvalidPageToken

PAGE_SIZE_DEFAULT = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOMENT_LENGTH, _ID_LENGTH, _MARK_LENGTH = 8, 16, 8
_MOMENT_MAX = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

Item = TypeVar("Item")


class Place(NamedTuple):
    """Where something stands in a list: by its moment, of one moment by its id."""

    moment: datetime
    item_id: UUID


# Where the first page begins. A day before the last moment there is, which some time zones would not reach.
ABOVE_ALL = Place(datetime.max.replace(tzinfo=UTC) - timedelta(days=1), UUID(int=2**128 - 1))


def place_of(token: str, *fields: object) -> Place:
    """The place below which the page of a list with these fields begins. Raises INVALID_PAGE_TOKEN."""
    if not token:
        return ABOVE_ALL
    content = _content(token)
    microseconds = int.from_bytes(content[:_MOMENT_LENGTH])
    id_bytes = content[_MOMENT_LENGTH : _MOMENT_LENGTH + _ID_LENGTH]
    if microseconds > _MOMENT_MAX or len(id_bytes) != _ID_LENGTH:
        raise InvalidPageToken(page_token=token)
    place = Place(_EPOCH + microseconds * _MICROSECOND, UUID(bytes=id_bytes))
    if token_of(place, *fields) != token:
        raise InvalidPageToken(page_token=token)
    return place


def token_of(place: Place, *fields: object) -> str:
    """The token of the page that begins below a place."""
    microseconds = (place.moment - _EPOCH) // _MICROSECOND
    mark = fingerprint(*fields)[:_MARK_LENGTH]
    return base64.urlsafe_b64encode(microseconds.to_bytes(_MOMENT_LENGTH) + place.item_id.bytes + mark).decode()


def page_of(
    found: Sequence[Item], size: int, place: Callable[[Item], Place], *fields: object
) -> tuple[Sequence[Item], str]:
    """The page and the next one's token, from up to one item more than the page has."""
    page = found[:size]
    return page, token_of(place(page[-1]), *fields) if len(found) > size else ""


def _content(token: str) -> bytes:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidPageToken(page_token=token) from None
