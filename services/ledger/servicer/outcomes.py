"""Outcomes of a submit that nobody knows: the call, or the message, fails as a whole and is safe to repeat."""

from collections.abc import Sequence

from services.ledger.domain.commands import AnyResult
from services.runtime.errors import DeadlineExceeded, Internal, ServiceError, Unavailable

Outcomes = Sequence[AnyResult | ServiceError]


def unknown_of(outcomes: Outcomes) -> ServiceError | None:
    """The first outcome that is unknown: DATABASE_UNAVAILABLE, DEADLINE_PASSED or INTERNAL."""
    for outcome in outcomes:
        # First whether it is an error at all: that is asked by the thousand, and of a plain class it is cheap.
        if isinstance(outcome, Exception) and isinstance(outcome, Unavailable | DeadlineExceeded | Internal):
            return outcome
    return None


def known(outcomes: Outcomes) -> Outcomes:
    """All of them. Raises the first that is unknown."""
    unknown = unknown_of(outcomes)
    if unknown is not None:
        raise unknown
    return outcomes
