"""The SQL loader."""

import pytest

from services.runtime.database import Pool
from services.runtime.sql import parse_queries

TEXT = """\
-- Boxes.

-- name: count_boxes :one
-- Why: the shelf's plate shows it.
select $1::int as count,
       '-- not a comment' as text;

-- Why: a list is printed every evening.
-- name: list_boxes :many
select * from generate_series(1, $1) as box;

-- name: forget :exec
select set_config('quittance.x', $1, true);
"""


async def test_queries_answer_in_the_way_of_their_kind(pool: Pool) -> None:
    queries = parse_queries(TEXT)
    async with pool.acquire() as connection:
        assert dict(await queries.count_boxes(connection, 3)) == {"count": 3, "text": "-- not a comment"}
        assert [row["box"] for row in await queries.list_boxes(connection, 2)] == [1, 2]
        assert await queries.forget(connection, "y") == "SELECT 1"


def test_queries_have_no_comments_in_their_text() -> None:
    assert parse_queries(TEXT).list_boxes.text == "select * from generate_series(1, $1) as box"
    assert [query.name for query in parse_queries(TEXT)] == ["count_boxes", "list_boxes", "forget"]


def test_queries_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="lost"):
        parse_queries(TEXT).lost  # noqa: B018


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: a :some\nselect 1;", "line 1"),
        ("-- name: a\nselect 1;", "line 1"),
        ("select 1;", "line 1"),
        ("-- name: a :one\n-- nothing\n", "a is empty"),
        ("-- name: a :one\nselect 1;\n-- name: a :one\nselect 2;", "a is there twice"),
    ],
)
def test_queries_file_that_makes_no_sense_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_queries(text)
