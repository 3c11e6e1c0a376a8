"""What a qualification may be made of: the words of an expression, looked at before anybody parses it."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.vouchers.errors.campaigns import InvalidQualification

VALUES = frozenset({"order", "customer"})
FIELDS = frozenset(
    {"currency", "subtotal_minor", "quantity", "lines", "product_id", "categories", "amount_minor"}
    | {"id", "orders_placed", "tags"}
)
FUNCTIONS = frozenset({"size", "has", "int", "double"})
METHODS = frozenset({"size", "contains", "startsWith", "endsWith"})
# They go through a list: once is enough, because going through it for each of its items costs its square.
COMPREHENSIONS = frozenset({"all", "exists", "exists_one", "filter", "map"})
CONSTANTS = frozenset({"true", "false", "null", "in"})
DEPTH_MAX = 24

# No braces, so no maps and no messages; no triple quotes, bytes or raw strings; no comments. A quoted string has no
# line break, and a backslash takes the next character with it.
_WORD = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<text>"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')
    | (?P<number>(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|0x[0-9a-fA-F]+u?|\d+u?)(?![A-Za-z0-9_]))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark>//|&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]])""",
    re.VERBOSE,
)


class _Word(NamedTuple):
    kind: str
    text: str


_NOTHING = _Word("end", "")


def check_names(expression: str) -> None:
    """Nothing when all words of the expression may be used. Raises INVALID_QUALIFICATION.

    A name is a value, a field after a dot, a function before a parenthesis, or the variable of the one comprehension,
    inside of its parentheses; there, `lines` as a whole may not be used, to go through it again by a comparison.
    """
    words = list(_words(expression))
    scope = _comprehension(words)
    for at, word in enumerate(words):
        if word.kind == "name":
            _check_name(words, at, scope)
    _check_depth(words)


def _words(expression: str) -> Iterator[_Word]:
    at = 0
    while at < len(expression):
        match = _WORD.match(expression, at)
        if match is None or match.lastgroup is None or match[0] == "//":
            raise InvalidQualification(cause="syntax", found=expression[at : at + 20])
        # Two quotes in a row and a third one would be the beginning of another kind of string.
        if match.lastgroup == "text" and len(match[0]) == 2 and expression[match.end() :].startswith(match[0][0]):
            raise InvalidQualification(cause="syntax", found=match[0] + match[0][0])
        at = match.end()
        # A letter right before a quote changes what the string is.
        if match.lastgroup == "name" and expression[at : at + 1] in ("'", '"'):
            raise InvalidQualification(cause="syntax", found=match[0] + expression[at])
        if match.lastgroup != "space":
            yield _Word(match.lastgroup, match[0])


def _word(words: Sequence[_Word], at: int) -> _Word:
    return words[at] if 0 <= at < len(words) else _NOTHING


def _comprehension(words: Sequence[_Word]) -> tuple[str, range]:
    """The comprehension's variable and where it may be used; raises when there are two of them."""
    found = [at for at in range(len(words)) if _is_comprehension(words, at)]
    if not found:
        return "", range(0)
    if len(found) > 1:
        raise InvalidQualification(cause="comprehensions", found=str(len(found)))
    variable, comma = _word(words, found[0] + 2), _word(words, found[0] + 3)
    if variable.kind != "name" or variable.text in VALUES | CONSTANTS or comma.text != ",":
        raise InvalidQualification(cause="syntax", found=words[found[0]].text)
    return variable.text, range(found[0] + 2, _closing(words, found[0] + 1))


def _is_comprehension(words: Sequence[_Word], at: int) -> bool:
    return words[at].text in COMPREHENSIONS and words[at].kind == "name" and _word(words, at + 1).text == "("


def _closing(words: Sequence[_Word], opening: int) -> int:
    depth = 0
    for at in range(opening, len(words)):
        depth += (words[at].text == "(") - (words[at].text == ")")
        if depth == 0:
            return at
    raise InvalidQualification(cause="syntax", found="(")


def _check_name(words: Sequence[_Word], at: int, comprehension: tuple[str, range]) -> None:
    name, after_dot = words[at].text, _word(words, at - 1).text == "."
    if _word(words, at + 1).text == "(":
        if name == "in" or name in (METHODS | COMPREHENSIONS if after_dot else FUNCTIONS):
            return
        raise InvalidQualification(cause="function", found=name)
    variable, scope = comprehension
    if name == "lines" and at in scope:
        raise InvalidQualification(cause="comprehensions", found=name)
    is_known = name in FIELDS if after_dot else name in VALUES | CONSTANTS or (name == variable and at in scope)
    if not is_known:
        raise InvalidQualification(cause="name", found=name)


def _check_depth(words: Sequence[_Word]) -> None:
    depth = 0
    for word in words:
        depth += (word.text in ("(", "[", "?")) - (word.text in (")", "]", ":"))
        if depth > DEPTH_MAX:
            raise InvalidQualification(cause="syntax", found=f"more than {DEPTH_MAX} levels")
