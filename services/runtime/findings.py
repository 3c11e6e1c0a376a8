"""What a verification has found in one unit, kept up to a limit. Pure: domains use it."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Generic, TypeVar

# Of one kind in one unit; what goes beyond is only counted: a table rewritten as a whole is one thing to look at.
FINDINGS_OF_A_KIND_MAX = 1000

Kind = TypeVar("Kind", bound=StrEnum)
Finding = TypeVar("Finding")


class Collector(Generic[Kind, Finding]):
    """The findings of one unit, whatever is verified at a time.

    finding: makes one of its kind, unit, subject, what was expected, what was found, and by how much it differs.
    """

    def __init__(self, finding: Callable[[Kind, Any, str, str, str, int | None], Finding], unit: object) -> None:
        self._finding = finding
        self._unit = unit
        self._counts: dict[Kind, int] = {}
        self._new: list[Finding] = []
        self.kept: list[Finding] = []

    @property
    def count(self) -> int:
        """All that was found."""
        return sum(self._counts.values())

    def add(self, kind: Kind, subject: str, expected: object, found: object, difference: int | None = None) -> None:
        """Notes one finding."""
        self.count_only(kind, 1)
        if self._counts[kind] <= FINDINGS_OF_A_KIND_MAX:
            finding = self._finding(kind, self._unit, subject, str(expected), str(found), difference)
            self.kept.append(finding)
            self._new.append(finding)

    def count_only(self, kind: Kind, count: int) -> None:
        """Notes findings whose details nobody has."""
        self._counts[kind] = self._counts.get(kind, 0) + count

    def take_new(self) -> Sequence[Finding]:
        """Those kept since the last time."""
        new, self._new = self._new, []
        return new
