"""The shape of a request: the rules written in the protos, checked by protovalidate."""

from typing import Any

import protovalidate
from google.protobuf.message import Message

from services.runtime.errors import FieldViolation, InvalidRequest


def check_shape(request: Message, *, only_first: bool) -> None:
    """Checks the rules of the message's proto. Raises INVALID_REQUEST with every field that breaks one.

    only_first: stop at the first, for requests so large that a hostile one could keep us busy.
    """
    violations = protovalidate.collect_violations(request, fail_fast=only_first)
    if violations:
        raise InvalidRequest.of([_field_violation(violation.proto) for violation in violations])


def _field_violation(violation: Any) -> FieldViolation:
    path = ".".join(_element_text(element) for element in violation.field.elements) if violation.field else ""
    return FieldViolation(field=path, rule=violation.rule_id, description=violation.message)


def _element_text(element: Any) -> str:
    if element.subscript is None:
        return str(element.field_name)
    # A map's key is the caller's content and stays out of what is answered and logged.
    where = element.subscript.value if element.subscript.field == "index" else "key"
    return f"{element.field_name}[{where}]"
