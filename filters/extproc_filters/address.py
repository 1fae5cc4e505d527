"""Which client an address belongs to."""

from __future__ import annotations

import ipaddress

__all__ = ["client_of"]

_ONE_CLIENT = 64
"""Bits of an IPv6 address that name a client's network (RFC 6177): within it, the client has every address there is."""


def client_of(address: str) -> str | None:
    """The client behind Envoy's ``source.address``, such as ``192.0.2.1:4711`` or ``[2001:db8::1]:443``.

    IPv4 is the address, also when it is mapped into IPv6; IPv6 is the /64 network. None for what is no IP address.
    """
    host = address
    if address.startswith("["):
        host = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        host = address.partition(":")[0]
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    rest = 128 - _ONE_CLIENT
    return f"{ipaddress.IPv6Address(int(ip) >> rest << rest)}/{_ONE_CLIENT}"
