"""Every reason that can be raised is in its service's proto, with the same status; and every one there is raised."""

import ast
import importlib
import inspect
import re
from functools import cache

import pytest
from google.protobuf.descriptor import EnumDescriptor, EnumValueDescriptor

from quittance.checkout.v1 import errors_pb2 as checkout_errors
from quittance.errors.v1 import reason_pb2
from quittance.ledger.v1 import errors_pb2 as ledger_errors
from quittance.vouchers.v1 import errors_pb2 as vouchers_errors
from services.runtime.errors import PassedOn, ServiceError
from tests.contracts.checkout_tree import python_files, read

ENUMS: dict[str, EnumDescriptor] = {
    "ledger": ledger_errors.ErrorReason.DESCRIPTOR,
    "vouchers": vouchers_errors.ErrorReason.DESCRIPTOR,
    "checkout": checkout_errors.ErrorReason.DESCRIPTOR,
}
UNSPECIFIED = "UNSPECIFIED"
ERRORS_OF = "services/{}/errors"
# Said by an order's workflow, in the name of checkout.
SAID_BY_THE_ORCHESTRATOR = {"STEP_TIMED_OUT", "ORDER_CANCELLED", "PAYMENT_DECLINED", "PAYMENT_EXPIRED"}
# Numbers that mean the same in every service; own reasons begin above.
COMMON_NUMBERS_MAX = 9


def errors_of(package: str) -> list[type[ServiceError]]:
    """The errors that services/<package>/errors.py, or the modules of such a package, define and name a reason for."""
    return [
        member
        for path in python_files("services")
        if path.startswith(ERRORS_OF.format(package))
        for module in [importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))]
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, ServiceError) and member.__module__ == module.__name__
        if "reason" in vars(member) and member is not PassedOn
    ]


def reasons_of(enum: EnumDescriptor) -> dict[str, EnumValueDescriptor]:
    """The enum's values by their names without the prefix."""
    return {value.name.removeprefix("ERROR_REASON_"): value for value in enum.values}


def rule_of(value: EnumValueDescriptor) -> reason_pb2.ReasonRule:
    """What the proto says of a reason."""
    return value.GetOptions().Extensions[reason_pb2.reason]


def names_used(folder: str, *, but_not_in: str) -> set[str]:
    """Every name in the Python files of a folder."""
    paths = [path for path in python_files("services") if path.startswith(folder) and not path.startswith(but_not_in)]
    nodes = [node for path in paths for node in ast.walk(ast.parse(read(path)))]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


SERVICES = list(ENUMS)
OWN_ERRORS = [(service, error) for service in SERVICES for error in errors_of(service)]
COMMON_ERRORS = errors_of("runtime")
VALUES = [(service, name) for service in SERVICES for name in reasons_of(ENUMS[service])]


@pytest.mark.parametrize(("service", "error"), OWN_ERRORS, ids=[f"{s}-{e.__name__}" for s, e in OWN_ERRORS])
def test_error_of_a_service_has_its_reason_and_status_in_the_proto(service: str, error: type[ServiceError]) -> None:
    value = reasons_of(ENUMS[service]).get(error.reason)
    assert value is not None, f"{error.reason} is not in the ErrorReason of {service}"
    assert rule_of(value).status == error.status.value


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("error", COMMON_ERRORS, ids=lambda error: error.__name__)
def test_error_of_the_runtime_has_its_reason_and_status_in_every_proto(service: str, error: type[ServiceError]) -> None:
    value = reasons_of(ENUMS[service]).get(error.reason)
    assert value is not None, f"{error.reason} is not in the ErrorReason of {service}"
    assert rule_of(value).status == error.status.value


@pytest.mark.parametrize("service", SERVICES)
def test_reason_of_a_service_is_named_by_one_error_only(service: str) -> None:
    reasons = [error.reason for error in [*errors_of(service), *COMMON_ERRORS]]
    assert sorted(reasons) == sorted(set(reasons))


@pytest.mark.parametrize("service", SERVICES)
def test_error_of_a_service_is_raised_somewhere(service: str) -> None:
    names = names_used(f"services/{service}/", but_not_in=ERRORS_OF.format(service))
    assert [error.__name__ for error in errors_of(service) if error.__name__ not in names] == []


@pytest.mark.parametrize("service", SERVICES)
def test_reason_in_the_proto_is_said_by_somebody(service: str) -> None:
    said = {error.reason for error in [*errors_of(service), *COMMON_ERRORS]} | {UNSPECIFIED}
    if service == "checkout":
        said |= SAID_BY_THE_ORCHESTRATOR
    assert sorted(reasons_of(ENUMS[service]).keys() - said) == []


@pytest.mark.parametrize("reason", sorted(SAID_BY_THE_ORCHESTRATOR))
def test_reason_of_the_orchestrator_is_said_there(reason: str) -> None:
    said = {
        node.value
        for path in python_files("orchestrator")
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert reason in said
    assert reason in reasons_of(ENUMS["checkout"])


@pytest.mark.parametrize(("service", "reason"), VALUES)
def test_reason_in_the_proto_carries_its_rule(service: str, reason: str) -> None:
    value = reasons_of(ENUMS[service])[reason]
    assert value.GetOptions().HasExtension(reason_pb2.reason)
    assert rule_of(value).status != 0, "OK is no status of a refusal"


def test_common_reasons_agree_across_services() -> None:
    common = [
        {v.number: (v.name, rule_of(v).SerializeToString()) for v in enum.values if v.number <= COMMON_NUMBERS_MAX}
        for enum in ENUMS.values()
    ]
    assert all(each == common[0] for each in common)
    assert {name.removeprefix("ERROR_REASON_") for name, _ in common[0].values()} == {
        UNSPECIFIED,
        *(error.reason for error in COMMON_ERRORS),
    }


@cache
def words_of_the_tests() -> frozenset[str]:
    """Every word in the tests that try things out; this package only looks at sources."""
    paths = [path for path in python_files("tests") if not path.startswith(("tests/contracts/", "tests/bench/"))]
    return frozenset(word for path in paths for word in re.findall(r"\w+", read(path)))


def unprovoked(errors: list[type[ServiceError]], reasons: set[str]) -> list[str]:
    """The reasons of which no test says the name, nor that of the error's class."""
    words = words_of_the_tests()
    said = {error.reason for error in errors if error.__name__ in words}
    return sorted(reasons - said - words)


@pytest.mark.parametrize("service", SERVICES)
def test_reason_of_a_service_is_provoked_by_some_test(service: str) -> None:
    """Said in a test is not yet provoked, but never said is never provoked."""
    common = {error.reason for error in COMMON_ERRORS} | {UNSPECIFIED}
    assert unprovoked(errors_of(service), reasons_of(ENUMS[service]).keys() - common) == []


def test_reason_of_the_runtime_is_provoked_by_some_test() -> None:
    assert unprovoked(COMMON_ERRORS, {error.reason for error in COMMON_ERRORS}) == []
