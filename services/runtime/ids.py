"""Ids and fingerprints: made, derived, read from text."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import uuid_utils.compat

from services.runtime.errors import InvalidRequest

FINGERPRINT_LENGTH = 16
_CANONICAL_LENGTH = 36


def new_id() -> UUID:
    """A fresh UUIDv7: ordered by time, so that indexes grow at their end."""
    return uuid_utils.compat.uuid7()


def derived_id(parent: UUID, step: str) -> UUID:
    """The id of one step below `parent`: the same for the same two, so that a retry finds what it made."""
    return uuid5(parent, step)


def parse_id(text: str, field: str) -> UUID:
    """The UUID in canonical text; `field` is the request's field it came from. Raises INVALID_REQUEST."""
    if len(text) != _CANONICAL_LENGTH:
        raise InvalidRequest(field=field, rule="uuid")
    try:
        return UUID(text)
    except ValueError:
        raise InvalidRequest(field=field, rule="uuid") from None


def fingerprint(*parts: object) -> bytes:
    """A digest of a request's fields, stored with its effect: the same id with another digest is another request.

    The encoding is our own and carries type and length of every part, because it is compared for years:
    neither Python's repr nor protobuf's serialization promises to stay as it is.
    Parts are str, int, bool, bytes, UUID, None, aware datetimes (by microsecond), and lists, tuples and mappings
    of them (mappings by key, in any order). Raises TypeError for anything else.
    """
    return hashlib.blake2b(_encode_list(parts), digest_size=FINGERPRINT_LENGTH).digest()


def keyed_fingerprint(key: bytes, *parts: object) -> bytes:
    """A fingerprint of what could be guessed, for places where others read it: without the key nobody can try."""
    return hmac.digest(key, _encode_list(parts), "sha256")[:FINGERPRINT_LENGTH]


def _encode(part: object) -> bytes:
    return _ENCODERS[type(part)](part)


def _encode_text(part: str) -> bytes:
    encoded = part.encode()
    return b"s%d:%b" % (len(encoded), encoded)


def _encode_list(part: tuple[object, ...] | list[object]) -> bytes:
    # As `_encode` does, without a call for each part.
    return b"l%d:%b" % (len(part), b"".join([_ENCODERS[type(item)](item) for item in part]))


def _encode_mapping(part: Mapping[Any, object]) -> bytes:
    items = b"".join(sorted(_encode(key) + _encode(value) for key, value in part.items()))
    return b"m%d:%b" % (len(part), items)


def _encode_time(part: datetime) -> bytes:
    since_epoch = part - _EPOCH
    return b"d%d;" % ((since_epoch.days * 86_400 + since_epoch.seconds) * 1_000_000 + since_epoch.microseconds)


def _encode_id(part: UUID) -> bytes:
    return b"u" + part.bytes


class _Encoders(dict[type, Callable[[Any], bytes]]):
    """By the part's type."""

    def __missing__(self, kind: type) -> Callable[[Any], bytes]:
        # The database driver has an own class for ids.
        if issubclass(kind, UUID):
            return self.setdefault(kind, _encode_id)
        raise TypeError(f"a fingerprint cannot hold a {kind.__name__}")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENCODERS = _Encoders(
    {
        str: _encode_text,
        int: lambda part: b"i%d;" % part,
        bool: lambda part: b"t" if part else b"f",
        bytes: lambda part: b"b%d:%b" % (len(part), part),
        UUID: _encode_id,
        type(None): lambda _: b"n",
        datetime: _encode_time,
        tuple: _encode_list,
        list: _encode_list,
        dict: _encode_mapping,
    }
)
