"""What is taken for JSON in a webhook, and what is not (P2)."""

import pytest

from services.checkout.payments.json_body import DEPTH_MAX, JsonRefused, check_json_object


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"a": {"b": [1, 2.5, null, true, "x"]}}',
        b" \n{}\n ",
        '{"a": "é\U0001f600"}'.encode(),
        b'{"a": 99999999999999999999}',
        b'{"a":' * (DEPTH_MAX - 1) + b"{}" + b"}" * (DEPTH_MAX - 1),
    ],
)
def test_check_json_object_of_an_object_passes(body: bytes) -> None:
    check_json_object(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b"\xff{}",
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b'{"a": 1, "a": 2}',
        b'{"a": [{"b": 1, "b": 1}]}',
        b'{"a": 1e400}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": tru',
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"a":' * DEPTH_MAX + b"{}" + b"}" * DEPTH_MAX,
        b'{"a": ' + b"9" * 100_000 + b"}",
    ],
)
def test_check_json_object_of_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(JsonRefused):
        check_json_object(body)
