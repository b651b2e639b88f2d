"""Addresses and hosts in the one form in which they are compared.

An IPv4 address that is mapped into IPv6 (`::ffff:203.0.113.10`) is the IPv4 address, whatever zone
stands behind it; any other address with a zone is one of somebody's own network only. A host is
compared without port, brackets and the dot of the root, in lower case, and in the form that it has
in the DNS (punycode). What is neither is compared as it stands.
"""

from __future__ import annotations

import functools
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

import idna

#: A longer text is no address, or no host: it is compared as it stands.
MAX_ADDRESS_CHARS = 64
MAX_HOST_CHARS = 300
#: Texts whose normal form is remembered.
CACHE_SIZE = 10_000
_MAPPED = b"\0" * 10 + b"\xff\xff"


def normal_address(text: str) -> str:
    """Return the one spelling of an address. IPv4 has only one, unless it is mapped."""
    if ":" not in text or len(text) > MAX_ADDRESS_CHARS:
        return text
    return _normal_address(text)


@functools.lru_cache(maxsize=CACHE_SIZE)
def _normal_address(text: str) -> str:
    return _address(text.strip().lower()) or text


def _address(text: str) -> str | None:
    """Return a text with colons as an address; None: it is none."""
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
    """Return a host as it is compared."""
    return _normal_host(text) if len(text) <= MAX_HOST_CHARS else text.strip().lower()


@functools.lru_cache(maxsize=CACHE_SIZE)
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


def _ascii(host: str) -> str:
    """Return a host in the form that the DNS has; what has none stays, label by label."""
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
