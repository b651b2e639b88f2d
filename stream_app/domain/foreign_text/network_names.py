"""Addresses and hosts in the form in which they are compared.

An IPv4 address that is mapped into IPv6 (`::ffff:203.0.113.10`) becomes the IPv4 address, with or
without a zone; other addresses with a zone are unchanged, as they mean something on one network
only. A host loses its port, its brackets and the root's dot, and is brought into lower case and
into its DNS form (punycode). Any other text is unchanged.
"""

from __future__ import annotations

import functools
import ipaddress
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

import idna

#: A longer text is no address, or no host, and is not parsed.
MAX_ADDRESS_CHARS = 64
MAX_HOST_CHARS = 300
#: How many texts are remembered with their normal forms.
_CACHE_SIZE = 10_000
_MAPPED = b"\0" * 10 + b"\xff\xff"


def normal_address(text: str) -> str:
    """Return the compared form of an address. Plain IPv4 has no other form."""
    if ":" not in text or len(text) > MAX_ADDRESS_CHARS:
        return text
    return _normal_address(text)


@functools.lru_cache(maxsize=_CACHE_SIZE)
def _normal_address(text: str) -> str:
    return _address(text.strip().lower()) or text


def _address(text: str) -> str | None:
    """Return the address that a text with colons holds, or None."""
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host if _is_ipv4(host) and (not port or port.isdecimal()) else None
    if text[:1] == "[":
        text = text[1:].partition("]")[0]
    try:
        packed = inet_pton(AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return None
    if packed.startswith(_MAPPED):
        return inet_ntop(AF_INET, packed[len(_MAPPED) :])
    return None if "%" in text else inet_ntop(AF_INET6, packed)


def _is_ipv4(text: str) -> bool:
    try:
        inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def normal_host(text: str) -> str:
    """Return the compared form of a host."""
    return _normal_host(text) if len(text) <= MAX_HOST_CHARS else text.strip().lower()


@functools.lru_cache(maxsize=_CACHE_SIZE)
def _normal_host(text: str) -> str:
    host = text.strip().lower()
    if ":" in host:
        if (address := _address(host)) is not None:
            return address
        name, _, port = host.rpartition(":")
        if ":" not in name and (not port or port.isdecimal()):
            host = name
    if not host.isascii():
        host = _ascii(host)
    return host.removesuffix(".") or host


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ascii(host: str) -> str:
    """Return a host in its DNS form; a label that has none is unchanged."""
    try:
        labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
    except (idna.IDNAError, UnicodeError):
        return host
    return ".".join(map(_ascii_label, labels))


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label
    try:
        return idna.alabel(label).decode()
    except (idna.IDNAError, UnicodeError):
        return label
