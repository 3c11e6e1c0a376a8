"""Bodies that claim to be JSON, read more strictly than the standard asks: what two readers may understand in two ways
is refused (twice the same key, numbers that no one can hold, texts that are not UTF-8)."""

import json
import math
from typing import Any, NoReturn

# A message of a payment provider is nested a handful of levels deep.
DEPTH_MAX = 64


class JsonRefused(ValueError):
    """No JSON that is safe to read; the text says why and quotes nothing."""


def check_json_object(raw_body: bytes) -> None:
    """Returns when the body is one JSON object in UTF-8. Raises JsonRefused."""
    try:
        value = json.loads(
            raw_body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise JsonRefused(str(error) if isinstance(error, JsonRefused) else "no JSON in UTF-8") from None
    if not isinstance(value, _Depth):
        raise JsonRefused("no object")


class _Depth(int):
    """An object that was read: only how deep it is nested is kept of it."""


def _object(pairs: list[tuple[str, Any]]) -> _Depth:
    if len({key for key, _ in pairs}) < len(pairs):
        raise JsonRefused("a key stands twice in an object")
    depth = 1 + max((_depth_of(value) for _, value in pairs), default=0)
    if depth > DEPTH_MAX:
        raise JsonRefused("nested too deeply")
    return _Depth(depth)


def _depth_of(value: Any) -> int:
    if isinstance(value, _Depth):
        return value
    if isinstance(value, list):
        return 1 + max(map(_depth_of, value), default=0)
    return 0


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonRefused("a number out of range")
    return number


def _refuse_constant(_text: str) -> NoReturn:
    raise JsonRefused("a number that is none")
