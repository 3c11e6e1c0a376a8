"""Ids and fingerprints: properties."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.errors import InvalidRequest
from services.runtime.ids import FINGERPRINT_LENGTH, derived_id, fingerprint, keyed_fingerprint, new_id, parse_id
from services.runtime.wire_ids import parse_wire_id, wire_id

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.uuids(),
    st.datetimes(timezones=st.just(UTC)),
)
PARTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
)

SPELLED = "0192a0c4-5f7e-7c3b-9d21-6e8f0a4b7c15"


def exactly(part: Any) -> Any:
    """The part with its types, so that True and 1 differ as they do on the wire."""
    if isinstance(part, list):
        return ("list", tuple(exactly(item) for item in part))
    if isinstance(part, dict):
        return ("dict", frozenset((key, exactly(value)) for key, value in part.items()))
    return (type(part).__name__, part)


@given(st.lists(PARTS, max_size=4), st.lists(PARTS, max_size=4))
def test_fingerprint_is_the_same_exactly_for_the_same_parts(left: list[Any], right: list[Any]) -> None:
    assert (fingerprint(*left) == fingerprint(*right)) == (exactly(left) == exactly(right))
    assert len(fingerprint(*left)) == FINGERPRINT_LENGTH


def test_fingerprint_known_value_stays_what_it_was() -> None:
    """Fingerprints are stored: this value may never change."""
    moment = datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC)
    parts = ("hold", UUID(int=7), -1, True, None, b"\0", moment, ("ö", 2), {"b": 1, "a": 2})
    assert fingerprint(*parts).hex() == "533ddf63a96ef291c5278aa409742363"


def test_keyed_fingerprint_is_another_with_another_key() -> None:
    """Stored as well: this value may never change either."""
    parts = ("hold", UUID(int=7), -1)
    assert keyed_fingerprint(b"k" * 32, *parts).hex() == "808c72f1d15a732ad664a460e99e1e01"
    assert keyed_fingerprint(b"K" * 32, *parts) != keyed_fingerprint(b"k" * 32, *parts) != fingerprint(*parts)
    assert keyed_fingerprint(b"k" * 32, *parts) != keyed_fingerprint(b"k" * 32, *parts, None)


def test_fingerprint_same_instant_in_another_zone_is_the_same() -> None:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert fingerprint(moment) == fingerprint(moment.astimezone(timezone(timedelta(hours=4))))


@pytest.mark.parametrize("part", [1.5, object(), datetime(2026, 1, 1)])  # noqa: DTZ001 - that is the point
def test_fingerprint_part_without_one_meaning_is_refused(part: object) -> None:
    with pytest.raises(TypeError):
        fingerprint(part)


def test_new_id_grows_with_time() -> None:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(made)
    assert {identifier.version for identifier in made} == {7}
    assert len(set(made)) == 1000


@given(st.uuids(), st.text("abc.", max_size=8), st.text("abc.", max_size=8))
def test_derived_id_is_the_same_for_the_same_step_only(parent: UUID, step: str, other: str) -> None:
    assert (derived_id(parent, step) == derived_id(parent, other)) == (step == other)


@given(st.uuids())
def test_fingerprint_takes_ids_of_the_database_driver_for_what_they_are(identifier: UUID) -> None:
    assert fingerprint([wire_id(str(identifier))]) == fingerprint([identifier])


@given(st.uuids())
def test_parse_id_canonical_text_comes_back(identifier: UUID) -> None:
    assert parse_id(str(identifier), "order_id") == parse_wire_id(str(identifier), "order_id") == identifier


@pytest.mark.parametrize("text", ["", "x", "{" + SPELLED[1:], "g" * 36, SPELLED + " ", SPELLED.replace("-", "")])
def test_parse_id_anything_else_names_the_field(text: str) -> None:
    for parse in (parse_id, parse_wire_id):
        with pytest.raises(InvalidRequest) as caught:
            parse(text, "order_id")
        assert caught.value.metadata == {"field": "order_id", "rule": "uuid"}
