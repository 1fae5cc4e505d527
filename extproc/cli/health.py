"""``extproc health``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extproc.cli.values import Duration

if TYPE_CHECKING:
    import grpc

__all__ = ["health"]

_SERVING, _NOT_SERVING, _UNREACHABLE = 0, 1, 2


def health(
    address: str,
    /,
    *,
    timeout: Duration = 2.0,
    tls_ca: Path | None = None,
    tls_name: str = "",
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
) -> int:
    """Ask a processor, by the gRPC health protocol, whether it is serving.

    Exit status: 0 it is; 1 it is not; 2 it cannot be reached.

    Args:
        address: HOST:PORT, [IPV6]:PORT or unix:/path.
        timeout: How long to wait for an answer, such as 500ms or 2s.
        tls_ca: Ask by TLS: a PEM file with the CA of the processor's certificate.
        tls_name: The DNS name or IP address that is in that certificate; by default, that of the address.
        tls_certificate: A PEM file: a certificate to show, if the processor has --tls-client-ca.
        tls_key: A PEM file: its private key.
    """
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

    credentials = _credentials(tls_ca, tls_name, tls_certificate, tls_key)
    with _channel(address, credentials, tls_name) as channel:
        try:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=HealthCheckRequest.SerializeToString,
                response_deserializer=HealthCheckResponse.FromString,
            )
            response = check(HealthCheckRequest(), timeout=timeout)
        except grpc.RpcError as error:
            return _failed(address, error, timeout, tls=credentials is not None)
    status = HealthCheckResponse.ServingStatus.Name(response.status)
    print(f"{address}: {status}")
    return _SERVING if response.status == HealthCheckResponse.SERVING else _NOT_SERVING


def _channel(address: str, credentials: grpc.ChannelCredentials | None, name: str) -> grpc.Channel:
    import grpc

    from extproc.server.listen import check_address

    # A proxy in the environment is for the outside world, not for the processor next door.
    options: list[tuple[str, Any]] = [("grpc.enable_http_proxy", 0)]
    if credentials is None:
        return grpc.insecure_channel(check_address(address), options)
    if name:
        options.append(("grpc.ssl_target_name_override", name))
    return grpc.secure_channel(check_address(address), credentials, options)


def _credentials(
    ca: Path | None, name: str, certificate: Path | None, key: Path | None
) -> grpc.ChannelCredentials | None:
    import grpc

    from extproc.errors import ServerError

    if ca is None:
        if name or certificate or key:
            raise ServerError("TLS takes --tls-ca")
        return None
    if (certificate is None) != (key is None):
        raise ServerError("a certificate to show takes both --tls-certificate and --tls-key")
    try:
        own = [] if key is None or certificate is None else [key.read_bytes(), certificate.read_bytes()]
        return grpc.ssl_channel_credentials(ca.read_bytes(), *own)
    except OSError as error:
        raise ServerError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _failed(address: str, error: object, timeout: float, *, tls: bool) -> int:
    import grpc

    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    if code is grpc.StatusCode.UNIMPLEMENTED:
        print(f"{address}: is a gRPC server without a health service", file=sys.stderr)
        return _NOT_SERVING
    what = "cannot be reached by TLS with these certificates" if tls else "cannot be reached"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        what = f"no answer within {timeout:g}s"
    print(f"{address}: {what}", file=sys.stderr)
    return _UNREACHABLE
