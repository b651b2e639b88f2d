"""Half surrogate pairs in JSON text, made harmless.

They are JSON, and attackers send them, but the decoder refuses all of a text for one, even in a
field that it skips. In the text to decode they are replacement characters, of the same length.

All of this is done by C code over the whole text: a Python call for each escape takes seconds for
a record that is nothing but escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
#: One that lacks its other half. Of two halves in a row, the second is always the first one's.
_HALF = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
_PAIR = re.compile(_HIGH + _LOW)
_ESCAPE_LENGTH = 6
#: Stand for an escaped backslash while the others are looked at; they are in no UTF-8 text.
_MASKS = tuple(bytes([byte, byte]) for byte in range(0xF8, 0x100))
_STEP_BYTES = 512 * 1024


def repaired(text: bytes) -> Iterator[bytes]:
    """Yield the pieces of a text of the same length without half surrogate pairs."""
    if not _SURROGATE.search(text):
        yield text
        return
    mask = next((mask for mask in _MASKS if mask not in text), None)
    if mask is None:  # no text at all
        yield text
        return
    # Only a backslash that begins an escape is left.
    masked = text.replace(rb"\\", mask)
    start = 0
    while start < len(masked):
        end = _end_of_step(masked, start + _STEP_BYTES)
        yield _HALF.sub(rb"\\ufffd", masked[start:end]).replace(mask, rb"\\")
        start = end


def _end_of_step(masked: bytes, least: int) -> int:
    """Return the next place where an escape begins that is no second half of the one before."""
    end = masked.find(b"\\", least)
    while end > 0 and _PAIR.match(masked, max(0, end - _ESCAPE_LENGTH)):
        end = masked.find(b"\\", end + 1)
    return end if end > 0 else len(masked)
