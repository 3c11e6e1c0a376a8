"""Every element of the protos is commented, and the names follow the conventions (design, section 9)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from google.rpc import code_pb2
from grpc_tools import protoc

from tests.contracts.checkout_tree import ROOT

PROTOS = ROOT / "protos"
SOURCES = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "quittance").rglob("*.proto"))

# Field numbers of descriptor.proto: the steps of a path to an element.
SYNTAX, SERVICES, MESSAGES, ENUMS, EXTENSIONS = 12, 6, 4, 5, 7
METHODS = 2
FIELDS, NESTED_MESSAGES, NESTED_ENUMS, ONEOFS = 2, 3, 4, 8
VALUES = 2

Path_ = tuple[int, ...]


@dataclass(frozen=True)
class Element:
    """Something that has a name and should have a comment."""

    name: str
    comment: str


@pytest.fixture(scope="module")
def protos(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    return compiled(PROTOS, SOURCES, tmp_path_factory.mktemp("descriptors"))


def compiled(folder: Path, sources: list[str], target: Path) -> list[FileDescriptorProto]:
    """The sources' descriptors with their comments."""
    descriptors = target / "descriptors.bin"
    includes = [f"-I{path}" for path in (folder, PROTOS, PROTOS / "vendor", files("grpc_tools") / "_proto")]
    output = f"--descriptor_set_out={descriptors}"
    assert protoc.main(["protoc", *includes, "--include_source_info", output, *sources]) == 0
    return list(FileDescriptorSet.FromString(descriptors.read_bytes()).file)


def elements(proto: FileDescriptorProto) -> Iterator[Element]:
    """Everything in a file that has to be commented, the file itself included."""
    comments = {tuple(location.path): location.leading_comments.strip() for location in proto.source_code_info.location}
    for path, name in [((SYNTAX,), "the file"), *_named(proto)]:
        yield Element(f"{proto.name}: {name}", comments.get(path, ""))


def _named(proto: FileDescriptorProto) -> Iterator[tuple[Path_, str]]:
    for number, service in enumerate(proto.service):
        yield from _service((SERVICES, number), service)
    for number, message in enumerate(proto.message_type):
        yield from _message((MESSAGES, number), message, "")
    for number, enum in enumerate(proto.enum_type):
        yield from _enum((ENUMS, number), enum, "")
    for number, extension in enumerate(proto.extension):
        yield (EXTENSIONS, number), extension.name


def _service(path: Path_, service: ServiceDescriptorProto) -> Iterator[tuple[Path_, str]]:
    yield path, service.name
    for number, method in enumerate(service.method):
        yield (*path, METHODS, number), f"{service.name}.{method.name}"


def _message(path: Path_, message: DescriptorProto, prefix: str) -> Iterator[tuple[Path_, str]]:
    if message.options.map_entry:
        return
    name = f"{prefix}{message.name}"
    yield path, name
    for number, field in enumerate(message.field):
        yield (*path, FIELDS, number), f"{name}.{field.name}"
    # Of a proto3 `optional`, protoc makes a oneof that nobody wrote.
    made_by_protoc = {field.oneof_index for field in message.field if field.proto3_optional}
    for number, oneof in enumerate(message.oneof_decl):
        if number not in made_by_protoc:
            yield (*path, ONEOFS, number), f"{name}.{oneof.name}"
    for number, nested in enumerate(message.nested_type):
        yield from _message((*path, NESTED_MESSAGES, number), nested, f"{name}.")
    for number, enum in enumerate(message.enum_type):
        yield from _enum((*path, NESTED_ENUMS, number), enum, f"{name}.")


def _enum(path: Path_, enum: EnumDescriptorProto, prefix: str) -> Iterator[tuple[Path_, str]]:
    yield path, f"{prefix}{enum.name}"
    for number, value in enumerate(enum.value):
        yield (*path, VALUES, number), f"{prefix}{enum.name}.{value.name}"


def all_messages(messages: list[DescriptorProto]) -> Iterator[DescriptorProto]:
    for message in messages:
        yield message
        yield from all_messages(list(message.nested_type))


