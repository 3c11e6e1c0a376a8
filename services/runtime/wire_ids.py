"""Ids read from text by the thousand: the database driver's own UUID class is made in a tenth of the time.

Its values equal, hash, sort and print as those of uuid.UUID, of which it is a subclass.
"""

from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as WIRE_UUID

from services.runtime.ids import parse_id

_LENGTH = 36
_DASHES = slice(8, 24, 5)


def wire_id(text: str) -> UUID | None:
    """The UUID in canonical text, None when it is none."""
    if len(text) != _LENGTH or text[_DASHES] != "----":
        return None
    try:
        made: UUID = WIRE_UUID(text)
    except ValueError:
        return None
    return made


def parse_wire_id(text: str, field: str) -> UUID:
    """`parse_id` for the hot paths: the same ids, the same refusals. Raises INVALID_REQUEST."""
    made = wire_id(text)
    return parse_id(text, field) if made is None else made
