r"""Escapes of lone surrogates in JSON text, such as `\ud800`, replaced before the text is decoded.

They are valid JSON, and attackers send them, but the decoder refuses a whole text for one of them,
even in a field that it skips. The replacement character's escape has the same length.

Regular expressions do all of this: a Python call for each escape would take seconds for a record
that consists of escapes only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
#: A surrogate without its other half. A low one after a high one always belongs to it.
_LONE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
_PAIR = re.compile(_HIGH + _LOW)
_ESCAPE_LENGTH = 6
#: Placeholders for an escaped backslash during the search; no UTF-8 text contains them.
_MASKS = tuple(bytes([byte, byte]) for byte in range(0xF8, 0x100))
_STEP_BYTES = 512 * 1024


def without_lone_surrogates(text: bytes) -> Iterator[bytes]:
    """Yield a text in pieces, with its lone surrogates replaced; its length stays the same."""
    if not _SURROGATE.search(text):
        yield text
        return
    mask = next((mask for mask in _MASKS if mask not in text), None)
    if mask is None:  # it cannot be UTF-8 text
        yield text
        return
    # Each remaining backslash begins an escape.
    masked = text.replace(rb"\\", mask)
    start = 0
    while start < len(masked):
        end = _end_of_step(masked, start + _STEP_BYTES)
        yield _LONE.sub(rb"\\ufffd", masked[start:end]).replace(mask, rb"\\")
        start = end


def _end_of_step(masked: bytes, least: int) -> int:
    """Return the place of the first escape from `least` on that does not end a surrogate pair."""
    end = masked.find(b"\\", least)
    while end > 0 and _PAIR.match(masked, max(0, end - _ESCAPE_LENGTH)):
        end = masked.find(b"\\", end + 1)
    return end if end > 0 else len(masked)
