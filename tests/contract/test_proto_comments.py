"""Every element of every proto says what it is, and the packages follow one pattern."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from tests.support.generate import PROTOS

# Field numbers in descriptor.proto, of which the paths of source locations are made.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_FIELD, _NESTED, _NESTED_ENUM, _ONEOF = 2, 3, 4, 8
_VALUE, _METHOD = 2, 2


@pytest.fixture(scope="module")
def protos() -> list[FileDescriptorProto]:
    names = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "set.binpb"
        known = str(files("grpc_tools") / "_proto")
        status = protoc.main(
            [
                "protoc",
                f"--proto_path={PROTOS}",
                f"--proto_path={known}",
                "--include_source_info",
                f"--descriptor_set_out={target}",
                *names,
            ]
        )
        assert status == 0
        return list(FileDescriptorSet.FromString(target.read_bytes()).file)


def elements(proto: FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields (name, path) of everything that must have a comment."""
    for index, message in enumerate(proto.message_type):
        yield from _of_message(message, (_MESSAGE, index))
    for index, enum in enumerate(proto.enum_type):
        yield from _of_enum(enum, (_ENUM, index))
    for index, service in enumerate(proto.service):
        yield service.name, (_SERVICE, index)
        for place, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (_SERVICE, index, _METHOD, place)


def _of_message(message, path):  # type: ignore[no-untyped-def]
    if message.options.map_entry:
        return
    yield message.name, path
    for index, field in enumerate(message.field):
        yield f"{message.name}.{field.name}", (*path, _FIELD, index)
    for index, oneof in enumerate(message.oneof_decl):
        if not any(field.proto3_optional and field.oneof_index == index for field in message.field):
            yield f"{message.name}.{oneof.name}", (*path, _ONEOF, index)
    for index, nested in enumerate(message.nested_type):
        yield from _of_message(nested, (*path, _NESTED, index))
    for index, enum in enumerate(message.enum_type):
        yield from _of_enum(enum, (*path, _NESTED_ENUM, index))


def _of_enum(enum, path):  # type: ignore[no-untyped-def]
    yield enum.name, path
    for index, value in enumerate(enum.value):
        yield f"{enum.name}.{value.name}", (*path, _VALUE, index)


def test_every_element_has_a_comment(protos: list[FileDescriptorProto]) -> None:
    bare = []
    for proto in protos:
        commented = {tuple(place.path) for place in proto.source_code_info.location if place.leading_comments.strip()}
        bare += [f"{proto.name}: {name}" for name, path in elements(proto) if path not in commented]
    assert bare == []


def test_path_and_package_are_tributary_area_version(protos: list[FileDescriptorProto]) -> None:
    for proto in protos:
        assert proto.package == str(Path(proto.name).parent).replace("/", ".")
        assert proto.package.startswith("tributary.")
        assert proto.package.endswith(".v1")


def test_every_enum_starts_with_unspecified_and_prefixes_its_values(protos: list[FileDescriptorProto]) -> None:
    for proto in protos:
        for enum in proto.enum_type:
            prefix = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in enum.name)[1:]
            assert enum.value[0].name == f"{prefix}_UNSPECIFIED"
            assert all(value.name.startswith(f"{prefix}_") for value in enum.value)


def test_no_float_touches_money_or_credit(protos: list[FileDescriptorProto]) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

    floats = {Field.TYPE_FLOAT, Field.TYPE_DOUBLE}
    found = [
        f"{message.name}.{field.name}"
        for proto in protos
        for message in proto.message_type
        for field in message.field
        if field.type in floats
    ]
    assert found == []
