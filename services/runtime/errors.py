"""The error tree: one base, one class per status, one leaf per reason.

A leaf is a dataclass whose fields are the values of its message and travel as the error's metadata:

    @dataclass(eq=False)
    class BoxNotFound(NotFound):
        reason = "BOX_NOT_FOUND"
        text = "box {box_id} does not exist"
        box_id: UUID
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import ClassVar

# A longer value would not fit into HTTP/2 trailers (8 KiB in all) and would lose the whole status on its way.
METADATA_VALUE_LENGTH_MAX = 200


class Status(enum.Enum):
    """How an error is answered; names and numbers are those of google.rpc.Code."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that breaks one rule of its shape."""

    field: str
    rule: str
    description: str


class ServiceError(Exception):
    """What a service answers instead of a result. Raised or handed back as an outcome."""

    status: Status
    reason: str
    text: ClassVar[str]
    # The ErrorInfo domain; None: that of the service that answers.
    domain: str | None = None
    # Seconds after which a retry makes sense; sent as RetryInfo. A class value or a field of the leaf.
    retry_after_s: float | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """The fields as text; those that are None are left out."""
        if not is_dataclass(self):
            return {}
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: str(value)[:METADATA_VALUE_LENGTH_MAX] for name, value in values if value is not None}

    @property
    def message(self) -> str:
        """The text with the fields' values in it."""
        return self.text.format_map(_Blanks(self.metadata))

    def __str__(self) -> str:
        return self.message


class PassedOn(ServiceError):
    """A refusal that somebody else gave, or gave earlier, handed on whole: its own status, domain, reason, values."""

    def __init__(
        self,
        *,
        status: Status,
        domain: str,
        reason: str,
        metadata: Mapping[str, str],
        message: str,
        retry_after_s: float | None = None,
    ) -> None:
        self.status = status
        self.domain = domain
        self.reason = reason
        self.retry_after_s = retry_after_s
        self._metadata = dict(metadata)
        self._message = message

    @property
    def metadata(self) -> dict[str, str]:
        """As it was given."""
        return self._metadata

    @property
    def message(self) -> str:
        """As it was given."""
        return self._message


class InvalidArgument(ServiceError):
    """The request is malformed whatever the state."""

    status = Status.INVALID_ARGUMENT
    # Every field that is wrong, where several can be; sent as BadRequest.
    violations: Sequence[FieldViolation] = ()


class NotFound(ServiceError):
    """What the request names is not there."""

    status = Status.NOT_FOUND


class AlreadyExists(ServiceError):
    """The id is taken by something with other fields."""

    status = Status.ALREADY_EXISTS


class FailedPrecondition(ServiceError):
    """A rule says no."""

    status = Status.FAILED_PRECONDITION


class Aborted(ServiceError):
    """A race was lost; the same request may work later."""

    status = Status.ABORTED


class ResourceExhausted(ServiceError):
    """Too much at once."""

    status = Status.RESOURCE_EXHAUSTED


class Unavailable(ServiceError):
    """Something this depends on is not there or not configured."""

    status = Status.UNAVAILABLE


class DeadlineExceeded(ServiceError):
    """The caller's time was over before the work began."""

    status = Status.DEADLINE_EXCEEDED


class Internal(ServiceError):
    """A bug."""

    status = Status.INTERNAL


@dataclass(eq=False)
class InvalidRequest(InvalidArgument):
    """A field breaks a rule of its shape; `field` is its path in the request, `rule` the rule's name."""

    reason = "INVALID_REQUEST"
    text = "field {field} breaks the rule {rule}"
    field: str
    rule: str

    @classmethod
    def of(cls, violations: Sequence[FieldViolation]) -> "InvalidRequest":
        """The error for at least one violation; its own fields name the first."""
        error = cls(field=violations[0].field, rule=violations[0].rule)
        error.violations = violations
        return error


@dataclass(eq=False)
class MalformedMessage(InvalidArgument):
    """The bytes are no valid message of this method."""

    reason = "MALFORMED_MESSAGE"
    text = "the request is no valid message of this method"


@dataclass(eq=False)
class Overloaded(ResourceExhausted):
    """The server works on as many calls as it may."""

    reason = "OVERLOADED"
    text = "too many calls at once, try again later"
    retry_after_s = 0.5


@dataclass(eq=False)
class DatabaseUnavailable(Unavailable):
    """The database did not answer; whether a write happened is unknown."""

    reason = "DATABASE_UNAVAILABLE"
    text = "the database is unavailable, try again later"
    retry_after_s = 0.5


@dataclass(eq=False)
class DeadlinePassed(DeadlineExceeded):
    """The caller's deadline passed while the command was waiting."""

    reason = "DEADLINE_PASSED"
    text = "the deadline passed before the work was done"


@dataclass(eq=False)
class InternalError(Internal):
    """A bug; `reference` finds its cause in the log."""

    reason = "INTERNAL"
    text = "internal error, reference {reference}"
    reference: str


class _Blanks(dict[str, str]):
    """Lets a message with a value that is None be written all the same."""

    def __missing__(self, key: str) -> str:
        return "none"