def all_fields(protos: list[FileDescriptorProto]) -> Iterator[tuple[str, FieldDescriptorProto]]:
    for proto in protos:
        for message in all_messages(list(proto.message_type)):
            for field in message.field:
                yield f"{proto.name}: {message.name}.{field.name}", field


def all_methods(protos: list[FileDescriptorProto]) -> Iterator[tuple[FileDescriptorProto, MethodDescriptorProto]]:
    for proto in protos:
        for service in proto.service:
            for method in service.method:
                yield proto, method


def test_element_of_any_proto_has_a_comment(protos: list[FileDescriptorProto]) -> None:
    found = [element for proto in protos for element in elements(proto)]
    assert len(found) > 100, "the protos were not read"
    assert [element.name for element in found if not element.comment] == []


def test_element_without_a_comment_is_found(tmp_path: Path) -> None:
    (tmp_path / "bare.proto").write_text(
        'syntax = "proto3";\n\npackage bare;\n\nservice S {\n  rpc Go(M) returns (M);\n}\n'
        "message M {\n  string a = 1;\n  oneof o {\n    string b = 2;\n  }\n  optional string c = 3;\n"
        "  map<string, string> d = 4;\n  enum N {\n    Z = 0;\n  }\n  message I {}\n}\nenum E {\n  Y = 0;\n}\n"
    )
    [bare] = compiled(tmp_path, ["bare.proto"], tmp_path)
    names = {element.name.removeprefix("bare.proto: ") for element in elements(bare) if not element.comment}
    inside = {"M.a", "M.o", "M.b", "M.c", "M.d", "M.N", "M.N.Z", "M.I"}
    assert names == {"the file", "S", "S.Go", "M", "E", "E.Y", *inside}


def test_method_has_a_request_and_a_response_of_its_own(protos: list[FileDescriptorProto]) -> None:
    wrong = [
        f"{proto.package}.{method.name}"
        for proto, method in all_methods(protos)
        if method.input_type != f".{proto.package}.{method.name}Request"
        or method.output_type != f".{proto.package}.{method.name}Response"
    ]
    assert wrong == []


def test_request_and_response_belong_to_a_method(protos: list[FileDescriptorProto]) -> None:
    used = {name for _, method in all_methods(protos) for name in (method.input_type, method.output_type)}
    ours = {
        f".{proto.package}.{message.name}"
        for proto in protos
        for message in proto.message_type
        if re.match(r"(Request|Response) of ", _comment_of(proto, message.name))
    }
    assert ours == used


def _comment_of(proto: FileDescriptorProto, name: str) -> str:
    return next(element.comment for element in elements(proto) if element.name == f"{proto.name}: {name}")


def test_reason_named_in_a_comment_exists(protos: list[FileDescriptorProto]) -> None:
    """A comment that promises a failure which nobody raises is worse than none."""
    enums = [enum for proto in protos for enum in proto.enum_type]
    known = {value.name for enum in enums for value in enum.value} | set(code_pb2.Code.keys())
    known |= {name.removeprefix("ERROR_REASON_") for name in known} | {"ERROR_REASON_"}
    said = [
        f"{element.name}: {word}"
        for proto in protos
        for element in elements(proto)
        for word in re.findall(r"\b[A-Z]+(?:_[A-Z]*)+\b", element.comment)
        if word not in known
    ]
    assert said == []


def test_amounts_are_whole_minor_units(protos: list[FileDescriptorProto]) -> None:
    floats = (FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE)
    assert [name for name, field in all_fields(protos) if field.type in floats] == []
    amounts = [(name, field) for name, field in all_fields(protos) if field.name.endswith("_minor")]
    assert [name for name, field in amounts if field.type != FieldDescriptorProto.TYPE_INT64] == []
    misnamed = [
        name for name, field in all_fields(protos) if re.search(r"(^|_)amount$", field.name) and field.type != 11
    ]
    assert misnamed == []


def test_moments_are_named_time(protos: list[FileDescriptorProto]) -> None:
    moments = [(name, field) for name, field in all_fields(protos) if field.type_name == ".google.protobuf.Timestamp"]
    assert [name for name, field in moments if not field.name.endswith("_time")] == []
