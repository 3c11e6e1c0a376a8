"""The shape of a request: the rules written in the protos, checked by protovalidate."""

from collections.abc import Callable
from typing import Any, TypeVar

import protovalidate
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from services.runtime.errors import FieldViolation, InvalidRequest, MalformedMessage

Handler = TypeVar("Handler", bound=Callable[..., Any])
Request = TypeVar("Request")

# All faults of a larger request are not looked for: a hostile one could have a million.
ALL_VIOLATIONS_BYTES_MAX = 65_536


def check_shape(request: Message, *, only_first: bool) -> None:
    """Checks the rules of the message's proto. Raises INVALID_REQUEST with every field that breaks one.

    only_first: stop at the first, for requests so large that a hostile one could keep us busy.
    """
    violations = protovalidate.collect_violations(request, fail_fast=only_first)
    if violations:
        raise InvalidRequest.of([_field_violation(violation.proto) for violation in violations])


def field_rules(message: Descriptor, field: str) -> Any:
    """The rules of one field in the proto, for those who check some shapes themselves."""
    options = message.fields_by_name[field].GetOptions().ListFields()
    return next(value for extension, value in options if extension.full_name == "buf.validate.field")


def checks_shape_itself(handler: Handler) -> Handler:
    """Marks a handler that gets its requests unchecked, because on its path the general check costs too much.

    Single requests reach it decoded. Streamed ones reach it as bytes, so that what is wrong with one of them need not
    end the stream: `MessageReader` of services.runtime.streams decodes them.
    """
    handler.checks_shape_itself = True  # type: ignore[attr-defined]
    return handler


def decoded(raw: bytes, deserialize: Callable[[bytes], Request]) -> Request:
    """The message in these bytes. Raises MALFORMED_MESSAGE."""
    try:
        return deserialize(raw)
    except Exception:  # noqa: BLE001 - whatever a decoder raises about bytes, the bytes are to blame
        raise MalformedMessage from None


def _field_violation(violation: Any) -> FieldViolation:
    path = ".".join(_element_text(element) for element in violation.field.elements) if violation.field else ""
    return FieldViolation(field=path, rule=violation.rule_id, description=violation.message)


def _element_text(element: Any) -> str:
    if element.subscript is None:
        return str(element.field_name)
    # A map's key is the caller's content and stays out of what is answered and logged.
    where = element.subscript.value if element.subscript.field == "index" else "key"
    return f"{element.field_name}[{where}]"
