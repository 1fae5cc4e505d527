"""A program that imports five packages of protobuf definitions in many orders, and uses each of them afterwards.

For each order it forks a process, which has seen none of the definitions; what the packages stand on is loaded before,
to save time. It prints a JSON object: for each order an empty text, or the traceback.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
import warnings
from itertools import permutations
from typing import Any

MODULES = {
    "extproc": ["extproc.wire.ext_proc_pb2"],
    "xds-protos": [
        "envoy.service.ext_proc.v3.external_processor_pb2",
        "envoy.service.ext_proc.v3.external_processor_pb2_grpc",
        "envoy.extensions.filters.http.ext_proc.v3.ext_proc_pb2",
        "envoy.config.bootstrap.v3.bootstrap_pb2",
    ],
    "googleapis-common-protos": [
        "google.api.annotations_pb2",
        "google.longrunning.operations_pb2",
        "google.rpc.error_details_pb2",
        "google.rpc.status_pb2",
    ],
    "opentelemetry-proto": [
        "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
        "opentelemetry.proto.trace.v1.trace_pb2",
    ],
    "envoy-data-plane": ["envoy_data_plane.envoy.service.ext_proc.v3"],
}

FOUNDATIONS = ["betterproto2.grpclib", "google.protobuf.json_format", "grpc", "grpclib.client", "grpclib.server"]


def orders() -> list[tuple[str, ...]]:
    """Every order of those that share protobuf's global pool, with the one that does not put in here and there."""
    *pooled, apart = MODULES
    found = []
    for index, order in enumerate(permutations(pooled)):
        place = index % (len(order) + 1)
        found.append((*order[:place], apart, *order[place:]))
    return found


def use_all(modules: dict[str, Any]) -> None:
    """Encodes and decodes with every package, and across them where they mean the same."""
    ours = modules["extproc.wire.ext_proc_pb2"].ProcessingRequest()
    ours.request_headers.headers.headers.add(key=":path", raw_value=b"/")
    data = ours.SerializeToString()
    assert type(ours).FromString(data) == ours

    theirs = modules["envoy.service.ext_proc.v3.external_processor_pb2"].ProcessingRequest.FromString(data)
    assert theirs.request_headers.headers.headers[0].raw_value == b"/"
    assert theirs.SerializeToString() == data

    plane = modules["envoy_data_plane.envoy.service.ext_proc.v3"].ProcessingRequest.parse(data)
    assert plane.request_headers.headers.headers[0].raw_value == b"/"
    assert bytes(plane) == data

    detail = modules["google.rpc.error_details_pb2"].ErrorInfo(reason="because")
    status = modules["google.rpc.status_pb2"].Status(code=3)
    status.details.add().Pack(detail)
    unpacked = type(detail)()
    assert type(status).FromString(status.SerializeToString()).details[0].Unpack(unpacked)
    assert unpacked == detail

    export = modules["opentelemetry.proto.collector.trace.v1.trace_service_pb2"].ExportTraceServiceRequest()
    # xds-protos overwrites files of opentelemetry-proto with older ones, so only what both have is used.
    export.resource_spans.add().resource.attributes.add(key="service.name")
    assert type(export).FromString(export.SerializeToString()) == export


def attempt(order: tuple[str, ...]) -> str:
    """The traceback of importing in this order and using all, empty if it went well."""
    try:
        use_all({name: importlib.import_module(name) for package in order for name in MODULES[package]})
    except BaseException:  # noqa: BLE001  # whatever it is, it is the finding
        return traceback.format_exc()
    return ""


def in_a_fork(order: tuple[str, ...]) -> str:
    """`attempt` in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, attempt(order)[-4000:].encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        finding = pipe.read()
    _, status = os.waitpid(child, 0)
    return finding or ("" if status == 0 else f"the process ended with status {status}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # deprecations inside of the other packages
    for foundation in FOUNDATIONS:
        importlib.import_module(foundation)
    json.dump({" ".join(order): in_a_fork(order) for order in orders()}, sys.stdout)
