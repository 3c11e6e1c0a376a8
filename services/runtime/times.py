"""Moments as they travel in messages."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import overload

from google.protobuf.timestamp_pb2 import Timestamp

from services.runtime.errors import InvalidRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND = int(datetime.min.replace(tzinfo=UTC).timestamp())
# The last day of the calendar is left out: stores may take the last moment for "never".
_LAST_SECOND = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())


def parse_time(timestamp: Timestamp, field: str) -> datetime:
    """The moment, cut to microseconds. Raises INVALID_REQUEST for one that no calendar has."""
    if not (_FIRST_SECOND <= timestamp.seconds <= _LAST_SECOND and 0 <= timestamp.nanos < 10**9):
        raise InvalidRequest(field=field, rule="timestamp")
    return _EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1000)


@overload
def timestamp_of(moment: datetime) -> Timestamp: ...
@overload
def timestamp_of(moment: None) -> None: ...
def timestamp_of(moment: datetime | None) -> Timestamp | None:
    """The moment as a field of a message, to be copied, not changed; None leaves the field unset."""
    return None if moment is None else _timestamp_of(moment)


# What is written in one group has one time, and hundreds of answers have it.
@lru_cache(maxsize=100)
def _timestamp_of(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
