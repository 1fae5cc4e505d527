"""``extproc health``."""

from __future__ import annotations

import sys

from extproc.cli.values import Duration

__all__ = ["health"]

_SERVING, _NOT_SERVING, _UNREACHABLE = 0, 1, 2


def health(address: str, /, *, timeout: Duration = 2.0) -> int:
    """Ask a processor, by the gRPC health protocol, whether it is serving.

    Exit status: 0 it is; 1 it is not; 2 it cannot be reached.

    Args:
        address: HOST:PORT, [IPV6]:PORT or unix:/path.
        timeout: How long to wait for an answer, such as 500ms or 2s.
    """
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

    from extproc.server.listen import check_address

    # A proxy in the environment is for the outside world, not for the processor next door.
    with grpc.insecure_channel(check_address(address), options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=HealthCheckRequest.SerializeToString,
                response_deserializer=HealthCheckResponse.FromString,
            )
            response = check(HealthCheckRequest(), timeout=timeout)
        except grpc.RpcError as error:
            return _failed(address, error, timeout)
    status = HealthCheckResponse.ServingStatus.Name(response.status)
    print(f"{address}: {status}")
    return _SERVING if response.status == HealthCheckResponse.SERVING else _NOT_SERVING


def _failed(address: str, error: object, timeout: float) -> int:
    import grpc

    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    if code is grpc.StatusCode.UNIMPLEMENTED:
        print(f"{address}: is a gRPC server without a health service", file=sys.stderr)
        return _NOT_SERVING
    late = code is grpc.StatusCode.DEADLINE_EXCEEDED
    print(f"{address}: {f'no answer within {timeout:g}s' if late else 'cannot be reached'}", file=sys.stderr)
    return _UNREACHABLE
