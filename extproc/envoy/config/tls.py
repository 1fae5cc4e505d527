"""TLS between Envoy and the processor, from Envoy's side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.config import types as v3
from extproc.envoy.config.options import is_ip
from extproc.envoy.config.text import to_any

if TYPE_CHECKING:
    from extproc.envoy.config.options import ProcessorTls

__all__ = ["transport_socket"]


def transport_socket(tls: ProcessorTls, name: str) -> v3.core.TransportSocket:
    """What a connection to the processor goes through.

    Args:
        tls: the files.
        name: the DNS name or IP address that the processor's certificate must have. Envoy would take any certificate
            of the CA otherwise.
    """
    context = v3.tls.UpstreamTlsContext(
        sni="" if is_ip(name) else name,  # RFC 6066 section 3: no addresses
        common_tls_context=v3.tls.CommonTlsContext(
            tls_certificates=[_certificate(tls)] if tls.certificate else [],
            validation_context=v3.tls.CertificateValidationContext(
                trusted_ca=_file(tls.ca), match_typed_subject_alt_names=[_named(name)]
            ),
            alpn_protocols=["h2"],
        ),
    )
    return v3.core.TransportSocket(name="envoy.transport_sockets.tls", typed_config=to_any(context))


def _named(name: str) -> v3.tls.SubjectAltNameMatcher:
    kinds = v3.tls.SubjectAltNameMatcherSanType
    return v3.tls.SubjectAltNameMatcher(
        san_type=kinds.IP_ADDRESS if is_ip(name) else kinds.DNS, matcher=v3.matcher.StringMatcher(exact=name)
    )


def _certificate(tls: ProcessorTls) -> v3.tls.TlsCertificate:
    return v3.tls.TlsCertificate(certificate_chain=_file(tls.certificate), private_key=_file(tls.key))


def _file(name: str) -> v3.core.DataSource:
    return v3.core.DataSource(filename=name)
